"""Where the image of a task is: in a local folder, in the task itself, or to be fetched."""

from __future__ import annotations

import base64
import binascii
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote

from tag2mask.core.errors import DataError
from tag2mask.data.readers.label_studio_address import Addresses
from tag2mask.data.readers.records import RecordError
from tag2mask.deploy.label_studio.addresses import AddressRules, RefusedAddressError, local_path, shown
from tag2mask.deploy.label_studio.fetching import Fetcher
from tag2mask.images.folder import FolderIndex

_DATA = re.compile(r"data:image/[\w.+-]+;base64,", re.ASCII | re.IGNORECASE)
_SECONDS_OF_INDEX = 10.0
"""Age from which a folder is listed again where an image is not found in it."""


class Folder:
    """A folder of images that may be read: those in it, and nothing that a link in it leads to outside."""

    def __init__(self, root: Path):
        """Take a folder.

        Raises:
            DataError: it is none.
        """
        self.root = root.resolve()
        self._index = FolderIndex(root)
        self._listed = time.monotonic()
        self._lock = threading.Lock()

    def at(self, path: str) -> Path | None:
        """The file at a path below the folder; None where there is none."""
        found = (self.root / path).resolve()
        return found if found.is_relative_to(self.root) and found.is_file() else None

    def named(self, address: str) -> str | None:
        """Name of the image that Label Studio shows from an address, by its name; None where there is none.

        Label Studio renames uploaded files; `Addresses` knows the rule.
        """
        with self._lock:
            for _ in range(2):
                try:
                    name = Addresses(self._index).file_of(address)
                except RecordError:
                    return None
                if name in self._index.files:
                    return name
                if time.monotonic() - self._listed < _SECONDS_OF_INDEX:
                    return None
                self._index, self._listed = FolderIndex(self.root), time.monotonic()
        return None


class ImageSource:
    """Finds and fetches the images of tasks."""

    def __init__(
        self, rules: AddressRules, fetcher: Fetcher, folders: Sequence[Folder], *, scratch: Path | None = None
    ):
        """Take what may be read.

        Args:
            rules: which addresses are fetched.
            fetcher: that fetches them.
            folders: of images on this machine, such as Label Studio's local storage.
            scratch: for the files of fetched images; None: the system's folder.
        """
        self._rules = rules
        self._fetcher = fetcher
        self._folders = tuple(folders)
        self._scratch = scratch

    @contextmanager
    def file(self, address: str, task: object = None) -> Iterator[Path]:
        """The file of an image, while the context lasts.

        A file of local storage is looked up in the folders. Other images are fetched where Label Studio's address is
        known, else looked up in the folders by their names.

        Args:
            address: as the task has it.
            task: id of the task.

        Raises:
            RefusedAddressError: the rules do not allow it.
            DataError: it is not there, or cannot be fetched.
        """
        local = self.local(address)
        if local is not None:
            yield local
            return
        content = _inside(address)
        if content is None:
            content = self._fetcher.fetch(address, task)
        with TemporaryDirectory(dir=self._scratch) as folder:
            path = Path(folder) / "image"
            path.write_bytes(content)
            yield path

    def local(self, address: str) -> Path | None:
        """The file on this machine that an address means, where one of the folders has it."""
        path = local_path(address)
        if path is not None:
            for folder in self._folders:
                if (found := folder.at(path)) is not None:
                    return found
        if path is None and self._rules.base is not None:
            return None
        for folder in self._folders:
            if (name := folder.named(address)) is not None and (found := folder.at(name)) is not None:
                return found
        return None


def address_of(task: Mapping[str, object], key: str) -> str:
    """Address of the image of a task.

    Args:
        task: with its `data`.
        key: under which the labelling interface finds the image.

    Raises:
        DataError: there is none.
    """
    data = task.get("data")
    address = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(address, str) or not address.strip():
        keys = ", ".join(map(str, data)) if isinstance(data, Mapping) else "none"
        raise DataError(f"task {task.get('id')}: its data has no image under {key!r} (it has: {keys[:200]})")
    return address.strip()


def base_name(address: str) -> str:
    """The last part of an address, as a name of a file."""
    path = local_path(address) if _DATA.match(address) is None else "image"
    last = re.split(r"[/\\]", unquote(address.split("?")[0]) if path is None else path)[-1]
    return re.sub(r"[^\w.-]+", "_", last)[-80:].lstrip(".") or "image"


def _inside(address: str) -> bytes | None:
    """The content of an image that is inside its task; None where it is elsewhere."""
    found = _DATA.match(address)
    if found is None:
        return None
    try:
        return base64.b64decode(address[found.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise RefusedAddressError(f"{shown(address[:40])}: not an image in Base64") from None
