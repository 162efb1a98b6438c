"""The bound on the memory of a prediction: `max_memory`, or what this machine has.

With `max_memory`, the process stays within it: what the network and its libraries take is set aside, and the rest is
for images. A large image's CRF works on fewer pixels where it must, images are decoded ahead and worked on together as
far as they fit, and an image that does not fit is an error of its own. Results depend on `max_memory` and the backend
alone, not on what is free. Without it, no result depends on memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Generic, TypeVar

from tag2mask.config.schema import PredictionConfig
from tag2mask.core.errors import ConfigError
from tag2mask.core.machine import return_freed_memory, usable_memory
from tag2mask.inference.backends import Backend
from tag2mask.method.memory import LEAST_CRF_PIXELS, RESERVE, MemoryBound, crf_bytes, parse_bytes, shown_bytes

T = TypeVar("T")

DEFAULT_LEAST = 2 << 30
"""Bytes for images without `max_memory`, at least; else half of the machine's memory."""


class InWork(Generic[T]):
    """Results to come, in order, of work that takes memory.

    A result may hold its image: drop it before the next one is asked for, or they add up.
    """

    def __init__(self, available: int, count: int) -> None:
        """Take the bytes for all work together, and how many may be in work beside the next."""
        self._available, self._count = available, count
        self._pending: deque[tuple[int, Future[T]]] = deque()

    def add(self, cost: int, future: Future[T]) -> None:
        """Take work of `cost` bytes."""
        self._pending.append((cost, future))

    def beside(self, cost: int) -> Iterator[T]:
        """Wait for results, the oldest first, until another `cost` bytes fit beside what is in work."""
        while self._pending and (
            len(self._pending) > self._count or sum(one for one, _ in self._pending) + cost > self._available
        ):
            yield self._pending.popleft()[1].result()

    def rest(self) -> Iterator[T]:
        """Wait for all results."""
        while self._pending:
            yield self._pending.popleft()[1].result()


def memory_bound(backend: Backend, settings: PredictionConfig, max_memory: int | str | None) -> MemoryBound:
    """The bytes that images may take.

    Args:
        backend: the network, which takes its part.
        settings: of the prediction.
        max_memory: bytes that the process may take, such as 2147483648 or "2GiB"; None: no bound on one image.

    Raises:
        ConfigError: it is no amount, leaves nothing for images, or tiles are off, which bound the rest.
    """
    if max_memory is None:
        return MemoryBound(max(DEFAULT_LEAST, usable_memory() // 2))
    wanted = parse_bytes(max_memory)
    if not settings.tile:
        raise ConfigError(
            "`max_memory`: with `prediction.tile=0` the network sees images whole, however large; set a tile"
        )
    least = backend.own_bytes + RESERVE + crf_bytes(len(backend.classes) + 1) * LEAST_CRF_PIXELS
    if wanted < least:
        raise ConfigError(
            f"`max_memory` {shown_bytes(wanted)}: the network and its libraries take {shown_bytes(backend.own_bytes)} "
            f"here, and an image at least {shown_bytes(least - backend.own_bytes)}; give {shown_bytes(least)} or more"
        )
    return_freed_memory()
    side = backend.config.data.image_size if settings.image_size is None else settings.image_size
    return MemoryBound(wanted - backend.own_bytes, limits_crf=True, side=side, tile=settings.tile)
