"""Where images come from and results go to: any storage that fsspec knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.extras import require
from tag2mask.core.files import atomic_path


class Store:
    """A folder on any storage that fsspec knows: a path, `s3://bucket/prefix`, `gs://...`, `memory://...`.

    Attributes:
        url: its address.
        root: the storage's own path of the folder.
    """

    def __init__(self, url: str):
        fsspec: Any = require("scale", f"{url}: remote storage", "fsspec")
        self.url = url
        try:
            self.fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)  # others write here, too
        except (ImportError, ValueError) as error:
            raise ConfigError(f"{url}: this storage cannot be used ({error})") from None
        self.root = str(root).rstrip("/")
        self.local = "file" in (self.fs.protocol if isinstance(self.fs.protocol, tuple) else (self.fs.protocol,))
        self._only: str | None = None

    @classmethod
    def of_source(cls, url: str) -> Store:
        """The folder at an address, or of the address of a single file its folder, with no other file in it.

        Raises:
            DataError: the storage cannot be reached.
        """
        store = cls(url)
        try:
            single = store.fs.isfile(store.root)
        except Exception as error:  # each storage has errors of its own
            raise DataError(f"{url}: cannot be read ({error}); check address and rights") from None
        if single:
            store.root, _, store._only = store.root.rpartition("/")
        return store

    @property
    def is_single(self) -> bool:
        """Whether this is the address of one file."""
        return self._only is not None

    def names(self, suffix: str = "") -> list[str]:
        """Names of the files below, relative, sorted, with a suffix.

        Raises:
            DataError: it cannot be listed.
        """
        if self._only is not None:
            return [self._only] if self._only.endswith(suffix) else []
        try:
            found = self.fs.find(self.root) if self.fs.exists(self.root) else []
        except Exception as error:  # each storage has errors of its own
            raise DataError(f"{self.url}: cannot be listed ({error}); check address and rights") from None
        start = len(self.root) + 1
        return sorted(str(path)[start:] for path in found if str(path).endswith(suffix))

    def path(self, name: str) -> str:
        """The storage's own path of a name."""
        return f"{self.root}/{name}"

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
        """Write a file so that a reader never sees half of it.

        Raises:
            DataError: it cannot be written.
        """
        path = self.path(name)
        try:
            if self.local:
                with atomic_path(Path(path)) as temporary:
                    temporary.write_bytes(content)
            else:  # an object appears whole or not at all
                self.fs.pipe_file(path, content)
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"{self.url}/{name}: cannot be written ({type(error).__name__}: {error})") from None
