"""Names of classes: reading, writing and checking lists of them."""

from __future__ import annotations

import difflib
import logging
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from tag2mask.core.constants import MAX_CLASSES
from tag2mask.core.errors import DataError
from tag2mask.core.files import write_text
from tag2mask.core.text import is_control, printable

CLASSES_FILE = "classes.txt"
"""File of class names in a folder of masks: the class of line k has index k."""

_log = logging.getLogger(__name__)
_NUMBERED = re.compile(r"\d+\s*[:,;\s]\s*\S")


def read_classes(source: Path | Sequence[str]) -> tuple[str, ...]:
    """Class names in the order of their indices, without background.

    A file has one name per line, which may contain spaces; a file of a single line is split at
    white space, unless a blank line follows. Blank lines are skipped. A first name `background` is
    dropped: it is class index 0 of every mask and not listed.

    Raises:
        DataError: the file cannot be read, or the names cannot be used (see `check_names`).
    """
    if isinstance(source, Path):
        names = _lines(source)
        what = printable(source)
    elif isinstance(source, str):
        raise DataError(f"`classes`: expected a list of names or a path, got the text {source!r}")
    else:
        names = list(source)
        what = "classes"
    names = [unicodedata.normalize("NFC", name.strip()) for name in names]
    if names and names[0].casefold() == "background":
        names = names[1:]
    check_names(names, what)
    return tuple(names)


def write_classes(folder: Path, classes: Sequence[str]) -> Path:
    """Write `classes.txt` into `folder`, as `read_classes` reads it; returns its path.

    Args:
        folder: created if missing.
        classes: names without background, in the order of their indices.

    Raises:
        DataError: the file cannot be written, or a name cannot be written on a line of its own.
    """
    path = folder / CLASSES_FILE
    write_text(path, classes_text(classes))
    return path


def classes_text(classes: Sequence[str]) -> str:
    r"""The content of `CLASSES_FILE`: one name per line.

    A blank line follows a single name of several words, which `read_classes` would split.

    Raises:
        DataError: a name cannot be written on a line of its own.

    >>> classes_text(["cat", "red panda"]), classes_text(["red panda"])
    ('cat\nred panda\n', 'red panda\n\n')
    """
    for name in classes:
        if why := why_no_name(name):
            raise DataError(f"class {name!r} cannot be written to {CLASSES_FILE}: {why}")
    lone = len(classes) == 1 and len(classes[0].split()) > 1
    return "".join(f"{name}\n" for name in classes) + "\n" * lone


def check_names(names: Sequence[str], what: str) -> None:
    """Check that names can be the classes of a dataset.

    Args:
        names: the names, without background.
        what: where they come from, for the message.

    Raises:
        DataError: there is no name, more than `MAX_CLASSES`, one twice, or one that cannot be a name.
    """
    if not names:
        raise DataError(f"{what}: no class; expected one class name per line")
    if len(names) > MAX_CLASSES:
        raise DataError(
            f"{what}: {len(names)} classes; an 8-bit mask holds {MAX_CLASSES} beside background. "
            f"If these are not class names (first: {', '.join(names[:3])}), choose the right column or file"
        )
    seen: set[str] = set()
    for name in names:
        if why := why_no_name(name):
            raise DataError(f"{what}: {name!r} cannot be a class name: {why}")
        if name.casefold() in {"background", "none"}:
            raise DataError(f"{what}: {name!r} means that no class is present; remove it from the classes")
        if name in seen:
            raise DataError(f"{what}: class {name!r} is listed twice; remove one")
        seen.add(name)


def why_no_name(name: str) -> str | None:
    """Why a text cannot be the name of a class, with the remedy; None where it can be one.

    Names are written one per line: a line break inside one would move the index of every class behind it.
    """
    if not name.strip():
        return "it is empty; write a name"
    if any(is_control(character) for character in name):
        return "it holds a line break or another control character; write one line of printable text"
    if name != name.strip():
        return "it begins or ends with a space; remove it"
    return None


def check_spelling(names: Iterable[str], what: str) -> None:
    """Refuse names that differ only in upper and lower case.

    Raises:
        DataError: two names differ only in case; the message names both.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise DataError(
                f"{what}: {other!r} and {name!r} differ only in upper and lower case; write one of them "
                "everywhere, or list both in a file of classes if two classes are meant"
            )


def nearest(name: str, names: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the name most like `name`, or nothing."""
    by_fold = {known.casefold(): known for known in names}
    found = difflib.get_close_matches(name.casefold(), by_fold, n=1, cutoff=0.6)
    return f" (did you mean {by_fold[found[0]]!r}?)" if found else ""


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError as error:
        raise DataError(f"{printable(path)}: no such file; expected class names, one per line") from error
    except OSError as error:
        raise DataError(
            f"{printable(path)}: cannot be read ({error.strerror}); expected class names, one per line"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(path)}: not UTF-8 text; save the class names as UTF-8") from error
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if len(lines) > 1 and all(_NUMBERED.match(line) for line in lines):
        raise DataError(
            f"{printable(path)}: lines begin with numbers ({lines[0]!r}); write the names alone, one per line"
        )
    if len(lines) == 1 and "," in lines[0]:
        raise DataError(
            f"{printable(path)}: names separated by commas ({lines[0][:60]!r}); write one class name per line"
        )
    if len(lines) != 1 or len(lines[0].split()) == 1 or text.endswith("\n\n"):
        return lines
    names = lines[0].split()
    _log.info(
        "%s: one line, read as %d classes: %s; where it is one class, add a blank line behind it",
        printable(path), len(names), ", ".join(names),
    )  # fmt: skip
    return names
