"""From names as they are written in a source to the files of the folder of images.

First a name is looked up as it stands (`FolderIndex.find`). What is not found so may be an address, an absolute path of
another computer, a name without its folders, or one with another suffix: then the file is taken whose path has the
longest end in common with it, if there is only one and no other name means it too. All of that is said in notes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from urllib.parse import parse_qsl, unquote, urlsplit

from tag2mask.core.errors import DataError
from tag2mask.data.problem import Problem
from tag2mask.data.readers.layout_words import same_split, split_of_path, valid_file_name
from tag2mask.images.folder import FolderIndex, is_image_name, normalise_name, without_suffix

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:/{1,3}[^/\\]", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_NOT_PLAIN = re.compile(r"[?#\[\]\x00-\x1f]")
_UPLOAD = re.compile(r"[0-9a-f]{6,8}-(?=.)")
"""What Label Studio puts before the name of an uploaded file."""

AMBIGUOUS = "ambiguous image"
"""Kind of the problem of a name that may mean several images."""

_WHAT = {
    "outside": "absolute paths or addresses are matched by their end",
    "folder": "names are matched to the only file of that name, in another folder",
    "suffix": "names are matched to a file with another suffix",
    "any suffix": "names are matched to a file with another suffix",
    "upload": "names are matched without the letters that Label Studio puts before them",
    "spaces": "names are matched to a file of that name with spaces or signs where they have `_` or nothing",
    "zeros": "numbers are matched to a file name with zeros before it",
}


@dataclass(slots=True)
class Matches:
    """What the names of a source mean.

    Attributes:
        found: name of the file, by the name as written.
        failed: kind of problem and message, by the name as written.
        notes: a note for each kind of guess.
    """

    found: dict[str, str] = field(default_factory=dict)
    failed: dict[str, tuple[str, str]] = field(default_factory=dict)
    notes: list[Problem] = field(default_factory=list)


def match_names(index: FolderIndex, written: Iterable[str]) -> Matches:
    """The files that names mean.

    Paths that lead out of the folder (absolute, or with `..`) are matched only where most names are such paths or
    addresses: a single one among others is a mistake. No file outside the folder is ever looked at.
    """
    matches = Matches()
    names = list(dict.fromkeys(written))
    addresses_too = any(":/" in name for name in index.files)  # folders named as addresses begin
    for name in names:
        if name in index.files:
            matches.found[name] = name
            continue
        if not addresses_too and _ADDRESS.match(name.strip()):
            matches.failed[name] = "bad name", ""  # said where no guess is found: there may be many
            continue
        try:
            matches.found[name] = index.find(name)
        except DataError as error:
            kind = "missing image" if _is_inside(name) else "bad name"
            matches.failed[name] = kind, str(error)
    if matches.failed:
        outside = {name for name, (kind, _) in matches.failed.items() if kind == "bad name"}
        _guess(index, matches, outside, outside_too=2 * len(outside) > len(names))
    return matches


def pieces_of(name: str) -> list[str]:
    """The parts of a path or of the path of an address, without what stands before the last `..`.

    >>> pieces_of("https://example.org/x/a%20b.jpg?X-Amz-Signature=1"), pieces_of("C:\\\\data\\\\p0.jpg")
    (['x', 'a b.jpg'], ['data', 'p0.jpg'])
    """
    text = name.strip()
    if _ADDRESS.match(text):
        try:
            path, query = _of_address(text)
            named = [value for _, value in parse_qsl(query) if is_image_name(value[-255:])] if query else []
        except ValueError:
            return []
        text = unquote(path)
        if named and not is_image_name(text[-255:]):
            text = named[0]
    elif _DRIVE.match(text):
        text = text[2:]
    pieces = [piece for piece in text.replace("\\", "/").split("/") if piece not in {"", "."}]
    while ".." in pieces:
        pieces = pieces[pieces.index("..") + 1 :]
    return pieces


def _of_address(text: str) -> tuple[str, str]:
    """Path and query of an address; `urlsplit` is slow for many that have no query.

    Raises:
        ValueError: it is none.
    """
    _, mark, rest = text.partition("://")
    if mark and rest[:1] != "/" and not _NOT_PLAIN.search(text):
        return rest.partition("/")[2], ""
    parts = urlsplit(text)
    return parts.path, parts.query


def _is_inside(name: str) -> bool:
    """Whether a name may be one relative to the folder."""
    if _ADDRESS.match(name.strip()):
        return False
    try:
        normalise_name(name)
    except DataError:
        return False
    return True


def _guess(index: FolderIndex, matches: Matches, out: Collection[str], *, outside_too: bool) -> None:
    ends = _Ends(index)
    guesses: dict[str, dict[tuple[str, ...], list[tuple[str, str]]]] = {}
    exact = set(matches.found.values())
    for name in list(matches.failed):
        outside = name in out
        if outside and not outside_too and not _ADDRESS.match(name.strip()):
            continue
        pieces = pieces_of(name)
        found, kind = ends.find(pieces) if pieces else ([], "")
        if len(found) > 1:
            shown = ", ".join(sorted(found)[:3])
            matches.failed[name] = AMBIGUOUS, f"{name!r} may mean {shown}; write the name relative to the folder"
        elif found:
            target = guesses.setdefault(found[0], {})
            target.setdefault(tuple(pieces), []).append((name, "outside" if outside and kind == "folder" else kind))
        elif outside and _ADDRESS.match(name.strip()):
            where = f"no image of the name {pieces[-1]!r}" if pieces else "no name in it"
            hint = _why_missing(index, name).rpartition("; ")[2]
            matches.failed[name] = "missing image", f"{name!r}: {where} in {index.root}; {hint}"
    used: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for target_name, wanted in guesses.items():
        names = [name for some in wanted.values() for name, _ in some]
        if len(wanted) > 1 or target_name in exact:
            for name in names:
                other = "another name" if target_name in exact else repr(next(one for one in names if one != name))
                why = f"{name!r}: no such image in {index.root}, and {target_name} may be what {other} means too"
                matches.failed[name] = "missing image", f"{why}; write names relative to the folder"
            continue
        for some in wanted.values():
            for name, kind in some:
                del matches.failed[name]
                matches.found[name] = target_name
                used[kind].append((name, target_name))
    for kind, pairs in used.items():
        name, target_name = pairs[0]
        text = f"{len(pairs)} {_WHAT[kind]}, such as {name[:120]!r} to {target_name}"
        matches.notes.append(Problem("matched names", text, level="note"))


def _why_missing(index: FolderIndex, name: str) -> str:
    try:
        return f"it may mean {index.find(name)}"
    except DataError as error:
        return str(error)


class _Ends:
    """Images by the end of their names; each table is made when the first name asks for it."""

    def __init__(self, index: FolderIndex) -> None:
        self._bases = [(name.rpartition("/")[2].casefold(), name) for name in index.images()]

    @cached_property
    def _by_base(self) -> dict[str, list[str]]:
        return _grouped(self._bases)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        return _grouped((without_suffix(base), name) for base, name in self._bases)

    @cached_property
    def _by_rule(self) -> dict[str, list[str]]:
        return _grouped((valid_file_name(without_suffix(base)), name) for base, name in self._bases)

    @cached_property
    def _by_number(self) -> dict[str, list[str]]:
        stems = ((without_suffix(base), name) for base, name in self._bases)
        return _grouped((stem.lstrip("0") or "0", name) for stem, name in stems if stem.isdecimal())

    def find(self, pieces: Sequence[str]) -> tuple[list[str], str]:
        """The images with the longest end in common with a path, and what kind of guess that is."""
        for kind, some in self._candidates(pieces[-1].casefold()):
            fitting = [name for name in some if _same_split(pieces, name)]
            if len(fitting) > 1:
                common = {name: _common(pieces, name) for name in fitting}
                longest = max(common.values())
                fitting = [name for name in fitting if common[name] == longest]
            if fitting:
                return fitting, kind
        return [], ""

    def _candidates(self, base: str) -> Iterator[tuple[str, list[str]]]:
        stem = without_suffix(base)
        yield "folder", self._by_base.get(base, []) or ([] if stem != base else self._by_stem.get(stem, []))
        yield "suffix", self._by_stem.get(stem, [])
        yield "any suffix", self._by_stem.get(_without_any_suffix(base), [])
        plain = _UPLOAD.sub("", base, count=1)
        yield "upload", self._by_base.get(plain, []) or self._by_stem.get(without_suffix(plain), [])
        yield "spaces", self._by_rule.get(valid_file_name(stem), [])
        number = stem.removesuffix(".0")
        if number.isdecimal():
            yield "zeros", self._by_number.get(number.lstrip("0") or "0", [])


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for key, name in pairs:
        groups.setdefault(key, []).append(name)
    return groups


def _without_any_suffix(base: str) -> str:
    stem, _, suffix = base.rpartition(".")
    return stem if stem and len(suffix) <= 5 and suffix.isalnum() and not suffix.isdecimal() else base


def _common(pieces: Sequence[str], name: str) -> int:
    """How many folders before the file two paths have in common."""
    count = 0
    for mine, other in zip(reversed(pieces[:-1]), reversed(name.split("/")[:-1]), strict=False):
        if mine.casefold() != other.casefold():
            break
        count += 1
    return count


@lru_cache(maxsize=4096)
def _split_of_folder(folder: str) -> str | None:
    return split_of_path(f"{folder}/x")


def _same_split(pieces: Sequence[str], name: str) -> bool:
    """Whether the folders of two paths do not say that they belong to different splits."""
    mine, other = _split_of_folder("/".join(pieces[:-1])), _split_of_folder(name.rpartition("/")[0])
    return mine is None or other is None or same_split(mine, other)
