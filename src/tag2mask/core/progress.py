"""Progress of long work, shown by default on a terminal and in a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress_bar(what: str, total: int, *, shown: bool = True) -> Iterator[Callable[[], None]]:
    """Show a bar with the time left while the context lasts.

    Args:
        what: what is counted, e.g. 'masks'.
        total: how many steps there are.
        shown: False shows nothing. Where standard error is neither a terminal nor a notebook, nothing is shown either.

    Yields:
        A function to call after each step.
    """
    console = Console(stderr=True)
    visible = shown and (console.is_terminal or console.is_jupyter)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not visible) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)
