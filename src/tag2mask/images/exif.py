"""The EXIF orientation of an image: how its stored pixels are turned for display."""

from __future__ import annotations

import struct

from PIL import ImageFile, TiffImagePlugin

_ORIENTATION_TAG = 274


def orientation_of(image: ImageFile.ImageFile) -> int:
    """EXIF orientation, 1 to 8; 1 if there is none or it cannot be read. Call before decoding."""
    if image.format == "HEIF":  # libheif has turned it
        return 1
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        value = image.tag_v2.get(_ORIENTATION_TAG, 1)
        return value if isinstance(value, int) and 1 <= value <= 8 else 1
    exif = image.info.get("exif")
    if exif is None and image.format == "PNG":
        exif = _raw_profile(image) or _late_png_exif(image)
    return _exif_orientation(exif) if isinstance(exif, bytes) else 1


def _exif_orientation(exif: bytes) -> int:
    # The first directory of a TIFF header, read here: Pillow warns of damaged EXIF or fails on it.
    data = exif.removeprefix(b"Exif\x00\x00")
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        for entry in range(count):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", data, start + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG:
                return value if kind == 3 and 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def _raw_profile(image: ImageFile.ImageFile) -> bytes | None:
    text = image.info.get("Raw profile type exif")
    if not isinstance(text, str):
        return None
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return None


def _late_png_exif(image: ImageFile.ImageFile) -> bytes | None:
    """The eXIf chunk of a PNG at any position: behind the pixels, Pillow reads it only after decoding."""
    stream = image.fp
    if stream is None:
        return None
    position = stream.tell()
    try:
        stream.seek(8)
        while len(head := stream.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf":
                return stream.read(length)
            stream.seek(length + 4, 1)
    finally:
        stream.seek(position)
    return None
