"""Names of classes: reading, writing and checking lists of them."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from tag2mask.core.constants import MAX_CLASSES
from tag2mask.core.errors import DataError
from tag2mask.core.files import write_text

CLASSES_FILE = "classes.txt"
"""File of class names in a folder of masks: the class of line k has index k."""

_NUMBERED = re.compile(r"\d+\s*[:,;\s]\s*\S")


def read_classes(source: Path | Sequence[str]) -> tuple[str, ...]:
    """Class names in the order of their indices, without background.

    A file has one name per line, which may contain spaces; a file of a single line is split at
    white space. Blank lines are skipped. A first name `background` is dropped: it is class index 0
    of every mask and not listed.

    Raises:
        DataError: the file cannot be read, or the names cannot be used (see `check_names`).
    """
    if isinstance(source, Path):
        names = _lines(source)
        what = str(source)
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
        DataError: the file cannot be written.
    """
    path = folder / CLASSES_FILE
    write_text(path, "".join(f"{name}\n" for name in classes))
    return path


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
        if not name or not name.isprintable():
            raise DataError(f"{what}: {name!r} cannot be a class name; expected printable text")
        if name.casefold() in {"background", "none"}:
            raise DataError(f"{what}: {name!r} means that no class is present; remove it from the classes")
        if name in seen:
            raise DataError(f"{what}: class {name!r} is listed twice; remove one")
        seen.add(name)


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
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; expected class names, one per line") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected class names, one per line") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text; save the class names as UTF-8") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and all(_NUMBERED.match(line) for line in lines):
        raise DataError(f"{path}: lines begin with numbers ({lines[0]!r}); write the names alone, one per line")
    if len(lines) == 1 and "," in lines[0]:
        raise DataError(f"{path}: names separated by commas ({lines[0][:60]!r}); write one class name per line")
    return lines[0].split() if len(lines) == 1 else lines
