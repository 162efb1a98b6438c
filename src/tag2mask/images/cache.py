"""A cache of images, decoded and made smaller once, so that every further epoch and run reads them fast."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tag2mask.config.schema import Config
from tag2mask.core.errors import DataError
from tag2mask.core.files import atomic_path
from tag2mask.images.decode import read_image
from tag2mask.images.reading import AS_STORED, Reading
from tag2mask.images.resize import resize_image, scaled_size


class ImageCache:
    """Reads images at a long side of at most `side`, from arrays in a folder where there are any.

    The array of an image is found by its path, size in bytes, time of change and `side`: a changed image
    is decoded again; so it is with other bands or another range of values (`reading`). Several processes and runs may
    share a folder. An array takes 3 bytes a pixel.
    """

    def __init__(self, folder: Path, side: int, reading: Reading = AS_STORED):
        self.folder = folder
        self.side = side
        self.reading = reading

    def read(self, path: Path) -> NDArray[np.uint8]:
        """The image, uint8 (H, W, 3) RGB, at a long side of at most `side`.

        Raises:
            DataError: as `read_image`, or the folder cannot be written to.
        """
        kept = self._kept(path)
        if (image := _load(kept)) is not None:
            return image
        image = read_image(path, reading=self.reading)
        shape = (image.shape[0], image.shape[1])
        if max(shape) > self.side:
            image = resize_image(image, scaled_size(shape, self.side))
        with atomic_path(kept) as temporary:
            np.save(temporary, image, allow_pickle=False)
        return image

    def _kept(self, path: Path) -> Path:
        try:
            about = path.stat()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}); was it moved?") from error
        key = f"{path.resolve()}|{about.st_size}|{about.st_mtime_ns}|{self.side}{self.reading.key}"
        digest = hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:40]
        return self.folder / digest[:2] / f"{digest[2:]}.npy"


def whole_reader(config: Config) -> Callable[[Path], NDArray[np.uint8]]:
    """The function that reads whole images as a run does: `data.bands` and `data.range` of its settings."""
    reading = Reading.of(config.data)
    return read_image if reading == AS_STORED else partial(read_image, reading=reading)


def image_reader(config: Config) -> Callable[[Path], NDArray[np.uint8]]:
    """The function that reads images for training: whole, or through the cache at the largest size that is needed."""
    data, masks = config.data, config.masks
    reading = Reading.of(data)
    if data.cache is None:
        return whole_reader(config)
    largest = data.image_size * max(data.scale[1], *masks.scales)
    return ImageCache(Path(data.cache), math.ceil(largest), reading).read


def _load(path: Path) -> NDArray[np.uint8] | None:
    """The array of a file; None where there is none, or a damaged one."""
    try:
        with path.open("rb") as file:
            image = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError):
        return None
    fits = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    return image if fits else None
