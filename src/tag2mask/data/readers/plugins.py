"""Formats of other packages: entry points of the group `tag2mask.readers`, each a `FileFormat`.

[project.entry-points."tag2mask.readers"]
my-format = "my_package:FORMAT"
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tag2mask.core.errors import DataError, Tag2MaskError
from tag2mask.core.plugins import READERS, Plugins
from tag2mask.data.readers.listing import Listing
from tag2mask.images.folder import FolderIndex

Reader = Callable[[Path, FolderIndex, Sequence[str] | None], Listing]
"""Reads a file of tags: the file, the files of the folder of images, the classes that were chosen or None."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A format of a file of tags, which a package brings by an entry point of the group `tag2mask.readers`.

    Example of one whose files begin with MINE:
        >>> from tag2mask.core.record import ImageRecord
        >>> def read(path, index, classes):
        ...     names = path.read_text(encoding="utf-8").split()[1:]
        ...     return Listing("mine", index, [ImageRecord(name, tags=frozenset({"cat"})) for name in names])
        >>> mine = FileFormat(read, lambda path, head: head.startswith(b"MINE"))
        >>> mine.recognise(Path("tags.txt"), b"MINE a.jpg b.jpg")
        True

    Attributes:
        read: reads such a file; what cannot be read is a `DataError` that names the file and the line.
        recognise: whether a file is one, from its path and its first MiB. Such formats are asked before our own.
    """

    read: Reader
    recognise: Callable[[Path, bytes], bool]


def plugins() -> dict[str, FileFormat]:
    """The formats of other packages by name; those that cannot be used are left out, with a warning."""
    return {name: _guarded(name, plugin) for name, plugin in _plugins.all().items()}


def require_plugin(name: str) -> None:
    """Say why a format of another package cannot be used; nothing is said of a name that no package has.

    Raises:
        PluginError: the package is broken.
    """
    _plugins.get(name)


def _check(found: Any) -> str:
    return "" if isinstance(found, FileFormat) else f"it is {type(found).__name__}, expected `FileFormat`"


def _reserved(name: str) -> bool:
    from tag2mask.data.readers.sources import FORMATS  # which asks for the plug-ins

    return name in FORMATS


_plugins: Plugins[FileFormat] = Plugins(READERS, "format", _check, _reserved)


def _guarded(name: str, plugin: FileFormat) -> FileFormat:
    """The format with failures of its code as messages that name its package."""
    of = f"format {name!r} of the package {_plugins.package(name)}"

    def read(path: Path, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
        try:
            listing = plugin.read(path, index, classes)
        except Tag2MaskError:
            raise
        except Exception as error:
            raise DataError(f"{path}: {of} failed ({type(error).__name__}: {error}); {_REMEDY}") from error
        if not isinstance(listing, Listing):
            raise DataError(f"{path}: {of} gave {type(listing).__name__}, expected `Listing`; {_REMEDY}")
        return listing

    def recognise(path: Path, head: bytes) -> bool:
        try:
            return bool(plugin.recognise(path, head))
        except Exception as error:
            _log.warning(
                "%s is left out: it cannot say whether %s is its own (%s: %s)", of, path, type(error).__name__, error
            )
            return False

    return FileFormat(read, recognise)


_REMEDY = "update the package, or report it to its authors"
