"""What the library says, as the command line says it: parameters become options, log records become lines."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape

_PARAMETER = re.compile(r"`(\w+)(?:=([^`]*))?`")


def in_options(text: str, parameters: Iterable[Any]) -> str:
    """Turn parameters in backticks into the options of a command.

    '`overwrite=True`' becomes '--overwrite', "`device='cpu'`" becomes '--device cpu'. What the command has no
    option for stays as it is.

    Args:
        text: a message of the library.
        parameters: the command's, as Typer has them.
    """
    names: dict[str, str] = {}
    for parameter in parameters:
        option = max(parameter.opts, key=len)
        if option.startswith("--"):
            names[parameter.name.rstrip("_")] = option

    def option_of(found: re.Match[str]) -> str:
        name, value = found.groups()
        if name not in names or value == "False":
            return found.group()
        if value in (None, "True"):
            return names[name]
        unquoted = value.strip("\"'")
        return f"{names[name]} {unquoted}"

    return _PARAMETER.sub(option_of, text)


class _Lines(logging.Handler):
    """Prints INFO as plain lines on standard output, and what is worse on standard error."""

    def __init__(self, out: Console, err: Console, translated: Callable[[str], str]):
        super().__init__(logging.INFO)
        self.out, self.err, self.translated = out, err, translated

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        text = escape(self.translated(self.format(record)))
        if record.levelno < logging.WARNING:
            self.out.print(text)
        else:
            self.err.print(f"[yellow]{record.levelname.lower()}:[/] {text}")


@contextmanager
def log_lines(out: Console, err: Console, translated: Callable[[str], str]) -> Iterator[None]:
    """Show what the library logs, while the context lasts.

    Args:
        out: for INFO.
        err: for WARNING and worse.
        translated: from a message of the library to one of the command line.
    """
    logger = logging.getLogger("tag2mask")
    handler, level = _Lines(out, err, translated), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
