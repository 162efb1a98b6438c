"""The folder of results: which network they come from, what is done, what failed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from tag2mask.core.errors import ConfigError
from tag2mask.core.outcome import FAILURES, failures_table
from tag2mask.deploy.bulk.storage import Store
from tag2mask.deploy.bulk.table import read_rows
from tag2mask.inference import Segmenter
from tag2mask.masks import mask_path
from tag2mask.masks.class_names import CLASSES_FILE, classes_text

ABOUT = "about.json"
"""File that names the network and the settings that the results come from."""

Target = Literal["parquet", "png"]
"""Tables with run lengths, or palette PNGs."""


def claim(store: Store, segmenter: Segmenter, *, tagged: bool) -> None:
    """Record which network the results come from, and whether tags were given.

    Raises:
        ConfigError: results of another network are here, or with tags where these are without.
    """
    about: dict[str, Any] = {"network": segmenter.fingerprint(), "classes": list(segmenter.classes)}
    if tagged:
        about["tags"] = "given"
    if ABOUT in store.names(ABOUT):
        if json.loads(store.read(ABOUT)) != about:
            raise ConfigError(
                f"{store.url}: this folder holds results of other weights or settings, or with tags where these "
                "are without; choose another `out`"
            )
        return
    store.write(ABOUT, json.dumps(about, ensure_ascii=False, indent=1).encode())
    store.write(CLASSES_FILE, classes_text(segmenter.classes).encode())


def done(store: Store, to: Target) -> Callable[[str], bool]:
    """Whether an image, or the part of a shard, has its results, by name; images that failed are tried again."""
    tables = store.names(".parquet")
    found = {PurePosixPath(name).stem for name in tables}
    if to == "png":
        masks = set(store.names(".png"))
        return lambda name: name in found or mask_path(Path(), name).as_posix() in masks
    for table in tables:
        found |= {row["name"] for row in read_rows(store, table, ["name", "error"]) if row["error"] is None}
    return lambda name: name in found


def write_failures(store: Store, to: Target, others: Sequence[tuple[str, str]] = ()) -> list[tuple[str, str]]:
    """Write the table of the images that failed and have no mask from a later run, or empty an older one.

    Args:
        store: of the results.
        to: what was written.
        others: names and reasons of images that were not even tried.

    Returns:
        Their names and reasons.
    """
    is_done = done(store, to)
    failed: dict[str, str] = {}
    for table in store.names(".parquet"):
        for row in read_rows(store, table, ["name", "error"]):
            if row["error"] is not None and not is_done(row["name"]):
                failed[row["name"]] = row["error"]
    failures = sorted([*others, *failed.items()])
    if failures or store.names(FAILURES):
        store.write(FAILURES, failures_table(failures).encode())
    return failures
