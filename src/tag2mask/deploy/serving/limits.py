"""Limits of a server on size, time, queue and connections."""

from __future__ import annotations

from dataclasses import dataclass

from tag2mask.core.errors import ConfigError
from tag2mask.core.machine import usable_cores


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a server; a request that exceeds one is answered with an error at once.

    Attributes:
        max_bytes: of an upload; more is answered 413.
        max_pixels: of an image, by its header; more is answered 413.
        workers: images segmented at once; 0: half of the cores.
        queue: images that may wait; more are answered 503 with Retry-After.
        seconds: from the end of the upload to the answer; longer is answered 503, and at once where the images that
            wait would take longer, judged by those before them.
        upload_seconds: for the upload; longer is answered 408.
        uploads: received at once; for another one the slowest is ended with 408 if it is below 10 kB/s, else the new
            one is answered 503.
        header_seconds: for the headers of a request, from the connection or the end of the answer before; longer
            is answered 408, or closed where nothing was sent.
        idle_seconds: that a connection is kept open after an answer.
        write_seconds: for the client to take what it is sent; then the connection is closed.
        connections: open at once; for another one the oldest that has sent no whole request is closed.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 12_500_000
    workers: int = 0
    queue: int = 16
    seconds: float = 30.0
    upload_seconds: float = 20.0
    uploads: int = 64
    header_seconds: float = 10.0
    idle_seconds: float = 5.0
    write_seconds: float = 20.0
    connections: int = 512

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            lowest = 0 if name in ("workers", "queue") else 1e-3
            if value < lowest:
                raise ConfigError(f"`{name}` {value}: expected at least {lowest:g}")

    @property
    def parallel(self) -> int:
        """Images segmented at once: `workers`, or half of the cores."""
        return self.workers or max(1, usable_cores() // 2)
