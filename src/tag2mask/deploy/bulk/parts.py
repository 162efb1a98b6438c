"""Parts of a source, the units of work: some images, or a tar shard."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.core.text import printable
from tag2mask.deploy.bulk.storage import Store
from tag2mask.images.kinds import BY_SUFFIX, is_image_name

_MOST_JSON = 1 << 20

ImageFile = tuple[ImageRecord, bytes | DataError]
"""An image's name and tags with the content of its file, or the reason why it cannot be read."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some images of a source, or a whole tar shard.

    Attributes:
        source: address of the folder.
        records: names below `source` and tags of the images; of a shard, of those whose tags come from a file.
        shard: name of the tar file below `source`; None for single images.
    """

    source: str
    records: tuple[ImageRecord, ...] = ()
    shard: str | None = None

    @property
    def name(self) -> str:
        """Of the results, without suffix."""
        what = [self.shard] if self.shard is not None else [record.name for record in self.records]
        kind = "shard" if self.shard is not None else "part"
        return f"{kind}-{hashlib.sha256(json.dumps([self.source, *what]).encode()).hexdigest()[:20]}"

    def to_json(self) -> str:
        """As text, for a worker on another machine."""
        records = [
            (record.name, None if record.tags is None else sorted(record.tags), sorted(record.unknown))
            for record in self.records
        ]
        return json.dumps({"source": self.source, "shard": self.shard, "records": records}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Part:
        """Read back what `to_json` gave."""
        tree = json.loads(text)
        records = (
            ImageRecord(name, tags=None if tags is None else frozenset(tags), unknown=frozenset(unknown))
            for name, tags, unknown in tree["records"]
        )
        return cls(tree["source"], tuple(records), tree["shard"])

    def files(self) -> Iterator[ImageFile]:
        """The files of its images, one at a time."""
        store = Store.of_source(self.source)
        if self.shard is not None:
            yield from self._members(store, self.shard)
            return
        for record in self.records:
            try:
                yield record, store.read(record.name)
            except DataError as error:
                yield record, error

    def _members(self, store: Store, shard: str) -> Iterator[ImageFile]:
        """Images of a shard; a record of this part goes before tags beside the image in the shard."""
        known = {record.name: record for record in self.records}
        try:
            with store.fs.open(store.path(shard), "rb") as stream, tarfile.open(fileobj=stream, mode="r|*") as tar:
                for record, content in _samples(tar, shard):
                    yield known.get(record.name, record), content
        except (tarfile.TarError, OSError, EOFError) as error:
            yield ImageRecord(shard), DataError(f"{shard}: the shard is damaged ({error})")


def image_parts(source: str, records: list[ImageRecord], size: int) -> list[Part]:
    """Parts of `size` images."""
    return [Part(source, tuple(records[start : start + size])) for start in range(0, len(records), size)]


def shard_parts(source: str, shards: list[str], records: list[ImageRecord]) -> list[Part]:
    """A part for each shard, with those records that are named `SHARD/MEMBER`."""
    of_shard: dict[str, list[ImageRecord]] = {shard: [] for shard in shards}
    for record in records:
        head, found, _ = record.name.partition(".tar/")
        if found and f"{head}.tar" in of_shard:
            of_shard[f"{head}.tar"].append(record)
    return [Part(source, tuple(of_shard[shard]), shard) for shard in shards]


def _samples(tar: tarfile.TarFile, shard: str) -> Iterator[ImageFile]:
    """Images of a shard with the tags beside them: members that follow each other and have one stem."""
    held: list[ImageFile] = []
    stem, tags = "", None
    for member in tar:
        path = PurePosixPath(member.name)
        now = str(path.parent / path.name.lstrip(".").split(".")[0])
        if now != stem:
            yield from ((replace(record, tags=tags), content) for record, content in held)
            held, stem, tags = [], now, None
        name = f"{shard}/{member.name}"
        kind = BY_SUFFIX.get(path.suffix.lower())
        if is_image_name(member.name) and not member.isdir() and not path.name.startswith("."):
            what = f"{printable(name)}: no file in the shard, but a link or a device; put the file itself there"
            held.append((ImageRecord(name), _content(tar, member) if member.isfile() else DataError(what)))
        elif not member.isfile():
            continue
        elif kind is not None:
            held.append(
                (ImageRecord(name), DataError(f"{printable(name)}: {kind.what} is not read here; {kind.remedy}"))
            )
        elif path.suffix == ".json" and member.size < _MOST_JSON:
            tags = _tags_of(_content(tar, member))
    yield from ((replace(record, tags=tags), content) for record, content in held)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    assert stream is not None
    return stream.read()


def _tags_of(content: bytes) -> frozenset[str] | None:
    """The list under `tags` of a JSON object, or None."""
    try:
        tree = json.loads(content)
    except ValueError:
        return None
    found = tree.get("tags") if isinstance(tree, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        return None
    return frozenset(found)
