"""Tags from VoTT's export to JSON: the tags of an image's regions.

    {"name": "project", "tags": [{"name": "cat"}],
     "assets": {"8a7b": {"asset": {"name": "a.jpg", "path": "file:/x/a.jpg"}, "regions": [{"tags": ["cat"]}]}}}

An image without a region may not have been looked at: it is left out.

Reference: https://github.com/microsoft/VoTT.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.json_file import read_json, shown
from tag2mask.data.readers.listing import Listing
from tag2mask.data.readers.records import RecordError, check_listing, class_name, without_background
from tag2mask.images.folder import FolderIndex

_EXPECTED = "expected VoTT's export to JSON, with `assets` and the `regions` of each"


def read_vott(path: Path, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of an export.

    Args:
        path: the file.
        index: the folder of the images.
        classes: the names that count, or None: those that occur.

    Raises:
        DataError: the file is not such an export.
    """
    document = read_json(path, _EXPECTED)
    assets = document.get("assets") if isinstance(document, dict) else None
    if not isinstance(assets, dict):
        raise DataError(f"{path}: no object `assets`; {_EXPECTED}")
    if assets and not any(isinstance(one, dict) and "regions" in one for one in assets.values()):
        raise DataError(f"{path}: VoTT's project file, without regions; export the project from VoTT as JSON")
    listing = Listing("vott", index, complete=True)
    for position, asset in enumerate(assets.values(), start=1):
        where = f"{path.name}, asset {position}"
        try:
            listing.records.append(_record(asset, where, index))
        except RecordError as error:
            listing.problems.append(Problem("bad row", f"{where}: {error}", path.name))
    return check_listing(listing, classes, str(path))


def _record(entry: Any, where: str, index: FolderIndex) -> ImageRecord:
    asset = entry.get("asset") if isinstance(entry, dict) else None
    name = asset.get("name") if isinstance(asset, dict) else None
    if not isinstance(name, str) or not name.strip():
        raise RecordError(f"{shown(entry)} names no image; {_EXPECTED}")
    if name not in index.files and unquote(name) in index.files:
        name = unquote(name)
    regions = entry.get("regions")
    if regions is not None and not isinstance(regions, list):
        raise RecordError(f"regions {shown(regions)}; expected a list")
    names: list[str] = []
    for region in regions or []:
        tags = region.get("tags") if isinstance(region, dict) else None
        if not isinstance(tags, list):
            raise RecordError(f"region {shown(region)}; expected a list `tags` in it")
        names += [class_name(tag) for tag in tags]
    return ImageRecord(name, tags=without_background(names) if names else None, where=where)
