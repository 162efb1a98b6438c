"""The images and tar shards of a source, and what looks like an image there and is left out."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tag2mask.core.errors import DataError
from tag2mask.core.text import counted, printable
from tag2mask.data.left_out import left_out_problems
from tag2mask.data.problem import log_problems
from tag2mask.deploy.bulk.storage import Store
from tag2mask.images.folder import FolderIndex, no_image
from tag2mask.images.kinds import BY_SUFFIX, is_image_name

_RESULTS = ("about.json", "classes.txt")
"""Files that `bulk_predict` writes beside its results."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Listed:
    """What there is at an address.

    Attributes:
        images: names of the images below it; none where there are shards.
        shards: names of the tar shards.
        failures: name and reason of each file that looks like an image and cannot be used.
    """

    images: list[str]
    shards: list[str]
    failures: list[tuple[str, str]] = field(default_factory=list)


def list_source(source: str) -> Listed:
    """Names of the images and of the tar shards below an address; with shards, single images are left out and counted.

    What tag2mask has written below the address is no image.

    Raises:
        DataError: there is neither.
    """
    store = Store.of_source(source)
    names = [name for name in store.names() if not PurePosixPath(name).name.startswith(".")]
    shards = [name for name in names if name.endswith(".tar")]
    if shards:
        beside = sum(map(is_image_name, names))
        if beside:
            _log.warning("%s beside the tar shards left out; give their folder alone", counted(beside, "images"))
        return Listed([], shards)
    if store.local and Path(store.root).is_dir() and not store.is_single:
        return _local(source, Path(store.root))
    return _remote(source, names)


def _local(source: str, folder: Path) -> Listed:
    index = FolderIndex(folder, follow_links=True)
    found = index.images()
    if not found:
        raise DataError(f"{printable(source)}: no .tar shard and {no_image(index)}")
    problems = left_out_problems(index, (), is_listed=False)
    log_problems([problem for problem in problems if problem.level == "note"])
    failures = [(problem.file or "", problem.message) for problem in problems if problem.level == "warning"]
    # As the file system spells them: names in an index are NFC.
    return Listed([index.files[name].relative_to(index.root).as_posix() for name in found], [], failures)


def _remote(source: str, names: list[str]) -> Listed:
    """Images by suffix alone, without those below a folder of results."""
    there = set(names)
    folders = {str(PurePosixPath(name).parent) for name in names if PurePosixPath(name).name == _RESULTS[0]}
    written = {folder for folder in folders if str(PurePosixPath(folder, _RESULTS[1])) in there}
    images, results = [], 0
    for name in names:
        if is_image_name(name):
            if name.lower().endswith(".png") and written.intersection(map(str, PurePosixPath(name).parents)):
                results += 1
            else:
                images.append(name)
    if results:
        _log.info("%s that tag2mask wrote left out", counted(results, "masks"))
    failures = [
        (name, f"{printable(name)}: {kind.what} is not read here; {kind.remedy}")
        for name in names
        if (kind := BY_SUFFIX.get(PurePosixPath(name).suffix.lower())) is not None
    ]
    if not images:
        reason = f"; left out: {failures[0][1]} ({counted(len(failures), 'files')})" if failures else ""
        raise DataError(f"{printable(source)}: no image and no .tar shard here; check the address{reason}")
    return Listed(images, [], failures)
