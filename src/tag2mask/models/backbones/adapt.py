"""From what a timm network gives to feature maps, and the layers after the last one."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tag2mask.core.errors import ConfigError
from tag2mask.models.backbones.plan import Plan
from tag2mask.models.backbones.probe import Layout, Probe

_CHANNELS_FIRST_NORMS = ("2d", "Bn", "Batch")  # parts of the class names of norms of (B, C, H, W)


def fit(images: Tensor, probe: Probe) -> Tensor:
    """Images (B, 3, H, W) at a size that the network takes, bilinearly; the same tensor where they have one.

    A network of one fixed size sees the whole image at that size, whatever its aspect ratio: the grids of its maps
    then cover the whole image. Else both sides are rounded to multiples, where the network asks for it.
    """
    height, width = images.shape[-2:]
    if probe.fixed is not None:
        size = probe.fixed
    elif torch.compiler.is_exporting():
        if probe.any_size:
            return images
        # Sizes are unknown then. Who runs the graph gives multiples; rounding says so to the exporter.
        size = (height // probe.multiple * probe.multiple, width // probe.multiple * probe.multiple)
    else:
        step = 1 if probe.any_size else probe.multiple
        size = (_rounded(height, step, probe.smallest), _rounded(width, step, probe.smallest))
        if size == (height, width):
            return images
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False)


def _rounded(side: int, step: int, smallest: int) -> int:
    return max(step, round(side / step) * step, smallest)


def to_maps(features: list[Tensor], layouts: tuple[Layout, ...]) -> list[Tensor]:
    """Features of every stage as (B, C, H, W)."""
    return [
        feature if layout == "NCHW" else feature.permute(0, 3, 1, 2)
        for feature, layout in zip(features, layouts, strict=True)
    ]


def last_norm(network: nn.Module, plan: Plan) -> nn.Module | None:
    """The norm after the last block of a plain vision transformer; where it pools first, the norm after that."""
    if not plan.stages:
        return None
    for name in ("norm", "fc_norm"):
        norm = getattr(network.model, name, None)
        if isinstance(norm, nn.Module) and _width(norm) == plan.probe.channels[-1]:
            return norm
    return None


def normed(norm: nn.Module, features: Tensor) -> Tensor:
    """Features (B, C, H, W) after a norm over their channels."""
    if any(part in type(norm).__name__ for part in _CHANNELS_FIRST_NORMS):
        result: Tensor = norm(features)
    else:
        result = norm(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return result


def _width(norm: nn.Module) -> int:
    weight = getattr(norm, "weight", None)
    return int(weight.numel()) if isinstance(weight, Tensor) else 0


def head_layers(plan: Plan) -> tuple[nn.Module, int] | None:
    """The convolution between the last features and the classifier, with its norm and activation, and its channels.

    EfficientNet, MobileNet and their like have one. MobileNetV3 pools before it; here it is applied at each pixel.
    Returns None where the network has none.
    """
    of_features = ("output_stride", "out_indices")
    arguments = {name: value for name, value in plan.arguments.items() if name not in of_features}
    model: Any = timm.create_model(plan.name, pretrained=False, **arguments)
    convolution = getattr(model, "conv_head", None)
    if not isinstance(convolution, nn.Conv2d) or convolution.in_channels != plan.probe.channels[-1]:
        return None
    if convolution.kernel_size != (1, 1):
        return None
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv_head=convolution)
    for name in ("bn2", "norm_head", "act2"):  # bn2 has its activation inside
        layer = getattr(model, name, None)
        if isinstance(layer, nn.Module) and not isinstance(layer, nn.Identity):
            layers[name] = layer
    return nn.Sequential(layers), convolution.out_channels


def preprocessing_of(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the images that a network's weights were trained with.

    Raises:
        ConfigError: unknown weights, or the network does not take RGB images.
    """
    try:
        config = timm.get_pretrained_cfg(name)
    except Exception as error:  # e.g. unknown weights after the dot of the name
        raise ConfigError(f"backbone '{name}': {error}; timm.list_pretrained() lists all names with weights") from None
    mean = config.mean if config is not None else (0.485, 0.456, 0.406)
    std = config.std if config is not None else (0.229, 0.224, 0.225)
    if len(mean) != 3 or len(std) != 3:
        raise ConfigError(f"backbone '{name}' does not take RGB images; choose another one")
    return tuple(mean), tuple(std)
