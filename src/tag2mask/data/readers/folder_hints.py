"""What else lies in or beside a folder: files of tags, or annotations, that were perhaps meant."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from tag2mask.data.problem import Problem
from tag2mask.data.readers.layout_words import (
    ANNOTATION_WORDS,
    IMAGE_WORDS,
    LAYOUT_WORDS,
    MASK_WORDS,
    split_of_word,
)
from tag2mask.images.folder import FolderIndex

_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".xml", ".xlsx")
_WORDS = ("tags", "labels", "annotations", "instances", "_annotations", "metadata", "train", "export", "result")
_MOST = 3
_DEEPEST = 2


def tag_file_hint(index: FolderIndex) -> str:
    """`; did you mean X as `tags`?` for what lies in or beside a folder and looks like tags, or nothing."""
    above = index.root.parent
    if any(part.casefold() in IMAGE_WORDS for part in (index.root.name, above.name)):
        folder = above if index.root.name.casefold() in IMAGE_WORDS else above.parent
        if any((folder / word).is_dir() for word in _spellings(ANNOTATION_WORDS)):
            return f"; did you mean {folder} as `images`, which holds annotations too?"
    found = [index.files[name] for name in _inside(index)]
    beside = [above / f"{word}{suffix}" for word in ("tags", "labels", "annotations") for suffix in _SUFFIXES]
    found += [path for path in beside if path.is_file()]
    return f"; did you mean {_some(found)} as `tags`?" if found else ""


def unread_tag_files(index: FolderIndex) -> list[Problem]:
    """A note on files at the top of a folder that look like files of tags, where the tags came from folders."""
    names = [name for name in index.files if "/" not in name and name.casefold().startswith(_WORDS)]
    names = sorted(name for name in names if name.lower().endswith(_SUFFIXES))
    if not names:
        return []
    message = (
        f"the tags are those of the folders; {', '.join(names[:_MOST])} was not read: give it as `tags` to read it"
    )
    return [Problem("not read", message, names[0], "note")]


def unread_folders(index: FolderIndex) -> list[Problem]:
    """A note on folders of images that may be classes, where the tags came from annotations."""
    parts = {part for name in index.images() for part in name.split("/")[:-1]}
    known = LAYOUT_WORDS | MASK_WORDS
    names = sorted(part for part in parts if part.casefold() not in known and split_of_word(part) is None)
    if len(names) < 2 or any("/" not in name for name in index.images()):
        return []
    message = (
        f"the tags are those of the annotations; {len(names)} folders, such as {names[0]!r} and {names[1]!r}, were not "
        "read as classes: `format='folders'` reads them"
    )
    return [Problem("not read", message, level="note")]


def _inside(index: FolderIndex) -> list[str]:
    names = [name for name in index.files if name.lower().endswith(_SUFFIXES) and name.count("/") <= _DEEPEST]
    likely = [name for name in names if PurePosixPath(name).name.casefold().startswith(_WORDS) or "coco" in name]
    return sorted(likely or (names if len(names) <= _MOST else []), key=lambda name: (name.count("/"), name))


def _some(paths: list[Path]) -> str:
    return " or ".join(map(str, paths[:_MOST])) + (f" (and {len(paths) - _MOST} more)" if len(paths) > _MOST else "")


def _spellings(words: frozenset[str]) -> list[str]:
    return [spelling for word in sorted(words) for spelling in (word, word.capitalize())]
