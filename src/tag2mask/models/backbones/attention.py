"""The attention of a vision transformer's last blocks, as it was computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Attention(NamedTuple):
    """Attention of the last n blocks of B images, averaged over heads; a row is what a patch attends to.

    Rows of the whole attention sum to 1; what a patch gives to class and register tokens is left out here.

    Attributes:
        patches: (B, n, N, N), from each of N = h * w patches (rows) to each (columns), row by row of the image.
        class_token: (B, n, N), from the class token to each patch; None where the network has no class token.
        grid: (h, w).
        features: those of `Backbone.forward`, of the same pass.
    """

    patches: Tensor
    class_token: Tensor | None
    grid: tuple[int, int]
    features: list[Tensor]


def attention_layers(network: nn.Module) -> list[nn.Module]:
    """The attention layers of a network's blocks, first to last; none where it is no vision transformer."""
    blocks = getattr(getattr(network, "model", None), "blocks", None)
    if not isinstance(blocks, nn.ModuleList | nn.Sequential):
        return []
    layers = [getattr(block, "attn", None) for block in blocks]
    usable = [layer for layer in layers if isinstance(layer, nn.Module) and hasattr(layer, "attn_drop")]
    # Talking heads (CaiT) mix the softmax of the heads once more: what they have then is no attention.
    return [layer for layer in usable if not hasattr(layer, "proj_w")]


@contextmanager
def recorded(layers: list[nn.Module]) -> Iterator[list[Tensor]]:
    """Record the attention (B, T, T) of each layer over all T tokens, averaged over heads, while the context lasts.

    Fused attention never has the whole matrix; it is turned off for as long.
    """
    records: list[Tensor] = []

    def record(_: nn.Module, __: Any, probs: Tensor) -> None:
        records.append(probs.mean(dim=1) if probs.ndim == 4 else probs)

    fused = [getattr(layer, "fused_attn", None) for layer in layers]
    # What goes through the dropout of the attention is its softmax.
    drops = [_as_module(layer) for layer in layers]
    handles = [drop.register_forward_hook(record) for drop in drops]
    try:
        for layer, was in zip(layers, fused, strict=True):
            if was is not None:
                layer.fused_attn = False  # type: ignore[assignment]
        yield records
    finally:
        for handle in handles:
            handle.remove()
        for layer, was in zip(layers, fused, strict=True):
            if was is not None:
                layer.fused_attn = was


def _as_module(layer: nn.Module) -> nn.Module:
    drop = layer.attn_drop
    assert isinstance(drop, nn.Module)
    return drop


def split_tokens(records: list[Tensor], network: nn.Module, features: list[Tensor]) -> Attention | None:
    """The attention of patches and class token, from that of all tokens; None where the tokens are no whole grid."""
    height, width = features[-1].shape[-2:]
    count = height * width
    model: Any = getattr(network, "model", None)
    prefix = int(getattr(model, "num_prefix_tokens", 0) or 0)
    if not records or any(tuple(one.shape[1:]) != (count + prefix,) * 2 for one in records):
        return None
    stacked = torch.stack(records, dim=1)
    has_class_token = prefix > 0 and isinstance(getattr(model, "cls_token", None), Tensor)
    return Attention(
        stacked[:, :, prefix:, prefix:],
        stacked[:, :, 0, prefix:] if has_class_token else None,
        (height, width),
        features,
    )
