"""Images with bands of any number and type, whole or window by window: what Pillow does not read, or not well.

`raster_of` says whether an image is read so, by its content and the settings alone, never by what is installed: the
same file gives the same pixels everywhere, or an error that names the extra. Files that say where they lie are read by
rasterio (extra `geo`), all others by tifffile (extra `tiff`); where only one of the two is installed, by that one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError
from tag2mask.core.extras import MissingExtraError
from tag2mask.core.text import printable
from tag2mask.images.levels import PERCENTILES, Levels, held_pixels, sample_step
from tag2mask.images.reading import AS_STORED, Reading, left_out
from tag2mask.images.tiff_header import TiffHeader, tiff_header

_STRIP = 512

Bands = list[NDArray[Any]]
Valid = list[NDArray[np.bool_] | None]


class Raster(Protocol):
    """An opened file.

    Attributes:
        shape: (H, W).
        count: of its bands, without alpha.
        pages: images in it besides the one that is read.
        settled: whether every band has 8 bits and every pixel a value, so that nothing has to be measured.
    """

    shape: tuple[int, int]
    count: int
    pages: int
    settled: bool

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> tuple[Bands, Valid]:
        """A window of bands by their numbers from 1, and which of its pixels hold a value."""
        ...


class RasterImage:
    """An opened image whose windows are read as uint8 RGB.

    Attributes:
        path: of the file.
        shape: (H, W).
        bands: numbers of the bands that are read, one or three.
    """

    def __init__(self, raster: Raster, path: Path, reading: Reading, nodata: float | None):
        """Take an opened file; `open_raster` is the usual way."""
        self._raster, self.path, self._nodata = raster, path, nodata
        self.shape = raster.shape
        self.bands = reading.chosen(raster.count, path)
        self._percentiles = reading.range or PERCENTILES
        self._levels: Levels | None = None

    def remarks(self) -> Iterator[str]:
        """What of the file is left out."""
        if (text := left_out(self.bands, self._raster.count)) is not None:
            yield text
        if self._raster.pages:
            yield f"only the first of {self._raster.pages + 1} images in this file is read"

    def whole(self) -> tuple[NDArray[np.uint8], int]:
        """All of it, uint8 (H, W, 3), and the number of its pixels that hold no value."""
        values, valid = self._read(slice(0, self.shape[0]), slice(0, self.shape[1]))
        step = sample_step(self.shape)
        self._levels = self._measured([_thinned(values, valid, step)])
        return self._levels.applied(values, valid), _missing(valid, self.shape)

    def window(self, rows: slice, columns: slice) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """A window, uint8 (h, w, 3), and which of its pixels hold a value in every band."""
        if self._levels is None:
            settled = Levels(((0.0, 255.0),) * len(self.bands), (0,) * len(self.bands))
            self._levels = settled if self._raster.settled else self._measured(self._samples())
        values, valid = self._read(rows, columns)
        held = np.ones((rows.stop - rows.start, columns.stop - columns.start), dtype=bool)
        for one in valid:
            if one is not None:
                held &= one
        return self._levels.applied(values, valid), held

    def _samples(self) -> Iterator[tuple[Bands, Valid]]:
        """Every k-th row and column, strip by strip: the same pixels as of the image read whole."""
        step = sample_step(self.shape)
        height = max(step, _STRIP // step * step)
        for top in range(0, self.shape[0], height):
            rows = slice(top, min(top + height, self.shape[0]))
            yield _thinned(*self._read(rows, slice(0, self.shape[1])), step)

    def _measured(self, parts: Any) -> Levels:
        values: list[list[NDArray[Any]]] = [[] for _ in self.bands]
        valid: list[list[NDArray[np.bool_]]] = [[] for _ in self.bands]
        for bands, held in parts:
            for number, (band, there) in enumerate(zip(bands, held, strict=True)):
                values[number].append(band)
                valid[number].append(np.ones(band.shape, bool) if there is None else there)
        joined = [np.concatenate(one) for one in values]
        return Levels.measured(joined, [np.concatenate(one) for one in valid], self._percentiles, self.path)

    def _read(self, rows: slice, columns: slice) -> tuple[Bands, Valid]:
        try:
            values, valid = self._raster.read(self.bands, rows, columns)
        except MemoryError:
            raise
        except Exception as error:  # GDAL and tifffile raise nearly anything for damaged data
            raise DataError(_damaged(self.path, error)) from error
        for number, band in enumerate(values):
            held = held_pixels(band, self._nodata)
            there = valid[number]
            valid[number] = held if there is None else there if held is None else held & there
        return values, valid


def raster_of(path: Path, reading: Reading = AS_STORED) -> TiffHeader | None:
    """The header of an image that is read as a raster; None where Pillow reads it as it is asked for.

    Args:
        path: of the image.
        reading: bands or a range of values that are asked for.
    """
    header = tiff_header(path)
    if header is None or not header.plain:
        return None
    if not header.pillow or header.in_pages:
        return header
    return header if reading != AS_STORED and (header.deep or header.samples > 3) else None


@contextmanager
def open_raster(path: Path, reading: Reading, header: TiffHeader, *, windows: bool = False) -> Iterator[RasterImage]:
    """Open an image that is read as a raster.

    Args:
        path: of the image.
        reading: bands and range of values.
        header: of the file.
        windows: it is too large to be read whole, as tifffile reads it.

    Raises:
        DataError: it is damaged, a band is not there, or the extra that reads it is not installed.
    """
    with _opened(path, header, windows) as raster:
        yield RasterImage(raster, path, reading, header.nodata)


@contextmanager
def _opened(path: Path, header: TiffHeader, windows: bool) -> Iterator[Raster]:
    from tag2mask.images.geo import open_geo
    from tag2mask.images.microscopy import open_microscopy

    openers: list[Callable[[Path], AbstractContextManager[Raster]]] = [open_microscopy, open_geo]
    if header.in_pages:
        openers = [open_microscopy]
    elif windows:
        openers = [open_geo]
    elif header.georeferenced:
        openers.reverse()
    missing: MissingExtraError | None = None
    for opener in openers:
        try:
            context = opener(path)
            raster = context.__enter__()
        except MissingExtraError as error:
            missing = missing or error
            continue
        except MemoryError:
            raise
        except Exception as error:
            if isinstance(error, DataError):
                raise
            raise DataError(_damaged(path, error)) from error
        try:
            yield raster
        finally:
            context.__exit__(None, None, None)
        return
    raise DataError(f"{printable(path)}: {missing}")


def _damaged(path: Path, error: Exception) -> str:
    said = printable(" ".join(str(error).split()))[:300]
    return (
        f"{printable(path)}: the image is truncated, damaged or of a kind that cannot be read ({said}); copy it again"
    )


def _thinned(values: Bands, valid: Valid, step: int) -> tuple[Bands, Valid]:
    return (
        [np.array(band[::step, ::step]) for band in values],
        [None if there is None else there[::step, ::step] for there in valid],
    )


def _missing(valid: Valid, shape: tuple[int, int]) -> int:
    held = np.ones(shape, dtype=bool)
    for one in valid:
        if one is not None:
            held &= one
    return int(held.size - np.count_nonzero(held))
