"""What the library says, as the command line says it: parameters become options, log records become lines."""

from __future__ import annotations

import logging
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape

from tag2mask.core.outcome import RESULT
from tag2mask.core.text import printable

_PARAMETER = re.compile(r"`(\w+)(?:=([^`]*))?`")
_SETTING = re.compile(r"`(\w+(?:\.\w+)+)=([^`]*)`")

OPTION_OF_SETTING = {
    "model.backbone": "backbone",
    "model.weights": "weights",
    "training.epochs": "epochs",
    "training.seed": "seed",
    "data.cache": "cache",
}
"""Settings by dotted name that commands have a parameter of their own for."""


def in_options(text: str, parameters: Iterable[Any], *, others: Iterable[Any] = ()) -> str:
    """Turn parameters in backticks into the options of a command.

    '`overwrite=True`' becomes '--overwrite', "`device='cpu'`" becomes '--device cpu', and of settings
    '`training.epochs=20`' becomes '--epochs 20' and '`prediction.gate=0.1`' becomes '--set prediction.gate=0.1'. What
    the command has no option for stays as it is.

    Args:
        text: a message of the library.
        parameters: the command's, as Typer has them.
        others: of other commands, where the command has none of that name.
    """
    own = _options(parameters)
    names = {**_options(others), **own}

    def option_of(found: re.Match[str]) -> str:
        name, value = found.groups()
        if name not in names or value == "False":
            return found.group()
        if value in (None, "True"):
            return names[name]
        return f"{names[name]} {quoted(value)}"

    def option_of_setting(found: re.Match[str]) -> str:
        setting, value = found.groups()
        parameter = OPTION_OF_SETTING.get(setting)
        if parameter in own:
            return f"{own[parameter]} {quoted(value)}"
        return f"{own['set']} {quoted(f'{setting}={value}')}" if "set" in own else found.group()

    return _PARAMETER.sub(option_of, _SETTING.sub(option_of_setting, text))


def _options(parameters: Iterable[Any]) -> dict[str, str]:
    """Options by the names of their parameters."""
    longest = {parameter.name.rstrip("_"): max(parameter.opts, key=len) for parameter in parameters}
    return {name: option for name, option in longest.items() if option.startswith("--")}


def quoted(value: str) -> str:
    """A value as Python writes it, as the shell wants it."""
    return shell_line([value.strip("\"'")])


def with_json_to(words: Sequence[str]) -> list[str]:
    """The words of a command line; of `check`, `--json` without a file means standard output, as in other commands.

    >>> with_json_to(["check", "photos", "--json", "--shown", "3"])
    ['check', 'photos', '--json', '-', '--shown', '3']
    """
    found = list(words)
    if found[:1] == ["check"] and "--json" in found:
        place = found.index("--json") + 1
        if place == len(found) or found[place].startswith("--"):
            found.insert(place, "-")
    return found


def shell_line(words: Sequence[str]) -> str:
    """Words of a command, quoted for the shell where they need it."""
    if os.name != "nt":
        return shlex.join(words)
    import subprocess

    return subprocess.list2cmdline(words)


class Lines(logging.Handler):
    """Prints INFO and results as plain lines on standard output, and what is worse on standard error."""

    def __init__(self, out: Console, err: Console, translated: Callable[[str], str], *, quiet: bool = False):
        super().__init__(RESULT if quiet else logging.INFO)
        self.out, self.err, self.translated, self.quiet = out, err, translated, quiet

    def leave_output(self) -> None:
        """Leave standard output to a document: lines go to standard error, and the quiet ones nowhere."""
        self.out = self.err
        if self.quiet:
            self.setLevel(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        text = escape(printable(self.translated(self.format(record)), keep="\n\t"))
        if record.levelno < logging.WARNING:
            _beside_progress(self.out).print(text, soft_wrap=True, highlight=False)
        else:
            line = f"[yellow]{record.levelname.lower()}:[/] {text}"
            _beside_progress(self.err).print(line, soft_wrap=True, highlight=False)


def _beside_progress(console: Console) -> Console:
    """The console to print on: where a line of progress is drawn on the same terminal, its own, which makes room."""
    if "tag2mask.core.progress" not in sys.modules:  # nothing is drawn; Rich's bars would slow every start
        return console
    from tag2mask.core.progress import drawing_console

    drawing = drawing_console()
    return drawing if drawing is not None and console.file.isatty() else console


@contextmanager
def log_lines(out: Console, err: Console, translated: Callable[[str], str], *, quiet: bool = False) -> Iterator[Lines]:
    """Show what the library logs, while the context lasts.

    Args:
        out: for INFO.
        err: for WARNING and worse.
        translated: from a message of the library to one of the command line.
        quiet: leave INFO out, but for results.

    Yields:
        What prints.
    """
    logger = logging.getLogger("tag2mask")
    handler, level = Lines(out, err, translated, quiet=quiet), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
