"""Export formats of other packages: entry points of the group `tag2mask.exporters`.

[project.entry-points."tag2mask.exporters"]
my-format = "my_package:EXPORTER"
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError, Tag2MaskError
from tag2mask.core.plugins import EXPORTERS, Plugins
from tag2mask.masks.formats.containers import Write
from tag2mask.masks.formats.options import ExportOptions, Text, Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class FileExporter:
    """A format of one file, which a package brings by an entry point of the group `tag2mask.exporters`.

    Attributes:
        writer: makes the `Writer` of an export, from what takes a piece of the file's text and the options.
        suffix: of the file, with its dot and in lower case.
        polygons: it knows `ExportOptions.polygons`.
        instances: it knows `ExportOptions.instances`.
        undecided: undecided pixels keep the value 255 in it.

    Example of a format that counts pixels:
        >>> class Counts:
        ...     def __init__(self, write, options):
        ...         self.write = write
        ...     def add(self, name, mask):
        ...         _ = self.write(f"{name} {(mask > 0).sum()}" + chr(10))
        ...     def close(self):
        ...         pass
        >>> FileExporter(writer=Counts, suffix=".txt").suffix
        '.txt'
    """

    writer: Callable[[Text, ExportOptions], Writer]
    suffix: str
    polygons: bool = False
    instances: bool = False
    undecided: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderExporter:
    """A format of a folder or a ZIP archive, which a package brings as a `FileExporter`.

    Attributes:
        writer: makes the `Writer` of an export, from what writes one file (name with /, bytes) and the options.
        contents: files and folders at the top of what it writes; a folder that holds anything else is not replaced.
        polygons: it knows `ExportOptions.polygons`.
        instances: it knows `ExportOptions.instances`.
        undecided: undecided pixels keep the value 255 in it.

    Example of a format of one text an image:
        >>> class Texts:
        ...     def __init__(self, write, options):
        ...         self.write = write
        ...     def add(self, name, mask):
        ...         self.write(f"texts/{name}.txt", b"%d" % (mask > 0).sum())
        ...     def close(self):
        ...         pass
        >>> sorted(FolderExporter(writer=Texts, contents=frozenset({"texts"})).contents)
        ['texts']
    """

    writer: Callable[[Write, ExportOptions], Writer]
    contents: frozenset[str]
    polygons: bool = False
    instances: bool = False
    undecided: bool = False


Exporter = FileExporter | FolderExporter


def exporter(name: str) -> Exporter | None:
    """The export format of another package with this name, or None where there is none.

    Raises:
        PluginError: its package is broken.
    """
    return _plugins.get(name)


def exporter_names() -> tuple[str, ...]:
    """Names of the export formats of other packages."""
    return _plugins.names()


class Guarded:
    """A writer of another package; failures of its code are messages that name the package."""

    def __init__(self, name: str, make: Callable[[], Writer]) -> None:
        """Make the writer of the format `name`."""
        self._of = f"format {name!r} of the package {_plugins.package(name)}"
        self._writer: Writer = self._called(make)

    def add(self, name: str, mask: NDArray[np.uint8]) -> None:
        """Write a mask."""
        self._called(lambda: self._writer.add(name, mask))

    def close(self) -> None:
        """Write what comes after the last mask."""
        self._called(lambda: self._writer.close())

    def _called(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (Tag2MaskError, OSError):
            raise
        except Exception as error:
            raise DataError(
                f"{self._of} failed ({type(error).__name__}: {error}); update the package, or report it to its authors"
            ) from error


def _check(found: Any) -> str:
    if not isinstance(found, FileExporter | FolderExporter):
        return f"it is {type(found).__name__}, expected `FileExporter` or `FolderExporter`"
    if isinstance(found, FileExporter) and not (found.suffix.startswith(".") and found.suffix == found.suffix.lower()):
        return f"its suffix is {found.suffix!r}, expected one such as '.json', in lower case"
    if isinstance(found, FolderExporter) and not found.contents:
        return "its `contents` is empty, expected the names at the top of what it writes"
    return ""


def _reserved(name: str) -> bool:
    from tag2mask.masks.export import FORMATS  # which asks for the plug-ins

    return name in FORMATS


_plugins: Plugins[Exporter] = Plugins(EXPORTERS, "export format", _check, _reserved)
