"""Imports point one way: no room knows those below it; what needs no torch does not import it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tag2mask

SOURCE = Path(tag2mask.__file__).parent

# Rooms from the bottom of the house upwards; each may import itself and those of earlier lines.
ORDER = [
    {"types", "errors", "machine"},
    {"files", "extras"},
    {"config", "images", "metrics", "crf", "blocks", "doubt", "gating"},
    {"consensus"},
    {"masks_io", "precision", "refining"},
    {"prediction", "large", "review", "ablation_table"},
    {"collection", "visualize"},
    {"checking", "evaluation", "exporting"},
    {"models", "losses"},
    {"data", "prior"},
    {"runs", "tiles"},
    {"training", "hub"},
    {"predictor"},
    {"portable"},
    {"outputs", "baselines", "label_free"},
    {"further", "report"},
    {"api"},
    {"serving", "webapp", "bulk"},
    {"ablation"},
    {"demo"},
    {"cli"},
    {"__main__"},
]
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}


def imports(path: Path) -> set[str]:
    """Names of the modules of this package that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "tag2mask":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names} - {"__version__"}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("tag2mask.")}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).with_suffix("").parts[0]


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_one_way(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    for other in imports(path) - {room}:
        assert RANK[other] < RANK[room], f"{room} (rank {RANK[room]}) must not know {other} (rank {RANK[other]})"


@pytest.mark.parametrize(
    "module",
    [
        "checking",
        "collection",
        "masks_io",
        "metrics",
        "evaluation",
        "crf",
        "images",
        "config",
        "cli",
        "outputs",
        "api",
        "prediction",
    ],
)
def test_does_without_torch(module: str) -> None:
    code = f"import sys, tag2mask.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_api() -> None:
    assert set(tag2mask.__all__) == {
        "Config",
        "Predictor",
        "dense_crf",
        "evaluate",
        "load",
        "make_masks",
        "predict",
        "push_to_hub",
        "train",
    }
    for name in tag2mask.__all__:
        assert getattr(tag2mask, name) is not None
    with pytest.raises(AttributeError):
        _ = tag2mask.nothing
