"""Masks made by people and by other tools, as class indices: what their values or colours mean, and how that was found.

In this order:

1. A label map beside or above the mask (`tag2mask.masks.label_map`) names each colour or value: colour, name, index.
   Of a palette PNG the palette's colours count, if the label map has all that occur; else its indices.
2. A palette or grey PNG holds class indices.
3. A colour PNG without label map holds the colours of PASCAL VOC's palette, or grey that stands for class indices.

Anything else is refused: a colour does not say which class it means. `read_mask` of `tag2mask.masks.palette_png` reads
what this package wrote; this module reads ground truth, corrected masks and predictions from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from tag2mask.core.constants import BACKGROUND, IGNORE_INDEX
from tag2mask.core.errors import DataError
from tag2mask.images.decode import load_pixels, open_image
from tag2mask.masks.label_map import LABEL_MAP, LabelMap, find_label_map, shown_colour
from tag2mask.masks.palette_png import grey_bits, stored_values, value_counts, voc_colours, why_no_mask

INDICES = ""
"""The way of a mask whose values are class indices: nothing was guessed."""

BLACK = "in colour and black all over, taken as background"
GREY = "in colour, but grey (red = green = blue), taken as class indices"
VOC = f"in colour without {LABEL_MAP}, read by the colours of PASCAL VOC's palette"
DEEP = "of 16 bits a pixel, taken as class indices"

_STRIP = 1 << 20  # pixels of a colour image that are looked at together
_SHOWN = 4
_MOST_COLOURS = 4096  # of a mask; an image has more


class InterpretedMask(NamedTuple):
    """A mask and how it was read.

    Attributes:
        mask: (H, W) uint8 class indices, or `IGNORE_INDEX`; indices that no class has are kept as they are.
        way: what was guessed or looked up, for people; `INDICES` where nothing was.
    """

    mask: NDArray[np.uint8]
    way: str = INDICES


def interpret_mask(path: Path, classes: Sequence[str]) -> InterpretedMask:
    """Read a mask from anywhere as indices of `classes`.

    Args:
        path: a PNG.
        classes: names without background, in the order of their indices.

    Raises:
        DataError: the file is missing, damaged or no PNG; a colour or value has no meaning, or that of a class
            which is not among `classes`; pixels are partly transparent, or hold values above 255.
    """
    with open_image(path, formats=("PNG",), remedy=_remedy(path)) as image:
        bits = grey_bits(image)
        load_pixels(image, path)
        labels = find_label_map(path.parent)
        if image.mode in {"P", "L", "1"}:
            return _of_values(stored_values(image, bits), _colours_of(image), labels, classes, path)
        if image.mode.startswith("I"):
            return _of_values(_shallow(image, path), None, labels, classes, path, way=DEEP)
        _check_opaque(image, path)
        return _of_colours(image, labels, classes, path)


def _remedy(path: Path) -> str:
    if path.suffix.lower() in {".jpg", ".jpeg"}:
        return "masks are PNGs of class indices: JPEG changes values; save the mask as PNG where it was drawn"
    return "masks are PNGs of class indices"


def _shallow(image: ImageFile.ImageFile, path: Path) -> NDArray[np.uint8]:
    """Pixels of more than 8 bits that fit into 8."""
    values = np.asarray(image)
    if values.size and (int(values.max()) > IGNORE_INDEX or int(values.min()) < 0):
        raise DataError(
            f"{path}: this mask has 16 bits a pixel and holds {int(values.max())}; class indices are 0 to "
            f"{IGNORE_INDEX - 1}, or {IGNORE_INDEX} to ignore: save the indices as uint8"
        )
    return values.astype(np.uint8)


def _check_opaque(image: ImageFile.ImageFile, path: Path) -> None:
    if image.mode not in {"RGB", "RGBA", "LA"}:
        raise DataError(f"{path}: {why_no_mask(image.mode)}")
    if image.mode != "RGB":
        low, _ = image.getchannel("A").getextrema()
        if low != 255:
            raise DataError(
                f"{path}: this mask has transparent pixels ({image.mode}), which do not say whether they are "
                "background; save it without transparency, as a palette or 8-bit grey PNG of class indices"
            )


def _colours_of(image: ImageFile.ImageFile) -> NDArray[np.uint32]:
    """Packed colour of each value, (n,) with n <= 256; a palette may be short."""
    if image.mode != "P":
        return np.arange(256, dtype=np.uint32) * np.uint32(0x010101)
    palette = np.array(image.getpalette("RGB") or [], dtype=np.uint32)
    return _pack(palette[: len(palette) // 3 * 3].reshape(-1, 3))


def _pack(colours: NDArray[Any]) -> NDArray[np.uint32]:
    red, green, blue = (colours[..., k].astype(np.uint32) for k in range(3))
    return np.asarray(red << 16 | green << 8 | blue, dtype=np.uint32)


def _of_values(
    values: NDArray[np.uint8],
    colours: NDArray[np.uint32] | None,
    labels: LabelMap | None,
    classes: Sequence[str],
    path: Path,
    *,
    way: str = INDICES,
) -> InterpretedMask:
    """A palette or grey mask: class indices, unless a label map says otherwise."""
    if labels is None:
        return InterpretedMask(values, way)
    used = np.flatnonzero(value_counts(values)).tolist()
    if labels.by_value:
        keys = {value: value for value in used}
    elif colours is None:
        return InterpretedMask(values, way)
    else:
        keys = {value: int(colours[value]) for value in used if value < len(colours)}
    # Background and 255 mean the same in all of these tools, named or not. Other black values say nothing.
    named = {value: key for value, key in keys.items() if key in labels.names and (key or labels.by_value or not value)}
    if not set(used) <= named.keys() | {BACKGROUND, IGNORE_INDEX}:
        return InterpretedMask(values, way)
    table = np.arange(256, dtype=np.uint8)
    for value, key in named.items():
        table[value] = _index_of(labels, key, classes, path)
    if all(table[value] == value for value in used):
        return InterpretedMask(values, way)
    return InterpretedMask(table[values], f"{way or 'of indices'}, translated by {labels.path}")


def _of_colours(
    image: ImageFile.ImageFile, labels: LabelMap | None, classes: Sequence[str], path: Path
) -> InterpretedMask:
    found: set[int] = set()
    for _, runs in _runs(image):
        found.update(np.unique(runs.colours).tolist())
        if len(found) > _MOST_COLOURS:
            raise DataError(f"{path}: {_unknown_colours(sorted(found), image.mode)}")
    colours = sorted(found)
    if labels is not None and not labels.by_value:
        table, way = _by_label_map(colours, labels, classes, path), f"in colour, read by {labels.path}"
    else:
        table, way = _by_convention(colours, classes)
        if not table:
            raise DataError(f"{path}: {_unknown_colours(colours, image.mode)}")
    keys = np.array(colours, dtype=np.uint32)
    values = np.array([table[key] for key in colours], dtype=np.uint8)
    mask = np.empty((image.height, image.width), dtype=np.uint8)
    for rows, runs in _runs(image):
        mask[rows] = np.repeat(values[np.searchsorted(keys, runs.colours)], runs.lengths).reshape(-1, image.width)
    return InterpretedMask(mask, way)


class _Runs(NamedTuple):
    """Pixels of one colour after each other: packed colours, and how many pixels each."""

    colours: NDArray[np.uint32]
    lengths: NDArray[np.int64]


def _runs(image: Image.Image) -> Iterator[tuple[slice, _Runs]]:
    """Strips of an image, as runs: a mask has few of them, and a large one is not held four times."""
    step = max(1, _STRIP // image.width)
    for top in range(0, image.height, step):
        strip = image.crop((0, top, image.width, min(top + step, image.height)))
        flat = _pack(np.asarray(strip.convert("RGB"))).ravel()
        starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
        yield slice(top, top + step), _Runs(flat[starts], np.diff(starts, append=flat.size))


def _by_label_map(found: Sequence[int], labels: LabelMap, classes: Sequence[str], path: Path) -> dict[int, int]:
    """Class index of each colour that occurs."""
    table: dict[int, int] = {}
    strangers = []
    for colour in found:
        if colour in labels.names:
            table[colour] = _index_of(labels, colour, classes, path)
        elif colour == 0:
            table[colour] = BACKGROUND
        elif colour == _VOID:
            table[colour] = IGNORE_INDEX
        else:
            strangers.append(colour)
    if strangers:
        raise DataError(
            f"{path}: {_some(strangers)} {'is' if len(strangers) == 1 else 'are'} not in {labels.path}; give the "
            "label map of this mask, and save masks without smoothing or compression"
        )
    return table


def _index_of(labels: LabelMap, key: int, classes: Sequence[str], path: Path) -> int:
    index = labels.index(key, classes)
    if index is None:
        raise DataError(f"{path}: {labels.unknown_name(key, classes)}")
    return index


def _by_convention(colours: Sequence[int], classes: Sequence[str]) -> tuple[dict[int, int], str]:
    """Class index of each colour that occurs, without a label map; none where that cannot be known."""
    if list(colours) == [0]:
        return {0: BACKGROUND}, BLACK
    for table, way in ((_voc(len(classes)), VOC), (_grey(len(classes)), GREY)):
        if all(colour in table for colour in colours):
            return table, way
    return {}, ""


_VOID = int(_pack(voc_colours()[IGNORE_INDEX]))


def _voc(count: int) -> dict[int, int]:
    packed = _pack(voc_colours()).tolist()
    return {packed[index]: index for index in (*range(count + 1), IGNORE_INDEX)}


def _grey(count: int) -> dict[int, int]:
    return {index * 0x010101: index for index in (*range(count + 1), IGNORE_INDEX)}


def _unknown_colours(found: Sequence[int], mode: str) -> str:
    colours = [colour for colour in found if colour]
    return (
        f"this mask is a colour image ({mode}), which does not say which class a colour means ({_some(colours)}); put "
        f"{LABEL_MAP} beside it, with lines such as `name:{shown_colour(colours[0])}::` (CVAT exports it), or save the "
        "class indices as a palette or 8-bit grey PNG"
    )


def _some(colours: Sequence[int]) -> str:
    shown = "; ".join(shown_colour(colour) for colour in colours[:_SHOWN])
    more = f" and {len(colours) - _SHOWN} more" if len(colours) > _SHOWN else ""
    return f"colour{'s' * (len(colours) > 1)} {shown}{more}"
