"""Values of 16 bits and of floating point as 8 bits.

The rule of `data.range`: of each band of an image, the values at two percentiles become 0 and 255, what is between
them linearly, what is outside 0 or 255. They are measured over the pixels that hold a value, in every k-th row and
column where the image is large (about a million of them). Nothing of other images counts, so training, prediction,
serving and an ONNX file read an image alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError
from tag2mask.core.text import printable

PERCENTILES = (1.0, 99.0)
"""Without `data.range`, where a format does not say what white is."""

_SAMPLED = 1_000_000
_PIECE = 4_000_000


def sample_step(shape: tuple[int, int]) -> int:
    """Every how many rows and columns of an image (H, W) are looked at for its percentiles."""
    return max(1, int(np.ceil((shape[0] * shape[1] / _SAMPLED) ** 0.5)))


@dataclass(frozen=True, slots=True)
class Levels:
    """How the values of an image's bands become 8 bits.

    Attributes:
        limits: of each band, the values that become 0 and 255.
        medians: of each band, as 8 bits, what pixels without a value become.
    """

    limits: tuple[tuple[float, float], ...]
    medians: tuple[int, ...]

    @classmethod
    def measured(
        cls,
        values: Sequence[NDArray[Any]],
        valid: Sequence[NDArray[np.bool_] | None],
        percentiles: tuple[float, float],
        path: object,
    ) -> Levels:
        """Measure bands.

        Args:
            values: of each band, all or some of its pixels.
            valid: of each band, which pixels hold a value; None: all.
            percentiles: that become 0 and 255; not of 8-bit bands, which stay as they are.
            path: for messages.

        Raises:
            DataError: a band has no pixel that holds a value.
        """
        limits, medians = [], []
        for number, (band, there) in enumerate(zip(values, valid, strict=True), start=1):
            held = band.ravel() if there is None else band[there]
            if not held.size:
                if band.dtype == np.uint8:
                    limits.append((0.0, 255.0))
                    medians.append(0)
                    continue
                raise DataError(f"{printable(path)}: no pixel of its band {number} holds a finite value; leave it out")
            if band.dtype == np.bool_:  # one bit a pixel: NumPy has no percentiles of these
                held = held.astype(np.uint8)
            low, middle, high = (float(one) for one in np.percentile(held, (percentiles[0], 50.0, percentiles[1])))
            if band.dtype == np.uint8:
                low, high = 0.0, 255.0
            elif band.dtype == np.bool_:
                low, high = 0.0, 1.0
            limits.append((low, high))
            medians.append(int(scaled(np.array([middle]), low, high)[0]))
        return cls(tuple(limits), tuple(medians))

    def applied(self, values: Sequence[NDArray[Any]], valid: Sequence[NDArray[np.bool_] | None]) -> NDArray[np.uint8]:
        """Bands (H, W), one or three, as uint8 (H, W, 3); arguments as `measured`."""
        planes = []
        for (low, high), median, band, there in zip(self.limits, self.medians, values, valid, strict=True):
            plane = band if band.dtype == np.uint8 else scaled(band, low, high)
            if there is not None and not there.all():
                plane = np.where(there, plane, np.uint8(median))
            planes.append(plane)
        return np.ascontiguousarray(np.stack(planes * 3 if len(planes) == 1 else planes, axis=2), dtype=np.uint8)


def scaled(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Values linearly from `low` and `high` to 0 and 255, rounded; what is outside, and no number, at the ends."""
    out = np.empty(values.shape, np.uint8)
    flat, target = values.reshape(-1), out.reshape(-1)
    factor = 255.0 / ((high - low) or 1.0)
    for start in range(0, flat.size, _PIECE):
        part = (flat[start : start + _PIECE].astype(np.float64) - low) * factor
        target[start : start + _PIECE] = np.clip(np.rint(np.nan_to_num(part, nan=0.0)), 0, 255)
    return out


def free_range(values: NDArray[Any], valid: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """8-bit grey (H, W) from integers or floats whose format does not say what white is.

    The first range that holds all values is taken: 0..1 (floats alone), 0..255, 0..65535, and else the image's own
    minimum to maximum. Pixels that hold no value become the median.
    """
    held = values if valid is None else values[valid]
    held = held.astype(np.uint8) if held.dtype == np.bool_ else held
    low, high = float(held.min()), float(held.max())
    ranges = [1.0] * (values.dtype.kind == "f") + [255.0, 65535.0]
    white = next((limit for limit in ranges if low >= 0 and high <= limit), None)
    start, end = (0.0, white) if white is not None else (low, high)
    grey = scaled(values, start, end)
    if valid is not None:
        grey[~valid] = scaled(np.array([np.median(held)]), start, end)[0]
    return grey


def held_pixels(values: NDArray[Any], nodata: float | None) -> NDArray[np.bool_] | None:
    """Which pixels hold a value: a finite number other than `nodata`; None: all of them."""
    valid: NDArray[np.bool_] | None = None
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        valid = np.isfinite(values)
    if nodata is not None and np.isfinite(nodata):
        missing = values == np.asarray(nodata).astype(values.dtype) if values.dtype.kind == "f" else values == nodata
        if missing.any():
            valid = ~missing if valid is None else valid & ~missing
    return valid
