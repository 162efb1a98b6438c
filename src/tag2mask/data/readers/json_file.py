"""Reading JSON that another tool wrote, whatever it holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tag2mask.core.errors import DataError
from tag2mask.data.readers.text import read_text

Hook = Callable[[dict[str, Any]], Any]


def read_json(path: Path, expected: str, *, hook: Hook | None = None) -> Any:
    """The value that a file of JSON holds.

    Args:
        path: the file.
        expected: what was expected in it, for the message.
        hook: called with each object as soon as it is read; its return value replaces the object.

    Raises:
        DataError: it cannot be read or is not JSON.
    """
    text = read_text(path, "JSON", expected)
    if not text.strip():
        raise DataError(f"{path}: the file is empty; {expected}")
    try:
        return parse_json(text, hook=hook)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno}: not JSON ({error.msg}); is the file cut off? Export it again"
        ) from error
    except ValueError as error:
        raise DataError(f"{path}: not usable JSON ({error}); {expected}") from error


def parse_json(text: str, *, hook: Hook | None = None) -> Any:
    """The value of a text of JSON.

    Raises:
        ValueError: it is not JSON (then a `JSONDecodeError`), nested too deeply, or has an endless number.
    """
    try:
        return json.loads(text, object_hook=hook)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def shown(value: Any, length: int = 60) -> str:
    """A value as it is quoted in a message: short, on one line."""
    text = repr(value[: 2 * length] if isinstance(value, str | list) else value)
    return text if len(text) <= length else f"{text[:length]}..."
