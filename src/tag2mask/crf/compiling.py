"""Compilation of kernels with Numba: cached on disk, announced at the first use, possible in a read-only install.

This is the only module of the package that touches files: it reads the size and time of the package's own sources,
by which it recognises outdated compiled code.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import event

_LOG = logging.getLogger("tag2mask.crf")
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False}
_FOLDER = Path(__file__).parent
_Function = TypeVar("_Function", bound=Callable[..., Any])


class _State:
    """Messages that this process has logged already."""

    announced = False
    cache_failed = False
    lock = threading.Lock()


class _Announcer(event.Listener):
    """Logs once per process that kernels are being compiled."""

    def on_start(self, event: Any) -> None:
        function = event.data["dispatcher"].py_func
        if str(function.__module__).startswith("tag2mask.crf"):
            with _State.lock:
                first, _State.announced = not _State.announced, True
            if first:
                _LOG.warning(
                    "compiling the dense CRF for this processor; this happens once and takes up to 30 s%s",
                    " (the result cannot be saved, so each new process compiles again)" if _State.cache_failed else "",
                )

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _Announcer())  # type: ignore[no-untyped-call]


def kernel(function: _Function) -> _Function:
    """Compile `function` so that it runs without the interpreter lock, cached on disk if possible.

    Numba keeps compiled code in `NUMBA_CACHE_DIR` if set, else in `__pycache__` beside the source, else in
    the user's cache folder. If none of these is writable, each process compiles the function, and a warning
    is logged once.
    """
    try:
        dispatcher = numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError as error:
        _warn_cache_failed(error)
        dispatcher = numba.njit(cache=False, **_OPTIONS)(function)
    else:
        _guard_cache(dispatcher)
    return cast(_Function, dispatcher)


def part(function: _Function) -> _Function:
    """Compile `function` as a part of the kernels that call it, with which it is cached."""
    return cast(_Function, numba.njit(**_OPTIONS)(function))


def _warn_cache_failed(error: Exception) -> None:
    with _State.lock:
        first, _State.cache_failed = not _State.cache_failed, True
    if first:
        _LOG.warning(
            "the compiled dense CRF cannot be saved (%s); set NUMBA_CACHE_DIR to a writable folder, "
            "or every process compiles it again",
            error,
        )


def _guard_cache(dispatcher: Any) -> None:
    """Make the cache of one kernel safe against changed sources and against errors of the disk.

    Numba compares only the file that defines a kernel, not those of the kernels that it calls. Here the cached
    code is outdated as soon as any source file of this package changes. And if compiled code cannot be
    written, because the disk is full or read-only, the code is used all the same.
    """
    try:
        kept = dispatcher._cache
        file = kept._cache_file
        file._source_stamp = (file._source_stamp, _sources_stamp())
        save = kept.save_overload
    except AttributeError:  # another version of Numba without these private names: its own rules hold
        return

    def save_if_possible(signature: Any, data: Any) -> None:
        try:
            save(signature, data)
        except OSError as error:
            _warn_cache_failed(error)

    kept.save_overload = save_if_possible


@cache
def _sources_stamp() -> tuple[tuple[str, int, float], ...]:
    stats = [(path.name, path.stat()) for path in sorted(_FOLDER.glob("*.py"))]
    return tuple((name, stat.st_size, stat.st_mtime) for name, stat in stats)
