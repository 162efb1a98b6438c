"""The file `project.yaml`: classes with their colours and keys, the chosen run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tag2mask.core.errors import DataError
from tag2mask.core.text import printable
from tag2mask.drawing import palette_colours

VERSION = 1
"""Of the file; a newer one is refused."""

KEYS = "123456789" + "qwrtyuiopasdghjlcvm"
"""Keys that new classes get, in this order; more classes have none."""

_COLOUR = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True, slots=True)
class ProjectClass:
    """A class of a project.

    Attributes:
        name: unique in the project.
        colour: `#rrggbb`, in lower case.
        key: one character that tags it, or nothing.
    """

    name: str
    colour: str
    key: str


def new_class(name: str, others: Iterable[ProjectClass]) -> ProjectClass:
    """A class with the first colour and key that no other class has."""
    there = list(others)
    colours, keys = {one.colour for one in there}, {one.key for one in there}
    palette = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in palette_colours()[1:255].tolist()]
    colour = next((colour for colour in palette if colour not in colours), palette[len(there) % len(palette)])
    return ProjectClass(name, colour, next((key for key in KEYS if key not in keys), ""))


def is_colour(text: str) -> bool:
    """Whether a text is a colour as `#rrggbb`."""
    return _COLOUR.fullmatch(text) is not None


def is_key(text: str) -> bool:
    """Whether a text is a key that can tag a class: nothing, or a letter or figure."""
    return text == "" or (len(text) == 1 and text.isalnum() and text == text.casefold())


def project_text(classes: Iterable[ProjectClass], run: str | None) -> str:
    """The content of the file."""
    tree = {
        "version": VERSION,
        "classes": [{"name": one.name, "colour": one.colour, "key": one.key} for one in classes],
        "run": run,
    }
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def read_project(path: Path) -> tuple[tuple[ProjectClass, ...], str | None]:
    """Classes and chosen run; nothing where there is no file.

    Raises:
        DataError: the file cannot be read, or is of a newer version.
    """
    try:
        tree: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return (), None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{printable(path)}: cannot be read ({_said(error)}); {_MEND}") from error
    if not isinstance(tree, dict) or not isinstance(tree.get("version"), int):
        raise DataError(f"{printable(path)}: not the file of a project, it has no `version`; {_MEND}")
    if tree["version"] > VERSION:
        raise DataError(
            f"{printable(path)}: version {tree['version']}, this program reads up to {VERSION}; update tag2mask"
        )
    classes: list[ProjectClass] = []
    for entry in tree.get("classes") or []:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name in {one.name for one in classes}:
            raise DataError(f"{printable(path)}: a class without a name of its own ({entry!r:.80}); {_MEND}")
        fresh = new_class(name, classes)
        colour, key = str(entry.get("colour", "")).lower(), str(entry.get("key", ""))
        taken = {one.key for one in classes if one.key}
        classes.append(
            ProjectClass(
                name, colour if is_colour(colour) else fresh.colour, key if is_key(key) and key not in taken else ""
            )
        )
    run = tree.get("run")
    return tuple(classes), run if isinstance(run, str) else None


_MEND = "mend it, or delete it: classes then come from tags.csv"


def _said(error: Exception) -> str:
    return printable(" ".join(str(error).split()))[:200]
