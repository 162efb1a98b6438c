"""Whether a JPEG file is complete, and whether one that lacks its end marker lacks anything else.

libjpeg fills what is missing with grey and only warns, and Pillow does not pass the warning on: an interrupted
download that was padded with zeros can be decoded. The format has an end marker (EOI, ITU-T T.81 B.1.1.3), which
is looked for behind the entropy-coded data, not in embedded previews.

Some cameras and programs leave out the marker alone. A file without it is decoded with different bytes appended: where
all blocks are there, they change nothing; where one is missing, they become pixels.
"""

from __future__ import annotations

import hashlib
import io
import re
from typing import IO

from PIL import JpegImagePlugin

_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
_SCAN, _END = 0xDA, 0xD9
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
_EOI = b"\xff\xd9"
_TAIL = 1 << 12
_TAILS = (b"", b"\x55" * 64, b"\xaa" * 64)  # the first bits of the last two differ: a missing bit is seen
_PADDING = 8  # so many zeros at the end are no data any more
_COEFFICIENTS = 64


def jpeg_is_whole(data: bytes) -> bool:
    """Whether the JPEG `data` has its end marker behind its last scan. What follows it is not looked at."""
    if not data.startswith(b"\xff\xd8"):
        return True
    position = 2
    while (match := _MARKER.search(data, position)) is not None:
        marker, position = match.group(1)[0], match.end()
        if marker == _END:
            return True
        if marker not in _BARE:
            position += int.from_bytes(data[position : position + 2])  # the segment; a scan's data follows it
    return False


def stream_is_whole(stream: IO[bytes]) -> bool:
    """As `jpeg_is_whole`, of an open file; of most files its last bytes are enough. The position stays."""
    position = stream.tell()
    try:
        size = stream.seek(0, io.SEEK_END)
        stream.seek(max(0, size - _TAIL))
        if stream.read().rstrip(b"\0").endswith(_EOI):  # within entropy-coded data these two bytes do not occur
            return True
        stream.seek(0)
        return jpeg_is_whole(stream.read())
    finally:
        stream.seek(position)


def with_end(data: bytes) -> bytes | None:
    """The JPEG `data` with an end marker, if that is all it lacks; None where part of the image is missing.

    Raises:
        Exception: whatever a decoder raises on damaged data.
    """
    stripped = data.rstrip(b"\0")
    if len(data) - len(stripped) > _PADDING:
        data = stripped
    if not _has_all_scans(data):
        return None
    digests = set()
    for tail in _TAILS:
        with JpegImagePlugin.JpegImageFile(io.BytesIO(data + tail + _EOI)) as image:
            image.load()
            digests.add(hashlib.blake2b(image.tobytes()).digest())
        if len(digests) > 1:
            return None
    return data + _EOI


def _has_all_scans(data: bytes) -> bool:
    """Whether the scans that have begun give every coefficient of every component to its last bit.

    A progressive JPEG (ITU-T T.81 G.1.1) that was cut between two scans shows the whole image, coarsely.
    """
    missing: dict[int, list[bool]] = {}
    position = 2
    while (match := _MARKER.search(data, position)) is not None:
        marker, position = match.group(1)[0], match.end()
        if marker in _BARE or marker == _END:
            continue
        length = int.from_bytes(data[position : position + 2])
        body = data[position + 2 : position + length]
        position += length
        if marker in _FRAMES:
            missing = {component: [True] * _COEFFICIENTS for component in body[6::3]}
        elif marker == _SCAN:
            _mark_scan(body, missing)
    return bool(missing) and not any(any(coefficients) for coefficients in missing.values())


def _mark_scan(body: bytes, missing: dict[int, list[bool]]) -> None:
    """Take the coefficients that a scan completes out of those that are missing."""
    count = body[0] if body else 0
    if len(body) < 4 + 2 * count:
        return
    first, last, low = body[1 + 2 * count], body[2 + 2 * count], body[3 + 2 * count] & 15
    if low:  # lower bits follow in another scan
        return
    for component in body[1 : 1 + 2 * count : 2]:
        if component in missing:
            missing[component][first : last + 1] = [False] * len(missing[component][first : last + 1])
