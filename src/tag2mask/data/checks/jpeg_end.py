"""Whether a JPEG file is complete.

libjpeg fills what is missing with grey and only warns, and Pillow does not pass the warning on: an interrupted
download that was padded with zeros can be decoded. The format has an end marker (EOI, ITU-T T.81 B.1.1.3), which
is looked for behind the entropy-coded data, not in embedded previews.
"""

from __future__ import annotations

import re

_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
_SCAN, _END = 0xDA, 0xD9
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})


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
