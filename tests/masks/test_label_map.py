from __future__ import annotations

from pathlib import Path

from tag2mask.masks import write_label_map
from tag2mask.masks.class_names import read_classes


def test_label_map(tmp_path: Path) -> None:
    write_label_map(tmp_path / "masks", ["cat", "fire truck"])
    lines = (tmp_path / "masks" / "labelmap.txt").read_text().splitlines()
    assert lines == [
        "# name:color_rgb:parts:actions",
        "background:0,0,0::",
        "cat:128,0,0::",
        "fire truck:0,128,0::",
    ]
    assert read_classes(tmp_path / "masks" / "classes.txt") == ("cat", "fire truck")
