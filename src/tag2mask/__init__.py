"""Semantic segmentation learned from image tags alone.

`Dataset.load` reads images and tags, `train` turns them into a `Segmenter`, whose `predict` gives a `Prediction`;
`evaluate` scores masks, `dense_crf` stands on its own, `Config` holds every setting.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from tag2mask.config.schema import Config
    from tag2mask.crf import dense_crf
    from tag2mask.data import Dataset
    from tag2mask.evaluation import evaluate
    from tag2mask.inference import Prediction, Segmenter
    from tag2mask.training.train import train

_HOMES = {
    "Config": "tag2mask.config.schema",
    "Dataset": "tag2mask.data",
    "Prediction": "tag2mask.inference",
    "Segmenter": "tag2mask.inference",
    "dense_crf": "tag2mask.crf",
    "evaluate": "tag2mask.evaluation",
    "train": "tag2mask.training.train",
}

__all__ = ["Config", "Dataset", "Prediction", "Segmenter", "dense_crf", "evaluate", "train"]


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that `import tag2mask` stays fast."""
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module 'tag2mask' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("tag2mask")
    except PackageNotFoundError:  # imported from a source tree that is not installed
        return "0+unknown"


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
