"""A folder of frozen features that grows: which images it holds, and how further ones are added.

`index.json` says what the features depend on beside the images: backbones, sizes, channels. `images.jsonl` has a line
for each image whose features are there, in the order in which they lie in the flat files; where they start follows
from the sizes of those before. An image is found by its path, size in bytes and time of change.

Data are written and flushed before the line that says that they are there, and a line that was cut off does not count:
what a crash leaves behind is overwritten.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError, WeightsError
from tag2mask.core.files import atomic_path, write_text
from tag2mask.core.lock import LOCK
from tag2mask.core.text import printable
from tag2mask.models import read_safetensors
from tag2mask.models.frozen import FrozenFeatures
from tag2mask.training.feature_files import KINDS, FeatureStore, Layout, Shapes, Size, arrays_of, kind_type

VERSION = 4
"""Of what features contain and how they are kept; those of other versions are computed again."""

INDEX = "index.json"
IMAGES = "images.jsonl"
PROJECTION = "projection.safetensors"

SAMPLE = 100
"""Images that the projection is fitted to, if there are so many."""


class KeptImages:
    """Which images a folder holds.

    Attributes:
        folder: the folder.
        layout: channels of the features.
        end: length in bytes of the valid part of `images.jsonl`.
    """

    def __init__(self, folder: Path, layout: Layout):
        """Read what is there; a line that was cut off, and all behind it, counts for nothing."""
        self.folder, self.layout = folder, layout
        self.keys: dict[str, int] = {}
        self.shapes: list[Shapes] = []
        self._starts: list[list[int]] = []
        self.ends = [0] * len(KINDS)
        self.end = 0
        sizes = [_bytes(folder / f"{kind}.bin") // kind_type(kind).itemsize for kind in KINDS]
        with suppress(FileNotFoundError), (folder / IMAGES).open("rb") as file:
            for line in file:
                found = _parsed(line)
                if found is None or any(np.add(self.ends, layout.lengths(found[1])) > sizes):
                    break
                self.add(*found)
                self.end += len(line)

    def add(self, key: str, shapes: Shapes) -> None:
        """Count a further image, whose arrays lie behind the last."""
        self.keys[key] = len(self.shapes)
        self.shapes.append(shapes)
        self._starts.append(self.ends)
        self.ends = [start + length for start, length in zip(self.ends, self.layout.lengths(shapes), strict=True)]

    def store(self, keys: Sequence[str]) -> FeatureStore:
        """The features of these images, all of which are there."""
        numbers = [self.keys[key] for key in keys]
        starts = np.array([self._starts[number] for number in numbers], np.int64).reshape(-1, len(KINDS))
        return FeatureStore(self.folder, self.layout, [self.shapes[number] for number in numbers], starts)


class FeatureWriter:
    """Adds features to a folder; a context, for one process at a time.

    Attributes:
        unmarked: images that are written, but not yet marked as being there.
    """

    def __init__(self, kept: KeptImages):
        self.kept = kept
        self.unmarked: list[bytes] = []
        self._files: dict[str, BinaryIO] = {}

    def __enter__(self) -> FeatureWriter:
        """Open the files, and cut off what was not marked."""
        for kind, end in zip(KINDS, self.kept.ends, strict=True):
            self._files[kind] = _opened(self.kept.folder / f"{kind}.bin", end * kind_type(kind).itemsize)
        self._files[IMAGES] = _opened(self.kept.folder / IMAGES, self.kept.end)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Mark what was written whole, also where the computation was interrupted."""
        try:
            if not isinstance(error, OSError):
                self.mark()
        finally:
            for file in self._files.values():
                with suppress(OSError):  # of a full disk: nothing that is unmarked counts
                    file.close()

    def add(self, key: str, path: Path, features: FrozenFeatures, seen: Size, small: NDArray[np.uint8]) -> None:
        """Write the features of one image, a batch of one, and the image (H, W, 3) on the grid of its mask."""
        shapes = Shapes.of(features, seen, (small.shape[0], small.shape[1]))
        arrays = arrays_of(features, small)
        for kind, length in zip(KINDS, self.kept.layout.lengths(shapes), strict=True):
            if not length:
                continue
            if arrays[kind].size != length:
                raise AssertionError(f"{kind} of {path}: {arrays[kind].size} numbers, not {length}")
            self._files[kind].write(np.ascontiguousarray(arrays[kind]).data)
        line = json.dumps({"key": key, "sizes": shapes.to_list(), "image": str(path.absolute())}) + "\n"
        self.unmarked.append(line.encode("ascii"))
        self.kept.add(key, shapes)

    def mark(self) -> None:
        """Mark what was written as being there, once it is on the disk."""
        if not self.unmarked:
            return
        for kind in KINDS:
            _flush(self._files[kind])
        self._files[IMAGES].write(b"".join(self.unmarked))
        _flush(self._files[IMAGES])
        self.unmarked.clear()


class FeatureFolder:
    """Features of one choice of backbones, sizes and channels, in a folder named by it.

    The projection is fitted to the images that come first. Those of another dataset have other principal components:
    their features lie in a further folder, `NAME-2` and so on.

    Attributes:
        path: the folder.
        about: what the features depend on, for people; `key` is the number of all of it.
    """

    def __init__(self, parent: Path, key: str, about: dict[str, Any], layout: Layout, *, number: int = 1):
        self.path = parent / (key[:16] if number == 1 else f"{key[:16]}-{number}")
        self.key, self.about, self.layout = key, about, layout

    def of_dataset(self, keys: Sequence[str]) -> FeatureFolder:
        """Of this folder and its further ones, that which holds most of the images `keys`; without any, a free one.

        A folder of a few images, such as those of a first try, does not count for many: its projection is of these.
        """
        fewest = min(SAMPLE, len(keys)) // 2
        name, parent = self.key[:16], self.path.parent
        further = [path.name.removeprefix(f"{name}-") for path in parent.glob(f"{name}-*")]
        last = max((int(text) for text in further if text.isdecimal()), default=1)
        best, most, free = self, 0, 0
        for number in range(1, last + 2):
            place = FeatureFolder(parent, self.key, self.about, self.layout, number=number)
            kept = place.read()
            held = 0 if kept is None else sum(key in kept.keys for key in keys)
            if held > most and kept is not None and len(kept.keys) >= fewest:
                best, most = place, held
            elif (kept is None or not kept.keys) and not free:
                free = number
        return best if most else FeatureFolder(parent, self.key, self.about, self.layout, number=free)

    def read(self) -> KeptImages | None:
        """Which images are there; None where the folder holds nothing that can be used."""
        try:
            index = json.loads((self.path / INDEX).read_text(encoding="utf-8"))
            if (index["version"], index["key"]) != (VERSION, self.key):
                return None
            read_safetensors(self.path / PROJECTION)
        except (OSError, ValueError, KeyError, TypeError, WeightsError):
            return None
        return KeptImages(self.path, self.layout)

    def clear(self) -> None:
        """Remove what is there, and say what will be."""
        for path in self.path.glob("*"):
            if path.name != LOCK:
                path.unlink()
        write_text(self.path / INDEX, json.dumps({"version": VERSION, "key": self.key, **self.about}, indent=1) + "\n")

    def keep_projection(self, state: bytes) -> None:
        """Keep the projection, a safetensors file."""
        with atomic_path(self.path / PROJECTION) as temporary, temporary.open("wb") as file:
            file.write(state)
            _flush(file)

    def used(self) -> None:
        """Note that the features are used now."""
        with suppress(OSError):  # a folder that may only be read
            os.utime(self.path / INDEX)


def image_keys(paths: Sequence[Path]) -> list[str]:
    """What each image is found by: its path, size in bytes and time of change, as one number.

    Raises:
        DataError: a file is gone.
    """
    keys, folders = [], dict[Path, Path]()
    for path in paths:
        try:
            about = path.stat()
            if path.parent not in folders:
                folders[path.parent] = path.parent.resolve()
            whole = path.resolve() if path.is_symlink() else folders[path.parent] / path.name
        except OSError as error:
            reason = f"cannot be read ({error.strerror}); was it moved?"
            raise DataError(f"{printable(path)}: {reason}") from error
        text = f"{whole}|{about.st_size}|{about.st_mtime_ns}"
        keys.append(hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32])
    return keys


def _parsed(line: bytes) -> tuple[str, Shapes] | None:
    """Key and sizes of one line; None where it was cut off or is damaged."""
    if not line.endswith(b"\n"):
        return None
    try:
        found = json.loads(line)
        sizes = [(int(height), int(width)) for height, width in found["sizes"]]
        return str(found["key"]), Shapes(*sizes)
    except (ValueError, KeyError, TypeError):
        return None


def _opened(path: Path, length: int) -> BinaryIO:
    """A file to append to, cut off at a length."""
    file = path.open("r+b" if path.exists() else "w+b")
    file.truncate(length)
    file.seek(length)
    return file


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
