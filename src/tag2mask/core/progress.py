"""Progress of long work: one line on a terminal or in a notebook, with the time left; and for who observes it.

A job of several stages opens the line once with `one_line`; the bars of its stages (`progress_bar`) then fill that line
one after the other and show the time left of the whole job. A bar outside of such a job has a line of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from tag2mask.core.time_left import Part, TimeLeft

Observer = Callable[[str, int, int], None]
"""Takes what is counted, how many steps are done, and how many there are."""

_observer: ContextVar[Observer | None] = ContextVar("observer", default=None)
_line: ContextVar[Line | None] = ContextVar("line", default=None)
_is_hidden: ContextVar[bool] = ContextVar("is_hidden", default=False)
_BAR = 40  # columns, on a terminal that has them
_WORDS = 58  # columns beside the bar


class _Left(ProgressColumn):
    """The time that is left, which goes on to fall between two steps."""

    max_refresh = 0.5

    def __init__(self, left: TimeLeft):
        super().__init__(Column(no_wrap=True, justify="right"))
        self.left = left

    def render(self, task: Task) -> Text:
        """As '0:04:10 left'."""
        return Text(clock(self.left.seconds()), style="progress.remaining")


def clock(seconds: float | None) -> str:
    """Time left as a line of progress shows it.

    >>> clock(250.4), clock(None)
    ('0:04:10 left', '-:--:-- left')
    """
    if seconds is None:
        return "-:--:-- left"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d} left"


class Line:
    """The line of progress of a job.

    Attributes:
        left: the time left of the job.
        console: where the line is drawn; None where it is not.
    """

    def __init__(self, left: TimeLeft, *, console: Console | None, stays: bool):
        """Prepare.

        Args:
            left: gets every step.
            console: where to draw; None: nowhere.
            stays: the line stays on the terminal at the end.
        """
        self.left = left
        self.console = console
        target = console or Console(stderr=True)
        words = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis"), markup=False)
        bar = BarColumn(max(8, min(_BAR, target.width - _WORDS)))
        self._progress = Progress(
            words, bar, MofNCompleteColumn(), _Left(left), console=target, disable=console is None, transient=not stays
        )
        self._task = self._progress.add_task("", total=None, visible=False)
        self._prefix = self._shown = ""

    def prefix(self, text: str) -> None:
        """Words before what is counted, such as 'epoch 3/15, '."""
        self._prefix = text

    def step(self, what: str, done: int, total: int) -> None:
        """Show a step.

        Args:
            what: what is counted.
            done: steps that are done.
            total: of them all.
        """
        self.left.step(what, done, total)
        words = self._prefix + what
        is_other, self._shown = words != self._shown, words
        self._progress.update(
            self._task, description=words, completed=done, total=total, visible=True, refresh=is_other
        )

    def __enter__(self) -> Line:
        self._progress.start()
        if self.console is not None:
            _drawn.append(self.console)
        return self

    def __exit__(self, *_: object) -> None:
        if self.console is not None:
            _drawn.remove(self.console)
        self._progress.stop()


_drawn: list[Console] = []


def drawing_console() -> Console | None:
    """The console that a line of progress is drawn on now: whoever prints on the same terminal prints through it."""
    return _drawn[-1] if _drawn else None


def current_line() -> Line | None:
    """The line of the job that runs in this thread."""
    return _line.get()


@contextmanager
def hidden() -> Iterator[None]:
    """Show no progress while the context lasts; observers are told as before."""
    token = _is_hidden.set(True)
    try:
        yield
    finally:
        _is_hidden.reset(token)


@contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Tell an observer of every step while the context lasts, whether a bar is shown or not.

    Args:
        observer: called in the thread that does the work, often: it must be quick.
    """
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def is_visible(*, shown: bool = True) -> bool:
    """Whether a line of progress would be seen: on a terminal, or in a notebook with ipywidgets."""
    return _console(shown=shown) is not None


def _console(*, shown: bool) -> Console | None:
    """Where progress is drawn; None: nowhere."""
    if not shown or _is_hidden.get():
        return None
    console = Console(stderr=True)
    if console.is_jupyter:
        return console if find_spec("ipywidgets") is not None else None  # Rich needs them to draw there
    return console if console.is_terminal and not console.is_dumb_terminal and console.file.isatty() else None


@contextmanager
def one_line(left: TimeLeft, *, shown: bool = True) -> Iterator[Line]:
    """One line of progress for a job of several stages, while the context lasts; it vanishes at the end.

    Args:
        left: what the job consists of.
        shown: False shows nothing.
    """
    with Line(left, console=_console(shown=shown), stays=False) as line:
        token = _line.set(line)
        try:
            yield line
        finally:
            _line.reset(token)


def note_step(what: str, done: int, total: int) -> None:
    """Show a step of the job that runs in this thread, and tell its observer.

    Args:
        what: what is counted.
        done: steps that are done.
        total: of them all.
    """
    if (line := _line.get()) is not None:
        line.step(what, done, total)
    if (observer := _observer.get()) is not None:
        observer(what, done, total)


@contextmanager
def progress_bar(what: str, total: int, *, shown: bool = True) -> Iterator[Callable[[], None]]:
    """Show a bar with the time left while the context lasts; within `one_line`, in that line.

    Args:
        what: what is counted, e.g. 'masks'.
        total: how many steps there are.
        shown: False shows nothing. Nothing is shown either where standard error is no terminal, or in a
            notebook without ipywidgets.

    Yields:
        A function to call after each step.
    """
    around = _line.get()
    own = None
    if around is None:
        own = Line(TimeLeft([Part(what, total)]), console=_console(shown=shown), stays=True)
    done = 0

    def note() -> None:
        if own is not None:
            own.step(what, done, total)
        note_step(what, done, total)

    def advance() -> None:
        nonlocal done
        done += 1
        note()

    if own is None:
        note()
        yield advance
        return
    with own:
        note()
        yield advance
