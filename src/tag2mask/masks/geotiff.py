"""Masks as TIFF that lie where their images lie: transform and CRS of the image, colours and names of the classes.

A mask is written window by window, so it may be larger than the memory. Pixels that hold no value in the image
(nodata, nan, transparent) are `IGNORE_INDEX`, which is the mask's own nodata value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.core.errors import DataError
from tag2mask.core.extras import require
from tag2mask.core.files import atomic_path
from tag2mask.core.text import printable
from tag2mask.images.geo import open_tiff, quietly_opened
from tag2mask.images.tiff_header import tiff_header
from tag2mask.masks.palette_png import voc_colours

CLASS_NAMES = "CLASS_NAMES"
"""Tag of the file with the names of all class indices, background first, as a JSON list."""

_BLOCK = 512
_STRIP = 1024
_NOWHERE = (
    "does not say where it lies (no coordinate reference system), so its mask cannot; write it in the format `tiff`, "
    "which asks for none"
)

MASK_FORMATS = {"png": ".png", "geotiff": ".tif", "tiff": ".tif"}
"""Formats in which prediction writes masks, with the suffix; `tiff` is `geotiff` of images that lie nowhere, too."""


class MaskWriter:
    """Writes a mask of known size window by window."""

    def __init__(self, target: Any):
        """Take a file that rasterio has opened for writing."""
        self._target = target
        self.shape = (int(target.height), int(target.width))

    def write(self, rows: slice, columns: slice, mask: NDArray[np.uint8]) -> None:
        """Write a window (h, w) of class indices."""
        self._target.write(mask, 1, window=((rows.start, rows.stop), (columns.start, columns.stop)))


def check_georeferenced(image: Path, *, need_crs: bool = True) -> None:
    """Refuse an image whose mask cannot be written as a GeoTIFF.

    Args:
        image: file of the image.
        need_crs: it has to say where it lies.

    Raises:
        DataError: it has no coordinate reference system (`need_crs`), or cannot be read.
        MissingExtraError: rasterio is not installed.
    """
    require("geo", "writing masks as GeoTIFF")
    if need_crs:
        with _source(image) as source:
            _georeference(source, image, need_crs=True)


@contextmanager
def mask_writer(
    path: Path, classes: Sequence[str], *, shape: tuple[int, int], image: Path | None, need_crs: bool = True
) -> Iterator[MaskWriter]:
    """Open a mask for writing; it appears complete, at the end, or not at all.

    Args:
        path: ends in .tif; folders are created.
        classes: names without background, in the order of their indices.
        shape: (H, W) of the mask.
        image: its image, whose transform and CRS it gets; None: it gets none.
        need_crs: the image has to say where it lies.

    Raises:
        DataError: the image has no coordinate reference system (`need_crs`) or another size, or writing fails.
        MissingExtraError: rasterio is not installed.
    """
    rasterio: Any = require("geo", "writing masks as GeoTIFF")
    place: dict[str, Any] = {}
    if image is not None:
        with _source(image) as source:
            place = _georeference(source, image, need_crs=need_crs)
            if source is not None and (source.height, source.width) != shape:
                raise DataError(
                    f"{printable(image)}: its mask is {shape[0]} x {shape[1]} (height x width), the image "
                    f"{source.height} x {source.width} as it is stored; write masks at the size of the image"
                )
    options = {
        **place, "driver": "GTiff", "dtype": "uint8", "count": 1, "height": shape[0], "width": shape[1],
        "nodata": IGNORE_INDEX, "tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK, "compress": "deflate",
        "BIGTIFF": "IF_SAFER",
    }  # fmt: skip
    with atomic_path(path) as temporary:
        try:
            with quietly_opened(rasterio, temporary, "w", **options) as target:
                target.write_colormap(1, dict(enumerate(map(tuple, voc_colours().tolist()))))
                target.update_tags(**_names(classes))
                yield MaskWriter(target)
        except rasterio.errors.RasterioError as error:
            raise DataError(f"{printable(path)}: writing failed ({error}); check space and permissions") from error


def write_geotiff(
    path: Path,
    mask: NDArray[np.uint8],
    classes: Sequence[str],
    *,
    image: Path | None,
    need_crs: bool = True,
) -> None:
    """Write a mask (H, W) of class indices as a GeoTIFF; arguments and errors as `mask_writer`."""
    shape = (mask.shape[0], mask.shape[1])
    with mask_writer(path, classes, shape=shape, image=image, need_crs=need_crs) as writer, _source(image) as source:
        for top in range(0, shape[0], _STRIP):
            rows, columns = slice(top, min(top + _STRIP, shape[0])), slice(0, shape[1])
            part = mask[rows]
            if source is not None:
                part = np.where(_held(source, rows, columns), part, np.uint8(IGNORE_INDEX))
            writer.write(rows, columns, part)


def _names(classes: Sequence[str]) -> dict[str, str]:
    names = ["background", *classes]
    each = {f"CLASS_{index}": name for index, name in enumerate(names)}
    return {CLASS_NAMES: json.dumps(names, ensure_ascii=False), **each}


@contextmanager
def _source(image: Path | None) -> Iterator[Any]:
    """The image, opened by rasterio; None where it is no TIFF."""
    if image is None or tiff_header(image) is None:
        yield None
        return
    with open_tiff(image, "writing masks as GeoTIFF") as source:
        yield source


def _georeference(source: Any, image: Path, *, need_crs: bool) -> dict[str, Any]:
    """Where an image lies, as options of `rasterio.open`.

    Raises:
        DataError: it does not say so.
    """
    if source is None:
        if need_crs:
            raise DataError(f"{printable(image)}: this image {_NOWHERE}")
        return {}
    points, crs_of_points = source.gcps
    if points and source.crs is None:
        return {"gcps": points, "crs": crs_of_points}
    if source.crs is None and need_crs:
        raise DataError(f"{printable(image)}: this image {_NOWHERE}")
    plain = source.transform.is_identity
    return ({} if source.crs is None else {"crs": source.crs}) | ({} if plain else {"transform": source.transform})


def _held(source: Any, rows: slice, columns: slice) -> NDArray[np.bool_]:
    """Which pixels of a window of an image hold a value."""
    window = ((rows.start, rows.stop), (columns.start, columns.stop))
    held: NDArray[np.bool_] = source.dataset_mask(window=window) > 0
    if any(np.dtype(kind).kind == "f" for kind in source.dtypes):
        held &= np.isfinite(source.read(window=window)).all(axis=0)
    return held
