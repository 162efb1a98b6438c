"""GeoTIFF: `masks/NAME.tif` for each image, with its transform and CRS, and `classes.txt`.

QGIS, ArcGIS and rasterio show them where the images lie; colours and names of the classes are inside.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError
from tag2mask.core.extras import require
from tag2mask.masks.formats.containers import Write
from tag2mask.masks.formats.options import ExportOptions, stem_of
from tag2mask.masks.geotiff import write_geotiff


class GeoTiffLayout:
    """Writes one TIFF a mask.

    Attributes:
        image: file of the image whose mask comes next.
    """

    contents = frozenset({"masks", "classes.txt"})

    def __init__(self, write: Write, options: ExportOptions) -> None:
        require("geo", "writing masks as GeoTIFF")
        self.image: Path | None = None
        self._write = write
        self._classes = options.classes

    def add(self, name: str, mask: NDArray[np.uint8]) -> None:
        """Write one mask.

        Raises:
            DataError: its image is not known, or does not say where it lies.
        """
        if self.image is None:
            raise DataError(f"{name}: a GeoTIFF lies where its image does; give the folder of the images as `images`")
        with tempfile.TemporaryDirectory(prefix="tag2mask-") as folder:
            path = Path(folder) / "mask.tif"
            write_geotiff(path, mask, self._classes, image=self.image)
            self._write(f"masks/{stem_of(name)}.tif", path.read_bytes())

    def close(self) -> None:
        """Write the names of the classes."""
        self._write("classes.txt", "".join(f"{name}\n" for name in self._classes).encode())
