"""Tags of photographs on any storage, part by part."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tag2mask.core.errors import DataError
from tag2mask.data import tags_of_names
from tag2mask.deploy.bulk.storage import Part, Store


class Tagged(NamedTuple):
    """What is known of a photograph: names of its classes, and of those of which nothing is known."""

    tags: tuple[str, ...]
    maybe: tuple[str, ...] = ()


def read_tags(
    tags: str, source: str, names: list[str] | None, classes: Sequence[str], report: Callable[[str], None]
) -> dict[str, Tagged]:
    """Tags of photographs from a file of tags.

    Args:
        tags: path or address of the file.
        source: address that the photographs' names are relative to.
        names: the photographs there are; None: not known, as they are in shards.
        classes: of the network.
        report: called with what is wrong with single rows.

    Returns:
        By name, those of the photographs that the file names.

    Raises:
        DataError: the file makes no sense, or names none of the photographs.
    """
    folder, _, name = tags.rpartition("/")
    with tempfile.TemporaryDirectory(prefix="tag2mask-") as temporary:
        path = Path(tags)
        if "://" in tags:
            path = Path(temporary) / name
            path.write_bytes(Store(folder).read(name))
        items, problems = tags_of_names(names, path, classes, where=source)
    for problem in problems:
        report(f"{problem.kind}: {problem.message}")
    if not items:
        raise DataError(f"{tags}: tags of none of the photographs of {source}; names are relative to that address")
    return {name: Tagged(tuple(sorted(item.present)), tuple(sorted(item.unknown))) for name, item in items.items()}


def tags_of_parts(parts: Sequence[Part], known: dict[str, Tagged]) -> list[str]:
    """What the worker of each part has to know, for `tags_from_json`."""
    by_shard: dict[str, dict[str, Tagged]] = {}
    for name, tagged in known.items():
        end = name.find(".tar/")
        if end >= 0:
            by_shard.setdefault(name[: end + 4], {})[name] = tagged
    found: list[dict[str, Tagged]] = []
    for part in parts:
        alone = PurePosixPath(Store(part.source).root).name
        if part.shard is not None:
            found.append(by_shard.get(part.shard or alone, {}))
        else:
            found.append({name or alone: known[name or alone] for name in part.names})
    return [json.dumps(one, ensure_ascii=False) for one in found]


def tags_from_json(text: str) -> dict[str, Tagged]:
    """What `tags_of_parts` wrote."""
    return {name: Tagged(tuple(tags), tuple(maybe)) for name, (tags, maybe) in json.loads(text).items()}
