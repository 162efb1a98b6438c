"""Parts of other packages, found by their entry points: formats to read, formats to write, backbones.

[project.entry-points."tag2mask.readers"]
my-format = "my_package:FORMAT"
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from tag2mask.core.errors import ConfigError

READERS = "tag2mask.readers"
EXPORTERS = "tag2mask.exporters"
BACKBONES = "tag2mask.backbones"

T = TypeVar("T")

_log = logging.getLogger(__name__)
_said: set[str] = set()


class PluginError(ConfigError):
    """A part of another package was asked for and cannot be used."""


class Plugins(Generic[T]):
    """The plug-ins of one group.

    A plug-in that cannot be loaded is named in a warning, once, and left out; only who asks for it gets an error.
    """

    def __init__(self, group: str, what: str, check: Callable[[Any], str], reserved: Callable[[str], bool]):
        """Name the group.

        Args:
            group: of the entry points, e.g. `READERS`.
            what: what its members are, for messages, e.g. 'format'.
            check: why an object is no such plug-in; empty where it is one.
            reserved: whether a name is one of our own, which no package may take.
        """
        self.group, self.what = group, what
        self._check, self._reserved = check, reserved

    def names(self) -> tuple[str, ...]:
        """Names of the plug-ins that are installed, sorted; none is loaded, so that one of them may be broken."""
        return tuple(sorted(self._points()))

    def package(self, name: str) -> str:
        """Name and version of the package that brings a plug-in."""
        return _package(self._points()[name])

    def get(self, name: str) -> T | None:
        """A plug-in, or None where none has this name.

        Raises:
            PluginError: it cannot be loaded, or is of another kind.
        """
        point = self._points().get(name)
        if point is None:
            return None
        loaded, trouble = _loaded(point)
        trouble = trouble or self._check(loaded)
        if trouble:
            raise PluginError(
                f"{self.what} {name!r} of the package {_package(point)} cannot be used: {trouble}; update the package "
                "or uninstall it"
            )
        found: T = loaded
        return found

    def all(self) -> dict[str, T]:
        """All plug-ins that can be used, by name."""
        found: dict[str, T] = {}
        for name in self.names():
            try:
                plugin = self.get(name)
            except PluginError as error:
                _warn_once(str(error))
            else:
                assert plugin is not None
                found[name] = plugin
        return found

    def _points(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        # The search path is part of the key: what was installed in the meantime, or put on the path, is found.
        for point in _entry_points(self.group, tuple(sys.path)):
            first = found.setdefault(point.name, point)
            if self._reserved(point.name):
                del found[point.name]
                _warn_once(
                    f"{self.what} {point.name!r} of the package {_package(point)} is not used: one of tag2mask has "
                    "this name"
                )
            elif first is not point:
                _warn_once(
                    f"{self.what} {point.name!r} of the package {_package(point)} is not used: the package "
                    f"{_package(first)} has one of this name; uninstall one of them"
                )
        return found


@lru_cache(maxsize=16)
def _entry_points(group: str, _: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    return tuple(sorted(entry_points(group=group), key=lambda point: (point.name, _package(point))))


@lru_cache(maxsize=256)
def _loaded(point: EntryPoint) -> tuple[Any, str]:
    """What an entry point names, or why that cannot be had."""
    try:
        return point.load(), ""
    except (Exception, SystemExit) as error:  # whatever the modules of another package raise
        return None, f"{type(error).__name__}: {error}".partition("\n")[0]


def _package(point: EntryPoint) -> str:
    return point.value if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _warn_once(text: str) -> None:
    if text not in _said:
        _said.add(text)
        _log.warning("%s", text)
