"""Semantic segmentation learned from image tags alone."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tag2mask.api import evaluate, load, make_masks, predict, train
    from tag2mask.config.schema import Config
    from tag2mask.crf import dense_crf
    from tag2mask.inference.predictor import Predictor
    from tag2mask.portable.hub import push_to_hub

try:
    __version__ = version("tag2mask")
except PackageNotFoundError:  # imported from a source tree that is not installed
    __version__ = "0+unknown"

_HOMES = {
    "Config": "tag2mask.config.schema",
    "Predictor": "tag2mask.inference.predictor",
    "dense_crf": "tag2mask.crf",
    "evaluate": "tag2mask.api",
    "load": "tag2mask.api",
    "make_masks": "tag2mask.api",
    "predict": "tag2mask.api",
    "push_to_hub": "tag2mask.portable.hub",
    "train": "tag2mask.api",
}

__all__ = ["Config", "Predictor", "dense_crf", "evaluate", "load", "make_masks", "predict", "push_to_hub", "train"]


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that `import tag2mask` and `--help` stay fast."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tag2mask' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
