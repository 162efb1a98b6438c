"""Progress of long work, shown by default on a terminal and in a notebook, and told to who observes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Observer = Callable[[str, int, int], None]
"""Takes what is counted, how many steps are done, and how many there are."""

_observer: ContextVar[Observer | None] = ContextVar("observer", default=None)


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


@contextmanager
def progress_bar(what: str, total: int, *, shown: bool = True) -> Iterator[Callable[[], None]]:
    """Show a bar with the time left while the context lasts.

    Args:
        what: what is counted, e.g. 'masks'.
        total: how many steps there are.
        shown: False shows nothing. Nothing is shown either where standard error is no terminal, or in a
            notebook without ipywidgets.

    Yields:
        A function to call after each step.
    """
    console = Console(stderr=True)
    in_notebook = console.is_jupyter and find_spec("ipywidgets") is not None  # Rich needs them to draw there
    visible = shown and (in_notebook or (console.is_terminal and not console.is_jupyter))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    observer = _observer.get()
    done = 0
    if observer is not None:
        observer(what, 0, total)
    with Progress(*columns, console=console, disable=not visible) as progress:
        task = progress.add_task(what, total=total)

        def advance() -> None:
            nonlocal done
            done += 1
            progress.advance(task)
            if observer is not None:
                observer(what, done, total)

        yield advance
