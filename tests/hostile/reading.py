"""Reads files that are hostile on purpose in this process and prints, as JSON, how each kind ended.

    python -m tests.hostile.reading FOLDER

Run by `test_hostile.py` in a process of its own, whose memory can be measured. `fuzz.py` damages files at random.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tag2mask.core.errors import DataError
from tag2mask.data import Dataset
from tag2mask.images.decode import image_size, read_image
from tag2mask.masks import read_mask
from tests.hostile.fuzz import peak_memory
from tests.hostile.mutate import IMAGE_FORMATS, encoded, png


def main(folder: Path) -> None:
    """Read everything; any error but `DataError` ends the process."""
    counts: dict[str, dict[str, int]] = {}
    before = peak_memory()
    for kind, name, content, read in cases(folder):
        path = folder / name
        path.write_bytes(content)
        try:
            read(path)
            end = "read"
        except DataError as error:
            assert path.name in str(error) or "images" in str(error), f"{name}: the message names no file: {error}"
            end = "refused"
        except Exception as error:
            raise SystemExit(f"{name} ({len(content)} bytes): {type(error).__name__}: {error}") from error
        counts.setdefault(kind, {"read": 0, "refused": 0})[end] += 1
        path.unlink()
    peak = peak_memory()
    print(json.dumps({"counts": counts, "before_mb": before, "peak_mb": peak}))


def cases(folder: Path) -> Any:
    """Kind, file name, content and reader of each damaged file."""

    def both(path: Path) -> None:
        image_size(path)
        read_image(path)

    for number, kind in enumerate(IMAGE_FORMATS):
        yield "wrong suffix", f"w{number}.png", encoded(kind), both
        yield "wrong suffix", f"w{number}.jpg", b"no image at all", both
    for side in (65_535, 2**31 - 1, 100_000):
        yield "header", f"huge{side}.png", png(side, side), both
        yield "header", f"hugemask{side}.png", png(side, side, 3), read_mask
    # What is let through must still fit: the largest that is, and the first that is not.
    yield "bomb", "bomb1.png", png(10_488, 10_488, 2, rows=True), both
    yield "bomb", "bomb2.png", png(10_488, 10_488, 6, rows=True), both
    yield "bomb", "bomb3.png", png(10_489, 10_489, 2, rows=True), both
    yield "bomb", "bomb4.png", png(10_000, 10_000, 0, rows=True, bits=16), both
    yield from tables(folder)


def tables(folder: Path) -> Any:
    """Tables of tags, each beside a few whole images."""
    images = folder / "images"
    images.mkdir(exist_ok=True)
    for index in range(6):
        (images / f"p{index}.jpg").write_bytes(encoded("JPEG", index))
    names = [f"p{index}.jpg" for index in range(6)]
    read: Callable[[Path], Any] = lambda path: Dataset.load(images, path)  # noqa: E731
    rows = "\n".join(f"{name},{'cat' if index % 2 else 'dog cat'}" for index, name in enumerate(names))
    plain = f"image,tags\n{rows}\n"
    deep = b"[" * 200_000 + b"]" * 200_000
    lolz = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    for name, content in {
        "deep.json": deep,
        "deep.jsonl": b'{"image": ' + deep + b"}\n",
        "number.json": b'{"images": [{"id": ' + b"9" * 100_000 + b', "file_name": "p0.jpg"}]}',
        "nan.json": b'{"images": [{"id": NaN, "file_name": "p0.jpg"}], "annotations": [], "categories": []}',
        "many.json": b'{"images": [' + b",".join([b'{"id": 1, "file_name": "p0.jpg"}'] * 50_000) + b"]}",
        "laughs.xml": f'<!DOCTYPE a [<!ENTITY l0 "ha">{lolz}]><annotations>&l11;</annotations>'.encode(),
        "file.xml": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>',
        "nested.xml": b"<a>" * 100_000 + b"</a>" * 100_000,
    }.items():
        yield "special", name, content, read
    wide = "image," + ",".join(f"c{column}" for column in range(100_000)) + "\np0.jpg" + ",1" * 100_000
    special = {
        "bom": b"\xef\xbb\xbf" + plain.encode(),
        "crlf": plain.replace("\n", "\r\n").encode(),
        "utf16": plain.encode("utf-16"),
        "latin": plain.replace("cat", "k\xe4fer").encode("latin-1"),
        "nul": plain.replace("cat", "c\x00t").encode(),
        "quotes": b'image,tags\n"p0.jpg,cat\np1.jpg,"dog""\n',
        "traversal": b"image,tags\n../../etc/passwd,cat\n/etc/passwd,dog\n..\\..\\x.jpg,cat\n",
        "empty": b"",
        "columns": wide.encode(),
        "line": b"image,tags\n" + b"x" * 20_000_000,
        "same": b"image,tags\n" + b"p0.jpg,cat\n" * 100_000,
        "binary": encoded("PNG"),
    }
    for name, content in special.items():
        yield "table", f"{name}.csv", content, read


if __name__ == "__main__":
    main(Path(sys.argv[1]))
