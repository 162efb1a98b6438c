"""Files that are wrong in every way, made from right ones by a seed."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
INSERTS = (b"\x00" * 40, b"\xff" * 40, b"\xef\xbb\xbf", b"\r\n\r\n", b'"', b"'", b"../../x", b"[" * 400, b"\xd8\x00")


def encoded(kind: str, seed: int = 0) -> bytes:
    """A small image with smooth colours in a format of Pillow."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((64, 48))
    stream = io.BytesIO()
    (coarse.convert("P") if kind == "GIF" else coarse).save(stream, kind)
    return stream.getvalue()


def mutations(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """`count` damaged copies: cut at every part, bytes flipped, pieces removed, doubled, put in."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        kind = index % 6
        at, to = sorted(int(value) for value in rng.integers(0, len(data) + 1, 2))
        if kind == 0:
            yield data[: len(data) * (index // 6) // max(1, count // 6)]  # cut at every part
        elif kind == 1:
            flipped = bytearray(data)
            for position in rng.integers(0, len(data), int(rng.integers(1, 9))):
                flipped[position] ^= 1 << int(rng.integers(0, 8))
            yield bytes(flipped)
        elif kind == 2:
            yield data[:at] + data[to:]
        elif kind == 3:
            yield data[:to] + data[at:to] + data[to:]
        elif kind == 4:
            yield data[:at] + INSERTS[int(rng.integers(0, len(INSERTS)))] + data[at:]
        else:
            noise = rng.integers(0, 256, to - at, dtype=np.uint8).tobytes()
            yield data[:at] + noise + data[to:]


def png(width: int, height: int, colour: int = 2, *, rows: bool = False, bits: int = 8) -> bytes:
    """A PNG of zeros; with `rows` all its pixels are there (a bomb), else next to none."""
    channels = {0: 1, 2: 3, 3: 1, 6: 4}[colour]
    packer = zlib.compressobj(1)
    line = b"\x00" * (1 + width * channels * bits // 8 if rows else 1000)
    body = b"".join(packer.compress(line) for _ in range(height if rows else 3)) + packer.flush()
    palette = chunk(b"PLTE", bytes(range(6))) if colour == 3 else b""
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + palette + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
