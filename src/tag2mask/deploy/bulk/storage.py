"""Where photographs come from and masks go to: folders, object stores, tar shards, all through fsspec."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.extras import require
from tag2mask.images.folder import is_image_name

_MOST_JSON = 1 << 20


class Store:
    """A folder on any storage that fsspec knows: a path, `s3://bucket/prefix`, `gs://...`, `memory://...`."""

    def __init__(self, url: str):
        fsspec: Any = require("scale", f"{url}: remote storage", "fsspec")
        self.url = url
        try:
            self.fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)  # others write here, too
        except (ImportError, ValueError) as error:
            raise ConfigError(f"{url}: this storage cannot be used ({error})") from None
        self.root = str(root).rstrip("/")
        self.local = "file" in (self.fs.protocol if isinstance(self.fs.protocol, tuple) else (self.fs.protocol,))

    def names(self, suffix: str = "") -> list[str]:
        """Names of the files below, relative, sorted, with a suffix.

        Raises:
            DataError: it cannot be listed.
        """
        try:
            if not self.fs.exists(self.root):
                return []
            found = [self.root] if self.fs.isfile(self.root) else self.fs.find(self.root)
        except Exception as error:  # each storage has errors of its own
            raise DataError(f"{self.url}: cannot be listed ({error}); check address and rights") from None
        if found == [self.root]:
            return [""] if self.root.endswith(suffix) else []
        start = len(self.root) + 1
        return sorted(str(path)[start:] for path in found if str(path).endswith(suffix))

    def path(self, name: str) -> str:
        """The storage's own path of a name."""
        return f"{self.root}/{name}" if name else self.root

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            DataError: it cannot be read.
        """
        try:
            content: bytes = self.fs.cat_file(self.path(name))
        except Exception as error:
            raise DataError(f"{self.url}/{name}: cannot be read ({type(error).__name__}: {error})") from None
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write a file so that a reader never meets half of it.

        Raises:
            DataError: it cannot be written.
        """
        path = self.path(name)
        try:
            if self.local:
                self.fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
                temporary = f"{path.rsplit('/', 1)[0]}/.{path.rsplit('/', 1)[1]}.tmp"
                self.fs.pipe_file(temporary, content)
                self.fs.mv(temporary, path)
            else:  # an object appears whole or not at all
                self.fs.pipe_file(path, content)
        except Exception as error:
            raise DataError(f"{self.url}/{name}: cannot be written ({type(error).__name__}: {error})") from None


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of work: some photographs of a source, or a whole tar shard; its name is that of its output."""

    source: str
    names: tuple[str, ...] = ()
    shard: str | None = None

    @property
    def name(self) -> str:
        """Of the output, without suffix."""
        what = (self.shard,) if self.shard is not None else self.names
        kind = "shard" if self.shard is not None else "part"
        return f"{kind}-{hashlib.sha256(json.dumps([self.source, *what]).encode()).hexdigest()[:20]}"

    def to_json(self) -> str:
        """As text, for a worker on another machine."""
        return json.dumps({"source": self.source, "names": list(self.names), "shard": self.shard})

    @classmethod
    def from_json(cls, text: str) -> Part:
        """What `to_json` gave."""
        tree = json.loads(text)
        return cls(tree["source"], tuple(tree["names"]), tree["shard"])

    def photographs(self) -> Iterator[Photograph]:
        """Its photographs, one at a time."""
        store = Store(self.source)
        if self.shard is None:
            for name in self.names:
                shown = name or PurePosixPath(store.root).name
                try:
                    yield Photograph(shown, store.read(name))
                except DataError as error:
                    yield Photograph(shown, error)
            return
        prefix = self.shard or PurePosixPath(store.root).name
        try:
            with (
                store.fs.open(store.path(self.shard), "rb") as stream,
                tarfile.open(fileobj=stream, mode="r|*") as shard,
            ):
                for sample in _samples(shard):
                    yield sample._replace(name=f"{prefix}/{sample.name}")
        except (tarfile.TarError, OSError, EOFError) as error:
            yield Photograph(prefix, DataError(f"{prefix}: the shard is damaged ({error})"))


class Photograph(NamedTuple):
    """A photograph as it comes from storage.

    Attributes:
        name: below the source.
        content: the file, or why it cannot be had.
        tags: names of its classes from the JSON beside it in a shard; None without.
    """

    name: str
    content: bytes | DataError
    tags: tuple[str, ...] | None = None


def _samples(shard: tarfile.TarFile) -> Iterator[Photograph]:
    """Photographs of a shard with the tags beside them: members that follow each other and have one stem."""
    held: list[Photograph] = []
    stem, tags = "", None
    for member in shard:
        path = PurePosixPath(member.name)
        now = str(path.with_name(path.name.split(".")[0]))
        if now != stem:
            yield from (one._replace(tags=tags) for one in held)
            held, stem, tags = [], now, None
        if not member.isfile():
            continue
        if is_image_name(member.name):
            held.append(Photograph(member.name, _content(shard, member)))
        elif path.suffix == ".json" and member.size < _MOST_JSON:
            tags = _tags_of(_content(shard, member))
    yield from (one._replace(tags=tags) for one in held)


def _content(shard: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = shard.extractfile(member)
    assert stream is not None
    return stream.read()


def _tags_of(content: bytes) -> tuple[str, ...] | None:
    """The list under `tags` of a JSON object, or None."""
    try:
        tree = json.loads(content)
    except ValueError:
        return None
    found = tree.get("tags") if isinstance(tree, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        return None
    return tuple(found)


def find_parts(
    source: str,
    is_done: Callable[[str], bool],
    *,
    size: int,
    choose: Callable[[list[str] | None], list[str]] = lambda names: names or [],
) -> tuple[list[Part], int]:
    """The work that is left.

    Args:
        source: address of a folder of photographs, of a folder of tar shards, or of one of either.
        is_done: whether a photograph, or the part of a shard, of that name has its results.
        size: photographs of a part.
        choose: from the names of all photographs to those that are wanted; called with None for shards, whose
            photographs are not known.

    Returns:
        Parts, and how many photographs (or shards) are done already.

    Raises:
        DataError: there is no photograph.
    """
    store = Store(source)
    if shards := store.names(".tar"):
        choose(None)
        parts = [Part(source, shard=name) for name in shards]
        left = [part for part in parts if not is_done(part.name)]
        return left, len(parts) - len(left)
    names = [name for name in store.names() if is_image_name(name or store.root)]
    if not names:
        raise DataError(f"{source}: no photograph and no .tar shard here; check the address")
    if names == [""]:
        alone = PurePosixPath(store.root).name
        names = ["" for _ in choose([alone])]
    else:
        names = choose(names)
    todo = [name for name in names if not is_done(name or PurePosixPath(store.root).name)]
    parts = [Part(source, tuple(todo[start : start + size])) for start in range(0, len(todo), size)]
    return parts, len(names) - len(todo)
