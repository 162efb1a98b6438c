"""What else lies in a folder: files of tags that were perhaps meant."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from tag2mask.images.folder import FolderIndex

_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".xml", ".xlsx")
_WORDS = (
    "tags",
    "labels",
    "annotations",
    "instances",
    "classes",
    "_annotations",
    "metadata",
    "train",
    "export",
    "result",
)
_MOST = 3
_DEEPEST = 2


def tag_file_hint(index: FolderIndex) -> str:
    """`; did you mean X as `tags`?` for files in or beside a folder that look like files of tags, or nothing."""
    found = [index.files[name] for name in _inside(index)]
    beside = [
        index.root.parent / f"{word}{suffix}" for word in ("tags", "labels", "annotations") for suffix in _SUFFIXES
    ]
    found += [path for path in beside if path.is_file()]
    return f"; did you mean {_some(found)} as `tags`?" if found else ""


def _inside(index: FolderIndex) -> list[str]:
    names = [name for name in index.files if name.lower().endswith(_SUFFIXES) and name.count("/") <= _DEEPEST]
    likely = [name for name in names if PurePosixPath(name).name.casefold().startswith(_WORDS) or "coco" in name]
    return sorted(likely or names if len(names) <= _MOST else likely, key=lambda name: (name.count("/"), name))


def _some(paths: list[Path]) -> str:
    return " or ".join(map(str, paths[:_MOST])) + (f" (and {len(paths) - _MOST} more)" if len(paths) > _MOST else "")
