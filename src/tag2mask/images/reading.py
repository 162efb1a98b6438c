"""Which bands of an image are read, and how values of more than 8 bits become 8 bits."""

from __future__ import annotations

from dataclasses import dataclass

from tag2mask.config.schema import DataConfig
from tag2mask.core.errors import DataError
from tag2mask.core.text import printable


@dataclass(frozen=True, slots=True)
class Reading:
    """How images are read: a part of a run's settings, the same in training and prediction.

    Attributes:
        bands: one or three numbers from 1; None: the first three, or the first one of one or two.
        range: percentiles of each band of an image that become 0 and 255 where a value has more than 8 bits; None: the
            rules of `tag2mask.images.decode`.
    """

    bands: tuple[int, ...] | None = None
    range: tuple[float, float] | None = None

    @classmethod
    def of(cls, data: DataConfig) -> Reading:
        """That of a run's settings."""
        return cls(data.bands, data.range)

    @property
    def key(self) -> str:
        """What tells caches of images apart; empty without settings."""
        return "" if self == AS_STORED else f"|{self.bands}|{self.range}"

    def chosen(self, count: int, path: object) -> tuple[int, ...]:
        """Numbers of the bands that are read of an image with `count` bands.

        Raises:
            DataError: one of them is not there.
        """
        if self.bands is None:
            return (1, 2, 3) if count >= 3 else (1,)
        if absent := [band for band in self.bands if band > count]:
            has = "1 band" if count == 1 else f"{count} bands, numbers 1 to {count}"
            raise DataError(
                f"{printable(path)}: `data.bands` asks for band {absent[0]}, but this image has {has}; choose others, "
                "or leave the image out"
            )
        return self.bands


AS_STORED = Reading()
"""Without settings."""


def left_out(chosen: tuple[int, ...], count: int) -> str | None:
    """What is said of the bands that are not read; None where all are.

    >>> left_out((1, 2, 3), 8)
    '5 of 8 bands are left out (4, 5, 6, 7, 8); `data.bands` chooses others'
    """
    rest = [band for band in range(1, count + 1) if band not in chosen]
    if not rest:
        return None
    shown = ", ".join(map(str, rest[:6])) + (", ..." if len(rest) > 6 else "")
    return f"{len(rest)} of {count} bands are left out ({shown}); `data.bands` chooses others"
