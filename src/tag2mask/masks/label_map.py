"""Label maps: what the indices and colours of a folder of masks mean, as annotation tools write and read it.

- `labelmap.txt` of CVAT and Datumaro ("Segmentation mask 1.1"): lines `name:r,g,b:parts:actions`;
- `label_colors.txt` of CamVid: lines `r g b name`;
- `class_dict.csv` of DeepGlobe: columns `name,r,g,b`;
- `_classes.csv` of Roboflow ("semantic segmentation masks"): columns `Pixel Value, Class`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tag2mask.core.constants import BACKGROUND, IGNORE_INDEX
from tag2mask.core.errors import DataError
from tag2mask.core.files import write_text
from tag2mask.masks.class_names import nearest, write_classes
from tag2mask.masks.palette_png import voc_colours

LABEL_MAP = "labelmap.txt"
"""File beside masks that names the colour of each class."""

UNDECIDED = "undecided"
"""Name of `IGNORE_INDEX` in a label map."""

_BACKGROUND = frozenset({"background", "__background__", "_background_", "bg"})
_IGNORED = frozenset({UNDECIDED, "ignore", "ignored", "void", "unlabeled", "unlabelled", "unknown"})
_LINE = re.compile(r"(.+?):\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*(?::.*)?")
_CAMVID = re.compile(r"(\d+)\s+(\d+)\s+(\d+)\s+(\S.*)")
_ABOVE = 3  # folders above that of a mask in which its label map may lie
_LARGEST = 1 << 20  # bytes of a label map


@dataclass(frozen=True, slots=True)
class LabelMap:
    """What the values of masks mean.

    Attributes:
        path: the file it was read from.
        names: name by colour, as `red << 16 | green << 8 | blue`; or by pixel value.
        by_value: whether it is by pixel value.
    """

    path: Path
    names: dict[int, str]
    by_value: bool = False

    def index(self, key: int, classes: Sequence[str]) -> int | None:
        """Class index that a colour or pixel value stands for; None where its name is no class here.

        Background is 0; `void`, `ignore` and the like are `IGNORE_INDEX`, unless a class has this name.
        """
        name = self.names[key]
        if name in classes:
            return classes.index(name) + 1
        folded = name.casefold()
        alike = [k for k, one in enumerate(classes, start=1) if one.casefold() == folded]
        if len(alike) == 1:
            return alike[0]
        if folded in _BACKGROUND:
            return BACKGROUND
        return IGNORE_INDEX if folded in _IGNORED else None

    def unknown_name(self, key: int, classes: Sequence[str]) -> str:
        """Why a colour or pixel value that occurs has no class index, with the remedy."""
        name = self.names[key]
        return (
            f"{self.path.name} calls {self.shown(key)} {name!r}, which is not a class here{nearest(name, classes)} "
            f"(they are {', '.join(classes)}); add it to the classes, or rename it in {self.path} to one of them or to "
            "`background`"
        )

    def shown(self, key: int) -> str:
        """A colour or pixel value for people."""
        return f"the value {key}" if self.by_value else f"the colour {shown_colour(key)}"


def shown_colour(packed: int) -> str:
    """`r,g,b` of `red << 16 | green << 8 | blue`."""
    return f"{packed >> 16},{packed >> 8 & 255},{packed & 255}"


def find_label_map(folder: Path) -> LabelMap | None:
    """The label map of the masks in `folder`: the nearest one there, or in the three folders above.

    Raises:
        DataError: it gives a colour to two classes, or it cannot be read.
    """
    here = folder.resolve()
    for place in [here, *here.parents][: _ABOVE + 1]:
        for name, parse in _FILES.items():
            path = place / name
            try:
                state = path.stat()
            except OSError:
                continue
            found = _read(path, state.st_mtime_ns, state.st_size, parse)
            if found is not None:
                return found
    return None


@lru_cache(maxsize=64)
def _read(path: Path, changed: int, size: int, parse: Callable[[Sequence[str]], _Entries | None]) -> LabelMap | None:
    """The label map in a file; None where the file is something else of the same name."""
    if not path.is_file() or size > _LARGEST:
        return None
    try:
        text = path.read_bytes().decode("utf-8-sig", "replace")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    lines = [line.strip() for line in text.splitlines()]
    entries = parse([line for line in lines if line and not line.startswith("#")])
    if not entries:
        return None
    names: dict[int, str] = {}
    for key, name in entries:
        if names.setdefault(key, name) != name:
            raise DataError(
                f"{path}: {names[key]!r} and {name!r} have the same colour or value; give each class its own"
            )
    return LabelMap(path, names, by_value=parse is _roboflow)


_Entries = list[tuple[int, str]]


def _packed(values: Sequence[str]) -> int:
    red, green, blue = (int(value) for value in values)
    if max(red, green, blue) > 255:
        raise ValueError("a colour above 255")
    return red << 16 | green << 8 | blue


def _cvat(lines: Sequence[str]) -> _Entries | None:
    matches = [_LINE.fullmatch(line) for line in lines]
    try:
        return [(_packed(m.groups()[1:]), m.group(1).strip()) for m in matches if m is not None]
    except ValueError:
        return None


def _camvid(lines: Sequence[str]) -> _Entries | None:
    matches = [_CAMVID.fullmatch(line) for line in lines]
    try:
        return [(_packed(m.groups()[:3]), m.group(4).strip()) for m in matches if m is not None]
    except ValueError:
        return None


def _table(lines: Sequence[str]) -> Iterator[list[str]]:
    for row in csv.reader(lines):
        yield [cell.strip() for cell in row]


def _deepglobe(lines: Sequence[str]) -> _Entries | None:
    try:
        rows = list(_table(lines))
        if not rows or [cell.casefold() for cell in rows[0]] != ["name", "r", "g", "b"]:
            return None
        return [(_packed(row[1:]), row[0]) for row in rows[1:] if row]
    except (ValueError, csv.Error):
        return None


def _roboflow(lines: Sequence[str]) -> _Entries | None:
    try:
        rows = list(_table(lines))
        if not rows or [cell.casefold() for cell in rows[0]] != ["pixel value", "class"]:
            return None
        return [(int(row[0]), row[1]) for row in rows[1:] if row and 0 <= int(row[0]) <= IGNORE_INDEX]
    except (ValueError, IndexError, csv.Error):
        return None


_FILES: dict[str, Callable[[Sequence[str]], _Entries | None]] = {
    LABEL_MAP: _cvat,
    "label_colors.txt": _camvid,
    "class_dict.csv": _deepglobe,
    "_classes.csv": _roboflow,
}


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
    write_text(folder / LABEL_MAP, label_map(classes))
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
