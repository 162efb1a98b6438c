"""Pages in the browser: a project from untagged images to masks, and one to try a trained network."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tag2mask.studio.server import open_page, serve_page
    from tag2mask.studio.workbench import Workbench

__all__ = ["Workbench", "open_page", "serve_page"]

_HOMES = {"Workbench": "workbench", "open_page": "server", "serve_page": "server"}


def __getattr__(name: str) -> Any:
    """Import on first use: a project opens without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
