"""Which image of a folder Label Studio shows from an address.

Label Studio keeps an uploaded `my photo (1).jpg` as `upload/7/1a2b3c4d-my_photo_1.jpg`: a hash before the name, and
the name after Django's rule (spaces become _, all but letters, digits, -, _ and . goes away). `/data/local-files/?d=`
has the path as its owner wrote it, encoded or not; cloud storage gives presigned addresses or `?fileuri=` in Base64.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from urllib.parse import unquote, unquote_plus, urlsplit

from tag2mask.data.readers.json_file import shown
from tag2mask.data.readers.layout_words import valid_file_name
from tag2mask.data.readers.records import RecordError
from tag2mask.images.folder import FolderIndex

_HASH = re.compile(r"[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of an uploaded file."""

_OTHER_HASH = re.compile(r"(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{5,40})[-_](?=.)", re.IGNORECASE)
_COLLISION = re.compile(r"_[A-Za-z0-9]{7}(?=\.[A-Za-z0-9]+$)")
"""What Django puts behind a name that is taken."""

_LOCAL = re.compile(r"local-files/?\?(?:[^#]*?&)?d=", re.IGNORECASE)
_FILEURI = re.compile(r"[?&]fileuri=([^&#]+)")
_DEEPEST = 32


class Addresses:
    """Finds the images of a folder by Label Studio's addresses.

    Attributes:
        renamed: images that were found by Django's rule.
    """

    def __init__(self, index: FolderIndex) -> None:
        self.renamed: set[str] = set()
        self._index = index
        self._by_rule: dict[str, list[str]] | None = None

    def file_of(self, address: str) -> str:
        """Name of the image that is shown from an address.

        The longest end of the address's path that is an image of the folder, as written first, then decoded; then the
        only image whose name Django's rule turns into the last part; else the last part itself.

        Raises:
            RecordError: the address names no file, or several images fit.
        """
        wholes = list(dict.fromkeys(_wholes(address.strip())))
        paths = [pieces for whole in wholes if (pieces := _pieces(whole))]
        if not paths:
            raise RecordError(f"{shown(address)} names no file")
        if any(".." in pieces for pieces in paths):
            return next(whole for whole in wholes if ".." in _pieces(whole))  # refused where names are looked up
        for pieces in paths:
            for last in _without_hash(pieces[-1]):
                for start in range(max(0, len(pieces) - _DEEPEST), len(pieces)):
                    if (name := "/".join([*pieces[start:-1], last])) in self._index.files:
                        return name
        for pieces in paths:
            for last in _without_hash(pieces[-1]):
                if (found := self._renamed(last, pieces)) is not None:
                    self.renamed.add(found)
                    return found
        return _HASH.sub("", paths[-1][-1], count=1)

    def _renamed(self, last: str, pieces: list[str]) -> str | None:
        found = self._rule().get(valid_file_name(last), []) or self._rule().get(
            valid_file_name(_COLLISION.sub("", last)), []
        )
        if len(found) > 1:
            folder = "/".join([*pieces[:-1], ""])
            near = [name for name in found if folder.endswith(f"/{name.rpartition('/')[0]}/")]
            if len(near) != 1:
                raise RecordError(f"{last} may be {', '.join(found[:3])}; rename one of them")
            return near[0]
        return found[0] if found else None

    def _rule(self) -> dict[str, list[str]]:
        if self._by_rule is None:
            self._by_rule = defaultdict(list)
            for name in self._index.images():
                base = name.rpartition("/")[2]
                for form in {valid_file_name(base), valid_file_name(unicodedata.normalize("NFD", base))}:
                    self._by_rule[form].append(name)
        return self._by_rule


def _wholes(address: str) -> Iterator[str]:
    """The paths that an address may mean, as written first."""
    if address.startswith("data:"):
        raise RecordError("the image is inside the task (data:); save it as a file, and name that as `image`")
    if (local := _LOCAL.search(address)) is not None:
        raw = address[local.end() :]
        yield from (raw, raw.split("&")[0])
        yield from (unquote(raw.split("&")[0]), unquote_plus(raw.split("&")[0]), unquote(raw))
        return
    if (uri := _FILEURI.search(address)) is not None:
        yield from _wholes(_decoded(unquote(uri[1])))
        return
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise RecordError(f"{shown(address)} is not an address ({error})") from error
    yield parts.path
    if (parts.query and "=" not in parts.query) or parts.fragment:
        yield address.removeprefix(f"{parts.scheme}://")  # a name with ? or #
    yield unquote(parts.path)


def _decoded(text: str) -> str:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=False)
        return data.decode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise RecordError(f"fileuri {shown(text)} is not Base64 of an address; export the tasks again") from error


def _pieces(whole: str) -> list[str]:
    whole = unicodedata.normalize("NFC", whole)
    return [piece for piece in whole.replace("\\", "/").split("/") if piece not in {"", "."}]


def _without_hash(last: str) -> list[str]:
    """A name as written, and without the hash before it."""
    return list(dict.fromkeys([last, _HASH.sub("", last, count=1), _OTHER_HASH.sub("", last, count=1)]))
