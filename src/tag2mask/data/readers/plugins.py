"""Formats of other packages: entry points of the group `tag2mask.readers`, each a `FileFormat`.

[project.entry-points."tag2mask.readers"]
my-format = "my_package:FORMAT"
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path

from tag2mask.core.errors import DataError
from tag2mask.data.readers.listing import Listing
from tag2mask.images.folder import FolderIndex

GROUP = "tag2mask.readers"

Reader = Callable[[Path, FolderIndex, Sequence[str] | None], Listing]
"""Reads a file of tags: the file, the files of the folder of images, the classes that were chosen or None."""


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A format of a file of tags.

    Attributes:
        read: reads such a file; what cannot be read is a `DataError` that names the file and the line.
        recognise: whether a file is one, from its path and its first MiB. Such formats are asked before our own.
    """

    read: Reader
    recognise: Callable[[Path, bytes], bool]


@lru_cache(maxsize=1)
def plugins() -> dict[str, FileFormat]:
    """The formats of other packages by name.

    Raises:
        DataError: one cannot be imported, or is no `FileFormat`.
    """
    found: dict[str, FileFormat] = {}
    for point in entry_points(group=GROUP):
        package = point.dist.name if point.dist is not None else point.value
        try:
            format = point.load()
        except Exception as error:
            raise DataError(
                f"format {point.name!r} of {package} cannot be loaded ({error}); update it or uninstall it"
            ) from error
        if not isinstance(format, FileFormat):
            raise DataError(f"format {point.name!r} of {package} is no `FileFormat`; update it or uninstall it")
        found[point.name] = format
    return found
