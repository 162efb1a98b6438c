"""What the indices and colours of a folder of masks mean, written beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tag2mask.core.files import write_text
from tag2mask.masks.palette_png import voc_colours


def write_label_map(folder: Path, classes: Sequence[str]) -> None:
    """Write `classes.txt` and `labelmap.txt` into `folder`.

    `classes.txt` names one class per line, without background: the class of line k has index k.
    `labelmap.txt` has one line `name:r,g,b::` per index, background first, as annotation tools
    that import PASCAL VOC masks expect it.

    Args:
        folder: made if missing.
        classes: names without background, in the order of their indices.

    Raises:
        DataError: a file cannot be written.
    """
    write_text(folder / "labelmap.txt", label_map(classes))
    write_text(folder / "classes.txt", "".join(f"{name}\n" for name in classes))


def label_map(classes: Sequence[str]) -> str:
    """The content of `labelmap.txt`."""
    colours = voc_colours()
    lines = ["# name:color_rgb:parts:actions"]
    for index, name in enumerate(["background", *classes]):
        red, green, blue = (int(value) for value in colours[index])
        lines.append(f"{name}:{red},{green},{blue}::")
    return "\n".join(lines) + "\n"
