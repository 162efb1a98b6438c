"""What one server takes on."""

from __future__ import annotations

from dataclasses import dataclass

from tag2mask.core.errors import ConfigError
from tag2mask.core.machine import usable_cores


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on size, time and queue; what exceeds them is answered with an error, at once.

    Attributes:
        max_bytes: of an upload; more is answered 413.
        max_pixels: of a photograph, by its header; more is answered 413.
        workers: photographs worked on at once; 0: half of the cores.
        queue: photographs that may wait; more are answered 503 with Retry-After.
        seconds: from the end of the upload to the answer; longer is answered 503.
        upload_seconds: for the upload; longer is answered 408.
        connections: open at once; more are answered 503.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 12_500_000
    workers: int = 0
    queue: int = 16
    seconds: float = 30.0
    upload_seconds: float = 20.0
    connections: int = 128

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            lowest = 0 if name in ("workers", "queue") else 1e-3
            if value < lowest:
                raise ConfigError(f"--{name.replace('_', '-')} {value}: expected at least {lowest:g}")

    @property
    def busy(self) -> int:
        """Photographs worked on at once, as chosen or by the machine."""
        return self.workers or max(1, usable_cores() // 2)
