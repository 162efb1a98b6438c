"""What an interrupted command says: what is kept, and the command that goes on."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tag2mask.cli.messages import shell_line

STATUS = 130
"""Exit status of an interrupted command."""

_KEPT = {
    "train": "nothing was written yet",
    "masks": "finished masks are kept and are not written again",
    "predict": "finished masks are kept and are not written again",
    "ablate": "finished trainings are kept and are not trained again",
    "demo": "the demo begins from its start",
}
_SERVERS = ("serve", "studio", "app", "label-studio")


class Interrupted(KeyboardInterrupt):
    """An interruption of a command that can say what it leaves.

    Attributes:
        kept: a sentence on what is kept.
        more: options to add to the command so that it goes on.
    """

    def __init__(self, kept: str, more: Sequence[str] = ()):
        super().__init__(kept)
        self.kept = kept
        self.more = tuple(more)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore further interruptions while the context lasts."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)


def end_at_once_if_interrupted_again() -> None:
    """From now on an interruption ends the process without another word: all has been said."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(STATUS))


def message(error: KeyboardInterrupt, command: str | None, words: Sequence[str]) -> str:
    """What to print.

    Args:
        error: the interruption.
        command: name of the command that was interrupted.
        words: of the command line, without the program.
    """
    if command is None or command in _SERVERS:
        return "interrupted"
    more: tuple[str, ...] = ()
    kept = _KEPT.get(command, "files that were written are whole")
    if isinstance(error, Interrupted):
        kept, more = error.kept, error.more
    return f"interrupted: {kept}. Go on with\n  {command_line(words, more)}"


def command_line(words: Sequence[str], more: Sequence[str] = ()) -> str:
    """The command of the user, with options added that it does not have yet, as one line for the shell."""
    added = [option for option in more if option not in words]
    if "--" in words:  # what follows it is no option
        return shell_line([*_program(), *words[:1], *added, *words[1:]])
    return shell_line([*_program(), *words, *added])


def _program() -> list[str]:
    """How the user called us."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return [_shortest(sys.executable), "-m", "tag2mask"]
    return [_shortest(sys.argv[0])] if called.stem == "tag2mask" else ["tag2mask"]


def _shortest(program: str) -> str:
    """The bare name of a program where the shell finds this very one by it."""
    name = Path(program).name
    found = shutil.which(name)
    return name if found is not None and Path(found).absolute() == Path(program).absolute() else program
