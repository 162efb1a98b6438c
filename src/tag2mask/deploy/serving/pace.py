"""How long images take, and so how long a new one would wait."""

from __future__ import annotations

import math
from threading import Lock

_KEPT = 0.95
_LEAST_VARIANCE = 1e-3


class Pace:
    """Learns the seconds an image takes, as a constant and a factor of its megapixels, from those that were done.

    It is the line of least squares, in which each image counts 5 % less for every one after it. Before images of
    different sizes were seen, all take the same: a wait that is judged too short ends with the time limit, one
    that is judged too long would keep out images for nothing.
    """

    def __init__(self, workers: int):
        """Know nothing yet.

        Args:
            workers: images at once.
        """
        self._workers = workers
        self._lock = Lock()
        self._waiting = 0
        self._waiting_megapixels = 0.0
        self._sums = (0.0, 0.0, 0.0, 0.0, 0.0)

    def enter(self, pixels: int) -> None:
        """An image begins to wait."""
        with self._lock:
            self._waiting += 1
            self._waiting_megapixels += pixels / 1e6

    def leave(self, pixels: int) -> None:
        """An image is done, or does not wait any more."""
        with self._lock:
            self._waiting -= 1
            self._waiting_megapixels -= pixels / 1e6

    def learn(self, pixels: int, seconds: float) -> None:
        """An image took so many seconds, without its wait."""
        x = pixels / 1e6
        with self._lock:
            new = (1.0, x, seconds, x * x, x * seconds)
            count, sum_x, sum_y, sum_xx, sum_xy = (_KEPT * old + one for old, one in zip(self._sums, new, strict=True))
            self._sums = (count, sum_x, sum_y, sum_xx, sum_xy)

    def seconds_until_done(self, pixels: int) -> float | None:
        """Seconds until another image would be done; None where that is not known yet, or nothing waits."""
        with self._lock:
            if self._sums[0] == 0 or self._waiting == 0:
                return None
            return self._seconds_of_waiting() + self._seconds(1, pixels / 1e6)

    def seconds_until_place(self) -> int:
        """Whole seconds after which to try again where the queue is full, at least 1."""
        with self._lock:
            return max(1, math.ceil(self._seconds_of_waiting() / max(1, self._waiting)))

    def _seconds_of_waiting(self) -> float:
        return self._seconds(self._waiting, self._waiting_megapixels) / self._workers

    def _seconds(self, images: int, megapixels: float) -> float:
        count, sum_x, sum_y, sum_xx, sum_xy = self._sums
        if count == 0:
            return 0.0
        mean_x, mean_y = sum_x / count, sum_y / count
        variance = sum_xx / count - mean_x**2
        slope = max(0.0, (sum_xy / count - mean_x * mean_y) / variance) if variance > _LEAST_VARIANCE else 0.0
        return images * max(0.0, mean_y - slope * mean_x) + slope * megapixels
