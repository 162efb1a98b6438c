"""What a cache folder, or the folder of a run, keeps of images: features and decoded images; and removing it."""

from __future__ import annotations

import json
import logging
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tag2mask.core.errors import DataError
from tag2mask.core.lock import locked
from tag2mask.core.text import counted, printable
from tag2mask.training.feature_compute import readable_bytes
from tag2mask.training.feature_folder import IMAGES, INDEX, VERSION, image_keys

FEATURES = "features"
"""Name of the folder, in a cache folder or a run's, that holds a folder for each choice of backbones and sizes."""

DECODED = "images"
"""Name by which `remove` knows the decoded images of a cache folder."""

_KEPT_NAME = re.compile(r"[0-9a-f]{16}(-\d+)?")
_DECODED_NAME = re.compile(r"[0-9a-f]{38}\.npy")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that is kept.

    Attributes:
        name: by which it is removed.
        path: its folder.
        what: what it is, for people.
        images: how many it holds.
        outdated: how many of these are of files that have changed or are gone.
        bytes: on disk.
        used: when it was used last, in seconds since 1970; of decoded images when the last one was written.
        usable: false for features of another version, which no training uses.
    """

    name: str
    path: Path
    what: str
    images: int
    outdated: int
    bytes: int
    used: float
    usable: bool = True


def kept_in(folder: Path) -> list[Kept]:
    """What a cache folder (`data.cache`) or a run's folder keeps, that which was used last first.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(
            f"{printable(folder)}: there is no such folder; name one that was given as `data.cache`, or a run"
        )
    parent = folder / FEATURES
    found = (
        [_features(path) for path in sorted(parent.iterdir()) if _KEPT_NAME.fullmatch(path.name)]
        if parent.is_dir()
        else []
    )
    decoded = [path.stat() for path in _decoded(folder)]
    if decoded:
        size, newest = sum(one.st_size for one in decoded), max(one.st_mtime for one in decoded)
        found.append(Kept(DECODED, folder, "decoded images", len(decoded), 0, size, newest))
    return sorted(found, key=lambda one: -one.used)


def remove(kept: Kept) -> None:
    """Remove it. A training that reads these features goes on with them where the system allows that (not on Windows).

    Raises:
        DataError: a process computes features there, or it cannot be removed.
    """
    try:
        if kept.name == DECODED:
            for path in list(_decoded(kept.path)):
                path.unlink(missing_ok=True)
                with suppress(OSError):  # it is not empty
                    path.parent.rmdir()
        else:
            with locked(kept.path, remedy="then remove it"):
                shutil.rmtree(kept.path)
    except OSError as error:
        raise DataError(f"{printable(kept.path)}: cannot remove it ({error.strerror}); is it in use?") from error
    _log.info(
        "removed %s: %s of %s, %s", kept.name, kept.what, counted(kept.images, "images"), readable_bytes(kept.bytes)
    )


def chosen(kept: Sequence[Kept], names: Sequence[str], *, days: float | None = None) -> list[Kept]:
    """Those with one of these names (or its beginning, or 'all'), and those not used for so many days.

    Raises:
        DataError: a name fits none, or several.
    """
    found = {one.name: one for one in kept if days is not None and time.time() - one.used > days * 86400}
    for name in names:
        fitting = [one for one in kept if one.name == name] or [one for one in kept if one.name.startswith(name)]
        if name == "all":
            fitting = list(kept)
        elif len(fitting) != 1:
            known = ", ".join(one.name for one in kept) or "nothing"
            raise DataError(f"'{printable(name)}': {len(fitting)} of what is kept begin so; there are {known}")
        found |= {one.name: one for one in fitting}
    return list(found.values())


def _features(path: Path) -> Kept:
    index = _index(path)
    files = [one.stat().st_size for one in path.iterdir() if one.is_file()]
    usable = index.get("version") == VERSION
    images, outdated, used = 0, 0, path.stat().st_mtime
    with suppress(OSError):
        used = (path / INDEX).stat().st_mtime
    if usable:
        for image, key in _images(path / IMAGES):
            images += 1
            try:
                outdated += image_keys([image]) != [key]
            except DataError:
                outdated += 1
        contrast = ", of surfaces" if index.get("contrast_stages") else ""
        what = f"features of {' + '.join(_backbone(one) for one in index.get('backbones', []))}"
        what += f", {index.get('image_size')} px, {index.get('channels')} channels{contrast}"
    else:
        what = "features of another version, which are not used"
    return Kept(path.name, path, what, images, outdated, sum(files), used, usable)


def _backbone(text: object) -> str:
    return str(text).partition(",")[0]


def _index(path: Path) -> dict[str, Any]:
    try:
        found = json.loads((path / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _images(path: Path) -> Iterator[tuple[Path, str]]:
    """Path and key of each image, as far as the file is whole."""
    with suppress(OSError, ValueError, KeyError, TypeError), path.open("rb") as file:
        for line in file:
            found = json.loads(line)
            yield Path(found["image"]), found["key"]


def _decoded(folder: Path) -> Iterator[Path]:
    """Files of decoded images in a cache folder."""
    return (path for path in folder.glob("[0-9a-f][0-9a-f]/*.npy") if _DECODED_NAME.fullmatch(path.name))
