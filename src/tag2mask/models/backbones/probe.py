"""What a timm feature network takes and gives, found by running it on tensors without data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

Size = tuple[int, int]
Layout = Literal["NCHW", "NHWC"]
Shapes = list[tuple[int, ...]]

_DEFAULT_SIDE = 224
_LARGEST_START = 8  # multiples: the smallest input that is tried is up to so many


class NotMapsError(Exception):
    """A network ran, but what it gave are no feature maps."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found.

    Attributes:
        channels: of each stage, first to last.
        strides: input size / feature size of each stage.
        layouts: order of the axes of each stage, as the network gives it.
        multiple: height and width of the input are best multiples of it.
        any_size: the network also takes other sizes than multiples.
        smallest: least height and width; 0 where it is `multiple` or any.
        fixed: the only size (H, W) the network takes, or None.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    layouts: tuple[Layout, ...]
    multiple: int
    any_size: bool = False
    smallest: int = 0
    fixed: Size | None = None


@contextmanager
def tried_on(device: str) -> Iterator[None]:
    """Tensors are made on a device; on "meta" they have shapes and no data. The random state stays."""
    # Not `fork_rng`: it would start CUDA.
    state = torch.random.get_rng_state()
    try:
        with torch.device(device):
            yield
    finally:
        torch.random.set_rng_state(state)


def probe(network: nn.Module, multiples: Sequence[int], own: Size | None) -> Probe:
    """Find out which sizes a network takes, and what it gives.

    Args:
        network: gives a list of features; in evaluation mode.
        multiples: of which the sides of an input may have to be multiples, those wanted most first.
        own: size the network was made for, if it is known.

    Raises:
        NotMapsError: its features are no maps.
        Exception: whatever the network raises at its own size.
    """
    for multiple in multiples:
        found = _any_multiple(network, multiple)
        if found is not None:
            return found
    size = own or (_DEFAULT_SIDE, _DEFAULT_SIDE)
    shapes = _run(network, size)
    layouts = tuple(_declared_layout(network, index, shape) for index, shape in enumerate(shapes))
    declared = _declared_strides(network, len(shapes))
    strides = tuple(
        _stride_at(size[0], shape[layout.index("H")], stride)
        for shape, layout, stride in zip(shapes, layouts, declared, strict=True)
    )
    channels = tuple(shape[layout.index("C")] for shape, layout in zip(shapes, layouts, strict=True))
    return Probe(channels, strides, layouts, multiple=32, fixed=size)


def _any_multiple(network: nn.Module, multiple: int) -> Probe | None:
    """What was found, if the network takes any size of this multiple."""
    # Sides at which the number of cells differs from usual numbers of channels, none of which is a power of two.
    first, second = (multiple * 13, multiple * 11), (multiple * 9, multiple * 14)
    shapes, others = _try(network, first), _try(network, second)
    if shapes is None or others is None:
        return None
    layouts: list[Layout] = []
    for one, other in zip(shapes, others, strict=True):
        same = [axis for axis in (1, 2, 3) if one[axis] == other[axis]]
        if same not in ([1], [3]):
            return None
        layouts.append("NCHW" if same == [1] else "NHWC")
    strides = [
        _stride_between(one, other, layout, first, second)
        for one, other, layout in zip(shapes, others, layouts, strict=True)
    ]
    known = [stride for stride in strides if stride is not None]
    if len(known) < len(strides):
        return None
    channels = tuple(shape[layout.index("C")] for shape, layout in zip(shapes, layouts, strict=True))
    smallest = _smallest(network, multiple)
    odd = [(multiple * 9 + 5, multiple * 12 - 3), (multiple * 8 - 1, multiple * 7 + 2)]
    # Patches of one size: what is left over at the border would be cut off.
    any_size = len(set(known)) > 1 and all(_try(network, size) is not None for size in odd)
    if any_size and not smallest and _try(network, (1, 1)) is None:
        smallest = multiple
    return Probe(channels, tuple(known), tuple(layouts), multiple, any_size, smallest)


def _smallest(network: nn.Module, multiple: int) -> int:
    """Least side of an input, a multiple; 0 where the network takes the multiple itself."""
    for count in range(1, _LARGEST_START):
        side = count * multiple
        if all(_try(network, size) is not None for size in ((side, side), (side, 9 * multiple))):
            return side if count > 1 else 0
    return _LARGEST_START * multiple


def _try(network: nn.Module, size: Size) -> Shapes | None:
    try:
        return _run(network, size)
    except Exception:  # networks raise many kinds where a size does not suit them
        return None


@torch.no_grad()
def _run(network: nn.Module, size: Size) -> Shapes:
    """Shapes of the features of images (2, 3, *size)."""
    # A backbone of another package may have no parameters.
    device = next((one.device.type for one in (*network.parameters(), *network.buffers())), "cpu")
    with tried_on(device):
        features: Any = network(torch.zeros(2, 3, *size))
    if not isinstance(features, list | tuple) or not features:
        raise NotMapsError(f"it gives {type(features).__name__}, not a list of features")
    for feature in features:
        if not isinstance(feature, Tensor) or feature.ndim != 4 or feature.shape[0] != 2 or 0 in feature.shape:
            shape = tuple(feature.shape) if isinstance(feature, Tensor) else type(feature).__name__
            raise NotMapsError(f"its features are no maps (B, C, H, W) but {shape}")
    return [tuple(feature.shape) for feature in features]


def _declared_layout(network: nn.Module, index: int, shape: tuple[int, ...]) -> Layout:
    """The order of axes by the network's own words, where only one size can be run."""
    declared: Layout = "NHWC" if "NHWC" in str(getattr(network, "output_fmt", "")) else "NCHW"
    info: Any = getattr(network, "feature_info", None)
    if info is None:
        return declared
    channels = info.channels()[index]
    if shape[1] == channels != shape[3]:
        return "NCHW"
    if shape[3] == channels != shape[1]:
        return "NHWC"
    return declared


def _declared_strides(network: nn.Module, count: int) -> list[int]:
    """Strides by the network's own words; 0 where it does not say."""
    info: Any = getattr(network, "feature_info", None)
    return [int(stride) for stride in info.reduction()] if info is not None else [0] * count


def _stride_at(side: int, cells: int, declared: int) -> int:
    """Input size / feature size: that declared, if it fits (networks round up, or lose cells at the border)."""
    return declared if declared and abs(side / cells / declared - 1) < 0.2 else max(1, round(side / cells))


def _stride_between(
    one: tuple[int, ...], other: tuple[int, ...], layout: Layout, first: Size, second: Size
) -> int | None:
    """Pixels a cell, from the features of inputs of two sizes; None where there is no such number.

    From differences: networks without padding lose the same number of cells at the border of any image.
    """
    quotients = set()
    for axis, (before, after) in zip("HW", zip(first, second, strict=True), strict=True):
        cells = one[layout.index(axis)] - other[layout.index(axis)]
        if not cells or (before - after) % cells:
            return None
        quotients.add((before - after) // cells)
    return quotients.pop() if len(quotients) == 1 else None
