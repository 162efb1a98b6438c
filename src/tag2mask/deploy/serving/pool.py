"""A thread pool with a bounded queue: what does not fit is refused at once instead of waiting."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class OverloadedError(Exception):
    """Every worker is busy and the queue is full."""


class BoundedPool:
    """Runs functions in threads; at most `workers` at once, at most `queue` waiting.

    Threads are enough, because the network and the dense CRF release the interpreter's lock.

    Attributes:
        capacity: functions that may run or wait.
    """

    def __init__(self, workers: int, queue: int):
        self.capacity = workers + queue
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="mask")
        self._lock = Lock()
        self._pending = 0

    @property
    def pending(self) -> int:
        """Functions that run or wait."""
        return self._pending

    @property
    def full(self) -> bool:
        """Whether one more would be refused."""
        return self._pending >= self.capacity

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start or queue `function`; it counts as pending until it has ended or was cancelled.

        Raises:
            OverloadedError: the queue is full, or the pool is closed.
        """
        with self._lock:
            if self.full:
                raise OverloadedError
            self._pending += 1
        try:
            future = self._executor.submit(function, *args, **kwargs)
        except RuntimeError:  # closed
            self._leave()
            raise OverloadedError from None
        future.add_done_callback(self._leave)
        return future

    def close(self) -> None:
        """Cancel what waits and end the threads."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _leave(self, _: object = None) -> None:
        with self._lock:
            self._pending -= 1
