"""What was used last, within a number of values and of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The values that were used last; threads may share it."""

    def __init__(self, count: int, *, most_bytes: int | None = None, bytes_of: Callable[[V], int] = lambda _: 0):
        """Begin empty.

        Args:
            count: values that are kept.
            most_bytes: that they may take together; the newest one is kept whatever it takes. None: any.
            bytes_of: what a value takes.
        """
        self._count, self._most_bytes, self._bytes_of = count, most_bytes, bytes_of
        self._values: OrderedDict[K, V] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        """A value, which counts as used now."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: K, value: V) -> V:
        """Keep a value, and return it."""
        with self._lock:
            self._drop(key)
            self._values[key] = value
            self._bytes += self._bytes_of(value)
            while len(self._values) > 1 and self._is_full():
                self._drop(next(iter(self._values)))
        return value

    def get_or_compute(self, key: K, compute: Callable[[], V]) -> V:
        """A value; what is not there is computed, by two threads at once perhaps."""
        found = self.get(key)
        return self.put(key, compute()) if found is None else found

    def _is_full(self) -> bool:
        return len(self._values) > self._count or (self._most_bytes is not None and self._bytes > self._most_bytes)

    def _drop(self, key: K) -> None:
        if key in self._values:
            self._bytes -= self._bytes_of(self._values.pop(key))
