"""Compiling kernels with Numba: cached on disk, announced at first use, working from a read-only install."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import event

_LOG = logging.getLogger("tag2mask.crf")
_FOLDER = Path(__file__).parent
_Function = TypeVar("_Function", bound=Callable[..., Any])


class _State:
    """What has been said already in this process."""

    announced = False
    cache_failed = False
    lock = threading.Lock()


class _Announcer(event.Listener):
    """Says once per process that kernels are being compiled."""

    def on_start(self, event: Any) -> None:
        function = event.data["dispatcher"].py_func
        if str(function.__module__).startswith("tag2mask.crf"):
            with _State.lock:
                first, _State.announced = not _State.announced, True
            if first:
                _LOG.warning(
                    "compiling the dense CRF for this machine; this happens once and takes up to 30 s%s",
                    " (no folder to keep the result in, so each new process repeats it)" if _State.cache_failed else "",
                )

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _Announcer())  # type: ignore[no-untyped-call]


def kernel(function: _Function) -> _Function:
    """Compile `function` without the interpreter lock, cached on disk where a folder can be written.

    Numba keeps compiled code in `NUMBA_CACHE_DIR`, else in `__pycache__` beside the source, else in
    the user's cache folder. Where none can be written the function is compiled in each process, and a
    message says so once.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False}
    try:
        dispatcher = numba.njit(cache=True, **options)(function)
    except RuntimeError as error:
        _say_cache_failed(error)
        dispatcher = numba.njit(cache=False, **options)(function)
    else:
        _guard_cache(dispatcher)
    return cast(_Function, dispatcher)


def _say_cache_failed(error: Exception) -> None:
    with _State.lock:
        first, _State.cache_failed = not _State.cache_failed, True
    if first:
        _LOG.warning(
            "the dense CRF cannot keep its compiled code on disk (%s); set NUMBA_CACHE_DIR to a "
            "writable folder to avoid compiling in every process",
            error,
        )


def _guard_cache(dispatcher: Any) -> None:
    """Make the cached code of one kernel safe against changed sources and failing disks.

    Numba looks only at the file that defines a kernel, not at those that it calls into; here the code is
    stale when any source of this package changes. And where the disk turns out to be full or read-only
    after compiling, the code just made is used all the same.
    """
    try:
        cache = dispatcher._cache
        file = cache._cache_file
        file._source_stamp = (file._source_stamp, _sources_stamp())
        save = cache.save_overload
    except AttributeError:  # a Numba that keeps this elsewhere: its own rules still hold
        return

    def save_if_possible(signature: Any, data: Any) -> None:
        try:
            save(signature, data)
        except OSError as error:
            _say_cache_failed(error)

    cache.save_overload = save_if_possible


def _sources_stamp() -> tuple[tuple[str, int, float], ...]:
    stats = [(path.name, path.stat()) for path in sorted(_FOLDER.glob("*.py"))]
    return tuple((name, stat.st_size, stat.st_mtime) for name, stat in stats)
