"""`labelmap.txt`: what the indices and colours of a folder of masks mean, as annotation tools read it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.core.files import write_text
from tag2mask.masks.class_names import write_classes
from tag2mask.masks.palette_png import voc_colours

UNDECIDED = "undecided"
"""Name of `IGNORE_INDEX` in a label map."""


def write_label_map(folder: Path, classes: Sequence[str]) -> None:
    """Write `classes.txt` and `labelmap.txt` into `folder`.

    `classes.txt` names one class per line, without background: the class of line k has index k.
    `labelmap.txt` has one line `name:r,g,b::` per index, background first, as annotation tools
    that import PASCAL VOC masks expect it.

    Args:
        folder: created if missing.
        classes: names without background, in the order of their indices.

    Raises:
        DataError: a file cannot be written.
    """
    write_text(folder / "labelmap.txt", label_map(classes))
    write_classes(folder, classes)


def label_map(classes: Sequence[str], *, undecided: bool = False) -> str:
    """The content of `labelmap.txt`.

    Args:
        classes: names without background, in the order of their indices.
        undecided: also give 255 a name, `UNDECIDED`.
    """
    named = [*enumerate(["background", *classes]), *([(IGNORE_INDEX, UNDECIDED)] if undecided else [])]
    lines = ["# name:color_rgb:parts:actions"]
    for index, name in named:
        red, green, blue = voc_colours()[index].tolist()
        lines.append(f"{name}:{red},{green},{blue}::")
    return "\n".join(lines) + "\n"
