"""Masks as palette PNGs: pixel values are class indices, the palette makes them visible."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.core.errors import DataError
from tag2mask.core.files import atomic_path
from tag2mask.images.decode import IMAGE_SUFFIXES, load_pixels, open_image

_PIECE = 1 << 22


@lru_cache(maxsize=1)
def _colours() -> NDArray[np.uint8]:
    index = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):  # bits 0, 1, 2 of the index feed red, green, blue from the top bit down
        for channel in range(3):
            colours[:, channel] |= (((index >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    colours.setflags(write=False)
    return colours


def voc_colours() -> NDArray[np.uint8]:
    """Colour map of PASCAL VOC by its bit rule: uint8 (256, 3) RGB, read-only; 255 is whitish."""
    return _colours()


def voc_hex(index: int) -> str:
    """Colour of a class index in `voc_colours` as `#rrggbb`."""
    red, green, blue = voc_colours()[index].tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"


def mask_path(folder: Path, name: str) -> Path:
    """Where the mask of the image `name` lies in `folder`: subfolders kept, suffix replaced by .png.

    A suffix that is not an image's stays: `scan.001` becomes `scan.001.png`.

    Raises:
        DataError: the name is absolute or leads out of the folder.
    """
    pure = PurePosixPath(name)
    if pure.is_absolute() or Path(name).drive or ".." in pure.parts or not pure.name:
        raise DataError(f"{name!r}: a name inside the folder was expected, without .. and not absolute")
    stem = pure.stem if pure.suffix.lower() in IMAGE_SUFFIXES else pure.name
    return folder / pure.parent / f"{stem}.png"


def write_mask(path: Path, mask: NDArray[Any], *, classes: int | None = None) -> None:
    """Write a mask as an 8-bit palette PNG, atomically.

    Args:
        path: ends in .png; folders are created.
        mask: integers (H, W), class indices, `IGNORE_INDEX` where undecided.
        classes: number of classes without background; a larger index is refused. None: 254.

    Raises:
        DataError: the file cannot be written.
        ValueError: the mask is not (H, W) integers, or an index is out of range.

    Example:
        >>> write_mask(Path("masks/a.png"), np.array([[0, 1], [1, IGNORE_INDEX]]), classes=1)
        >>> read_mask(Path("masks/a.png")).tolist()
        [[0, 1], [1, 255]]
    """
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: a mask is written as .png")
    try:
        content = encode_mask(mask, classes=classes)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def encode_mask(mask: NDArray[Any], *, classes: int | None = None) -> bytes:
    """The content of the palette PNG that `write_mask` writes.

    Raises:
        ValueError: as `write_mask`.
    """
    if mask.ndim != 2 or mask.size == 0 or mask.dtype.kind not in "iu":
        raise ValueError(f"a mask is integers (H, W) with H, W > 0; got {mask.dtype} {mask.shape}")
    limit = IGNORE_INDEX - 1 if classes is None else classes
    wrong = (mask != IGNORE_INDEX) & ((mask < 0) | (mask > limit))
    if wrong.any():
        raise ValueError(f"class index {int(mask[wrong][0])}; expected 0 to {limit}, or {IGNORE_INDEX}")
    pixels = np.ascontiguousarray(mask, np.uint8)
    image = Image.frombytes("P", (pixels.shape[1], pixels.shape[0]), pixels.tobytes())
    image.putpalette(voc_colours().tobytes())
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Read a mask from a palette PNG or a single-channel PNG of class indices, such as this package writes.

    Ground truth and corrected masks, which may come from other tools, are read by
    `tag2mask.masks.interpret.interpret_mask`.

    Returns:
        uint8 (H, W): the pixel values as stored; for a palette PNG the indices, not the colours.

    Raises:
        DataError: the file is missing, damaged, not a PNG, in colour, with transparency, or has 16 bits.

    Example, in a folder with masks of a disc and a square:
        >>> mask = read_mask(Path("gt/shape_002.png"))
        >>> mask.shape, mask.dtype, sorted(set(mask.ravel().tolist()))
        ((48, 64), dtype('uint8'), [0, 1, 2])
    """
    with open_image(path, formats=("PNG",), remedy="masks are PNGs of class indices") as image:
        bits = grey_bits(image)
        load_pixels(image, path)
        if image.mode not in {"P", "L", "1"}:
            raise DataError(f"{path}: {why_no_mask(image.mode)}")
        return stored_values(image, bits)


def stored_values(image: Image.Image, bits: int) -> NDArray[np.uint8]:
    """The values (H, W) of a decoded palette or grey image as stored; `bits` a pixel by `grey_bits`."""
    values = np.array(image, np.uint8)
    # Pillow spreads grey of 2 and 4 bits over 0..255; class indices want the stored values.
    return values // np.uint8({2: 85, 4: 17}[bits]) if image.mode == "L" and bits in {2, 4} else values


def value_counts(mask: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pixels of each value of a mask (H, W), int64 (256,); in pieces, since `np.bincount` takes 8 bytes a pixel."""
    flat = mask.ravel()
    total = np.zeros(256, np.int64)
    for start in range(0, len(flat), _PIECE):
        total += np.bincount(flat[start : start + _PIECE], minlength=256)
    return total


def grey_bits(image: ImageFile.ImageFile) -> int:
    """Bits a sample of an opened PNG, by its header. Call before decoding."""
    stream = image.fp
    if stream is None:
        return 8
    position = stream.tell()
    stream.seek(24)
    bits = stream.read(1)[0]
    stream.seek(position)
    return bits


def why_no_mask(mode: str) -> str:
    """Why an image in a mode of Pillow is no mask, with the remedy."""
    expected = "expected a palette or 8-bit grey PNG whose pixel values are class indices"
    if mode in {"RGB", "RGBA"}:
        return (
            f"this mask is a colour image ({mode}), which does not say which class a colour means; "
            f"{expected}: save the indices, not the rendered colours"
        )
    if mode.startswith("I"):
        return f"this mask has 16 bits a pixel; {expected}: save it as uint8"
    return f"this mask has pixels of mode {mode}; {expected}"
