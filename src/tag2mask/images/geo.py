"""GeoTIFF by rasterio (extra `geo`): bands by windows, where an image lies, and masks that lie there too."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError
from tag2mask.core.extras import require
from tag2mask.core.text import printable
from tag2mask.images.raster import Bands, Valid

CACHE_MEGABYTES = 128
"""Of decoded blocks that GDAL keeps; its default is a twentieth of the machine's memory."""

_opening = threading.Lock()


class GeoRaster:
    """An open file of rasterio; see `tag2mask.images.raster.Raster`."""

    pages = 0

    def __init__(self, source: Any):
        """Take what `rasterio.open` gave."""
        if source.colorinterp[0].name == "palette":
            raise ValueError("indices of a palette, not values")
        alpha = [index for index, kind in enumerate(source.colorinterp, start=1) if kind.name == "alpha"]
        self._source = source
        self._numbers = [index for index in range(1, source.count + 1) if index not in alpha]
        self._all_valid = all("all_valid" in {flag.name for flag in flags} for flags in source.mask_flag_enums)
        self.settled = self._all_valid and set(source.dtypes) == {"uint8"}
        self.shape = (int(source.height), int(source.width))
        self.count = len(self._numbers)

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> tuple[Bands, Valid]:
        """A window of bands; see `Raster.read`."""
        indexes = [self._numbers[band - 1] for band in bands]
        window = ((rows.start, rows.stop), (columns.start, columns.stop))
        values: NDArray[Any] = self._source.read(indexes, window=window)
        if values.dtype.kind == "c":
            raise ValueError("complex numbers")
        if self._all_valid:
            return list(values), [None] * len(bands)
        masks: NDArray[np.uint8] = self._source.read_masks(indexes, window=window)
        return list(values), [mask > 0 for mask in masks]


@contextmanager
def open_geo(path: Path) -> Iterator[GeoRaster]:
    """Open a TIFF for reading.

    Raises:
        MissingExtraError: rasterio is not installed.
    """
    with open_tiff(path, f"{path.name}: reading bands of a GeoTIFF") as source:
        yield GeoRaster(source)


@contextmanager
def open_tiff(path: Path, purpose: str) -> Iterator[Any]:
    """`rasterio.open` of a TIFF alone, with a small cache.

    Raises:
        DataError: it cannot be opened.
        MissingExtraError: rasterio is not installed.
    """
    rasterio: Any = require("geo", purpose)
    with rasterio.Env(GDAL_CACHEMAX=CACHE_MEGABYTES):
        try:
            source = quietly_opened(rasterio, path, driver="GTiff")
        except rasterio.errors.RasterioError as error:
            said = printable(" ".join(str(error).split()))
            raise DataError(f"{printable(path)}: truncated, damaged or no TIFF ({said}); copy it again") from error
        with source:
            yield source


def quietly_opened(rasterio: Any, *arguments: Any, **options: Any) -> Any:
    """`rasterio.open` without its warning of files that do not say where they lie, which are no fault."""
    with _opening, warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        return rasterio.open(*arguments, **options)
