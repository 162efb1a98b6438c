"""How long images take, and so how long a new one would wait."""

from __future__ import annotations

import math
from threading import Lock

_NEWEST = 0.3
_SMALLEST_MEGAPIXELS = 0.25


class Pace:
    """Learns the seconds a megapixel takes from the images that were done, the newest with weight 0.3.

    An image below 0.25 megapixels counts as that much: the network's time does not shrink with the image.
    """

    def __init__(self, workers: int):
        """Know nothing yet.

        Args:
            workers: images at once.
        """
        self._workers = workers
        self._lock = Lock()
        self._waiting = 0.0
        self._seconds: float | None = None

    def enter(self, pixels: int) -> None:
        """An image begins to wait."""
        with self._lock:
            self._waiting += _megapixels(pixels)

    def leave(self, pixels: int) -> None:
        """An image is done, or does not wait any more."""
        with self._lock:
            self._waiting -= _megapixels(pixels)

    def learn(self, pixels: int, seconds: float) -> None:
        """An image took so many seconds, without its wait."""
        found = seconds / _megapixels(pixels)
        with self._lock:
            self._seconds = found if self._seconds is None else self._seconds + _NEWEST * (found - self._seconds)

    def seconds_until_done(self, pixels: int) -> float | None:
        """Seconds until another image would be done; None where that is not known yet, or nothing waits."""
        with self._lock:
            if self._seconds is None or self._waiting <= 1e-9:
                return None
            return (self._waiting / self._workers + _megapixels(pixels)) * self._seconds

    def seconds_until_place(self, pending: int) -> int:
        """Whole seconds after which to try again where the queue of `pending` images is full, at least 1."""
        with self._lock:
            one = self._waiting / max(1, pending) * (self._seconds or 0.0) / self._workers
        return max(1, math.ceil(one))


def _megapixels(pixels: int) -> float:
    return max(_SMALLEST_MEGAPIXELS, pixels / 1e6)
