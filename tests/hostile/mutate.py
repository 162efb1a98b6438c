"""Files that are wrong in every way, made from right ones by a seed."""

from __future__ import annotations

import copy
import io
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
INSERTS = (b"\x00" * 40, b"\xff" * 40, b"\xef\xbb\xbf", b"\r\n\r\n", b'"', b"'", b"../../x", b"[" * 400, b"\xd8\x00")
WORDS = (
    *("", " ", "0", "-1", "1e999", "nan", "NaN", "None", "null", "true", "9" * 400, "2147483648", "0.5", "1,5", "-0"),
    *("cat", "background", "p1.jpg", "../p0.jpg", "/etc/passwd", "C:\\x\\p0.jpg", "x" * 5000, "a\nb", "\x00"),
    *("\u202e", "=1+1", "\ud83d\ude00", "%00", "https://example.org/p0.jpg", "<a>", "&amp;", "{}", "[]", "|", ";", ","),
    *("\t", '"', "\\"),
)
"""Words that stand where another was."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**70), 1.5, 1e308, float("nan"), float("inf"), "", "cat", "p1.jpg"),
    *(
        [],
        {},
        [[]],
        [None],
        {"": None},
        [1, "a"],
        "x" * 3000,
        "1",
        "a\x00b",
        [[[[1]]]],
        {"counts": [-1], "size": [0, 0]},
    ),
)
"""Values that stand where another was in a JSON document."""

_WORD = re.compile(rb"[^\s,;:=<>/\"'\[\]{}]+")


def encoded(
    kind: str, seed: int = 0, *, size: tuple[int, int] = (64, 48), mode: str = "RGB", exif: int = 0, **options: Any
) -> bytes:
    """A small image with smooth colours in a format of Pillow; size as width, height, `exif` is its orientation."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(size)
    stream = io.BytesIO()
    if exif:
        tags = Image.Exif()
        tags[274] = exif
        options["exif"] = tags
    if kind == "MPO":
        options |= {"save_all": True, "append_images": [coarse.rotate(180)]}
    coarse.convert("P" if kind == "GIF" else mode).save(stream, kind, **options)
    return stream.getvalue()


def damaged(data: bytes, name: str, count: int, seed: int) -> Iterator[bytes]:
    """`count` damaged copies of a file: of texts half have other words or values, of PNG a third other chunks.

    Args:
        data: the right file.
        name: its name, whose suffix says what it is.
        count: how many.
        seed: of the random numbers.
    """
    rng = np.random.default_rng([seed, 1])
    kinds: list[Callable[[bytes, np.random.Generator], bytes]] = []
    if name.endswith((".json", ".jsonl")):
        kinds = [other_values, other_values, other_words]
    elif name.endswith((".csv", ".txt", ".xml", ".yaml", ".tsv")):
        kinds = [other_words, other_lines]
    elif name.endswith(".png"):
        kinds = [other_chunk]
    turns = [index % (len(kinds) + 2) for index in range(count)]
    plain = mutations(data, sum(turn >= len(kinds) for turn in turns), seed)
    for turn in turns:
        yield kinds[turn](data, rng) if turn < len(kinds) else next(plain)


def other_words(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three words of a text replaced."""
    for _ in range(int(rng.integers(1, 4))):
        places = [match.span() for match in _WORD.finditer(data)]
        if not places:
            break
        start, end = places[int(rng.integers(0, len(places)))]
        word = WORDS[int(rng.integers(0, len(WORDS)))]
        data = data[:start] + word.encode("utf-8", "surrogatepass") + data[end:]
    return data


def other_lines(data: bytes, rng: np.random.Generator) -> bytes:
    """A line of a text removed, doubled, moved or joined to the next."""
    lines = data.split(b"\n")
    at, to = (int(value) for value in rng.integers(0, len(lines), 2))
    kind = int(rng.integers(0, 4))
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(to, lines[at])
    elif kind == 2:
        lines[at], lines[to] = lines[to], lines[at]
    else:
        lines[at : at + 2] = [b"".join(lines[at : at + 2])]
    return b"\n".join(lines)


def other_values(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three values of a JSON document, or of a line of JSON Lines, replaced, removed or doubled."""
    lines = data.split(b"\n")
    at = int(rng.integers(0, max(1, len(lines) - 1)))
    try:
        document = json.loads(lines[at])
    except ValueError:
        return other_words(data, rng)
    for _ in range(int(rng.integers(1, 4))):
        holders = list(_holders(document))
        if not holders:
            break
        holder, key = holders[int(rng.integers(0, len(holders)))]
        kind = int(rng.integers(0, 6))
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        else:
            holder[key] = copy.deepcopy(VALUES[int(rng.integers(0, len(VALUES)))])
    lines[at] = json.dumps(document).encode()
    return b"\n".join(lines)


def _holders(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a document: a list or an object, and an index or a key of it."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _holders(value[key])


def other_chunk(data: bytes, rng: np.random.Generator) -> bytes:
    """A PNG with one chunk whose content is damaged but whose checksum is right, or with a chunk put elsewhere."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    first, other = (int(value) for value in rng.integers(0, len(chunks), 2))
    name, body = chunks[first]
    if body and rng.integers(0, 3):
        changed = bytearray(body)
        for position in rng.integers(0, len(body), int(rng.integers(1, 4))):
            changed[position] = int(rng.integers(0, 256))
        chunks[first] = (name, bytes(changed))
    else:
        chunks.insert(other, chunks.pop(first))
    return data[:8] + b"".join(chunk(name, body) for name, body in chunks)


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
