"""Tags of images on any storage, from a file of tags."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data import log_problems, tags_of_names
from tag2mask.deploy.bulk.storage import Store


def read_tags(tags: str, source: str, names: Sequence[str] | None, classes: Sequence[str]) -> list[ImageRecord]:
    """Read the tags of images; what is wrong with single rows is logged.

    Args:
        tags: path or address of the file.
        source: address that the names of the images are relative to.
        names: the images there are; None: not known, as in shards.
        classes: of the network.

    Returns:
        A record for each image that the file names, without its file.

    Raises:
        DataError: the file makes no sense, or names none of the images.
    """
    folder, _, name = tags.rpartition("/")
    with tempfile.TemporaryDirectory(prefix="tag2mask-") as temporary:
        path = Path(tags)
        if "://" in tags:
            path = Path(temporary) / name
            path.write_bytes(Store(folder).read(name))
        found, problems = tags_of_names(names, path, classes, where=source)
    log_problems(problems)
    if not found:
        raise DataError(f"{tags}: tags of none of the images of {source}; names are relative to that address")
    return [ImageRecord(name, tags=record.tags, unknown=record.unknown) for name, record in found.items()]
