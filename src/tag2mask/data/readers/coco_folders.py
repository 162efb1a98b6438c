"""Tags from folders of splits with a COCO file in each, as Roboflow exports "COCO JSON".

train/_annotations.coco.json, train/a.jpg, valid/_annotations.coco.json, valid/b.jpg
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from tag2mask.data.problem import Problem
from tag2mask.data.readers.coco_json import read_coco
from tag2mask.data.readers.layout_words import split_of_path
from tag2mask.data.readers.listing import Listing, refused_files
from tag2mask.data.readers.records import check_listing
from tag2mask.images.folder import FolderIndex

_NAME = "_annotations.coco.json"


def coco_files(index: FolderIndex) -> list[str]:
    """Names of Roboflow's COCO files in a folder and its subfolders, sorted."""
    return sorted(name for name in index.files if name.rpartition("/")[2] == _NAME)


def read_coco_folders(index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of a folder with such files, whose names are relative to the folder of each.

    Args:
        index: the folder.
        classes: the names that count, or None: those of the categories that occur.

    Raises:
        DataError: a file is not COCO, or its categories make no sense.
    """
    listing = Listing("coco", index, problems=refused_files(index), complete=True)
    for name in coco_files(index):
        folder = str(PurePosixPath(name).parent)
        prefix = "" if folder == "." else f"{folder}/"
        own = FolderIndex.of_names(
            index.root / folder, (file.removeprefix(prefix) for file in index.files if file.startswith(prefix))
        )
        found = read_coco(index.files[name], own, classes)
        split = split_of_path(name)
        listing.records += [
            replace(record, name=f"{prefix}{record.name}", split=split, where=f"{prefix}{record.where}")
            for record in found.records
        ]
        listing.problems += [Problem(one.kind, f"{prefix}{one.message}", one.file, one.level) for one in found.problems]
    return check_listing(listing, classes, str(index.root))
