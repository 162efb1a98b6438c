"""A dataset as plain JSON values: names, tags, splits and paths, not the images themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem

if TYPE_CHECKING:
    from tag2mask.data.dataset import Dataset

DOCUMENT, VERSION = "tag2mask dataset", 2
_READABLE = (("tag2mask collection", 1, "items"), (DOCUMENT, VERSION, "records"))
"""Name, version and key of the records of each document that can be read."""


def document_of(dataset: Dataset, *, sha256: bool) -> dict[str, Any]:
    """The document of a dataset; see `Dataset.to_dict`."""
    return {
        "document": DOCUMENT,
        "version": VERSION,
        "root": str(dataset.root),
        "source": dataset.source,
        "classes": list(dataset.classes),
        "records": [_entry(record, dataset, sha256) for record in dataset.records],
        "problems": [
            {"kind": p.kind, "message": p.message, "file": p.file, "level": p.level} for p in dataset.problems
        ],
    }


def fields_of(data: Mapping[str, Any], root: Path | None) -> dict[str, Any]:
    """The fields of `Dataset` from its document; see `Dataset.from_dict`.

    Raises:
        DataError: this is not such a document.
    """
    here = (data.get("document"), data.get("version"))
    records_key = next((key for name, version, key in _READABLE if here == (name, version)), None)
    if records_key is None:
        raise DataError(
            f"not a {DOCUMENT} of version {VERSION} or older (document {here[0]!r}, "
            f"version {here[1]!r}); write it again with this version of tag2mask"
        )
    try:
        then = Path(data["root"])
        classes = tuple(str(name) for name in data["classes"])
        records = tuple(_record(entry, then, root or then) for entry in data[records_key])
        problems = tuple(Problem(**entry) for entry in data["problems"])
        source = str(data["source"])
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"a damaged {DOCUMENT}: {error!r}; write it again") from error
    others = {name for record in records for name in record.present | record.unknown} - set(classes)
    if others:
        raise DataError(f"a damaged {DOCUMENT}: tags {sorted(others)} are not among its classes")
    return {"root": root or then, "classes": classes, "records": records, "problems": problems, "source": source}


def file_sha256(path: Path) -> str:
    """SHA-256 of the bytes of `path`, in hexadecimal.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); was it moved?") from error


def _entry(record: ImageRecord, dataset: Dataset, sha256: bool) -> dict[str, Any]:
    def ordered(names: Iterable[str]) -> list[str]:
        return sorted(names, key=dataset.classes.index)

    entry: dict[str, Any] = {"name": record.name, "tags": None if record.tags is None else ordered(record.tags)}
    if record.unknown:
        entry["unknown"] = ordered(record.unknown)
    if record.split is not None:
        entry["split"] = record.split
    if record.gt_mask is not None:
        entry["gt_mask"] = str(record.gt_mask)
    if record.corrected is not None:
        entry["corrected"] = str(record.corrected)
    if record.image != dataset.root / record.name:
        entry["image"] = None if record.image is None else str(record.image)
    if sha256:
        entry["sha256"] = file_sha256(record.path)
    return entry


def _record(entry: Mapping[str, Any], then: Path, now: Path) -> ImageRecord:
    name, tags = str(entry["name"]), entry["tags"]
    stored = entry.get("image", str(then / name))
    image = None if stored is None else Path(stored)
    if image is not None and image.is_relative_to(then):
        image = now / image.relative_to(then)
    return ImageRecord(
        name=name,
        image=image,
        tags=None if tags is None else frozenset(tags),
        unknown=frozenset(entry.get("unknown", ())),
        split=entry.get("split"),
        gt_mask=Path(entry["gt_mask"]) if "gt_mask" in entry else None,
        corrected=Path(entry["corrected"]) if "corrected" in entry else None,
    )
