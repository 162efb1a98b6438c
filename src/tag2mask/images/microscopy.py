"""TIFF and OME-TIFF of microscopes by tifffile (extra `tiff`): the channels of the first plane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError
from tag2mask.core.extras import require
from tag2mask.core.text import printable
from tag2mask.images.raster import Bands, Valid

_ALPHA = (1, 2)


class MicroscopyRaster:
    """The first series of an open `tifffile.TiffFile`; see `tag2mask.images.raster.Raster`.

    Of times and depths the first plane is read. Bands are the channels (axis C) and the samples of a pixel (axis S).
    """

    def __init__(self, file: Any, path: Path):
        """Take an open file.

        Raises:
            DataError: its axes are none of an image.
        """
        series = file.series[0]
        axes, shape = str(series.axes), tuple(int(side) for side in series.shape)
        sides = dict(zip(axes, shape, strict=True))
        if "Y" not in sides or "X" not in sides:
            raise DataError(f"{printable(path)}: an image with axes Y and X was expected, this has {axes or 'none'}")
        self._series, self._axes = series, axes
        self.settled = series.dtype == np.uint8 and "GDAL_NODATA" not in series.keyframe.tags
        self.shape = (sides["Y"], sides["X"])
        page = series.keyframe
        alpha = sum(int(kind) in _ALPHA for kind in page.extrasamples) if "S" in sides else 0
        self._channels, self._samples = sides.get("C", 1), sides.get("S", 1)
        self.count = self._channels * (self._samples - alpha)
        self._per_channel = self._samples - alpha
        others = [side for axis, side in sides.items() if axis not in "YXSC"]
        self.pages = prod(others) - 1 + len(file.series) - 1
        self._kept: dict[int, NDArray[Any]] = {}

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> tuple[Bands, Valid]:
        """A window of bands; see `Raster.read`."""
        return [self._band(band - 1)[rows, columns] for band in bands], [None] * len(bands)

    def _band(self, band: int) -> NDArray[Any]:
        """A band (H, W) by its number from 0."""
        channel, sample = divmod(band, self._per_channel)
        plane = self._plane(channel)
        if plane.dtype.kind == "c":
            raise ValueError("complex numbers")
        return plane if plane.ndim == 2 else plane[:, :, sample]

    def _plane(self, channel: int) -> NDArray[Any]:
        """A channel of the first plane, (H, W) or (H, W, S)."""
        if channel in self._kept:
            return self._kept[channel]
        outer = [axis for axis in self._axes if axis not in "YXS"]
        sides = [self._series.shape[self._axes.index(axis)] for axis in outer]
        if len(self._series.pages) == prod(sides) and self._series.pages[0] is not None:
            position = (
                int(np.ravel_multi_index([channel if axis == "C" else 0 for axis in outer], sides)) if sides else 0
            )
            page = self._series.pages[position]
            plane = np.zeros(self.shape, self._series.dtype) if page is None else page.asarray()
            axes = "".join(axis for axis in self._axes if axis in "YXS")
        else:  # one page holds several channels, or a file of ImageJ holds all planes behind its first page
            plane = self._series.asarray()
            axes = self._axes
            for axis in outer:
                plane = plane.take(channel if axis == "C" else 0, axis=axes.index(axis))
                axes = axes.replace(axis, "")
        plane = np.moveaxis(plane, axes.index("S"), 2) if "S" in axes and plane.ndim == 3 else plane
        if plane.shape[:2] != self.shape:
            raise ValueError(f"a plane of {plane.shape}")
        self._kept[channel] = plane
        return plane


@contextmanager
def open_microscopy(path: Path) -> Iterator[MicroscopyRaster]:
    """Open a TIFF for reading.

    Raises:
        MissingExtraError: tifffile is not installed.
        DataError: its axes are none of an image.
    """
    tifffile: Any = require("tiff", f"{path.name}: reading channels of a TIFF", "tifffile")
    with tifffile.TiffFile(path) as file:
        yield MicroscopyRaster(file, path)
