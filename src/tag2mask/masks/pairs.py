"""Images of a folder and their masks, as arrays: for programs that learn from masks or look at them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.text import counted, printable
from tag2mask.images.decode import read_image
from tag2mask.images.folder import FolderIndex, check_mask_names, without_suffix
from tag2mask.masks.class_names import CLASSES_FILE, read_classes
from tag2mask.masks.confidence_png import read_confidence
from tag2mask.masks.interpret import interpret_mask
from tag2mask.masks.mask_files import mask_files, paired

_log = logging.getLogger(__name__)


class MaskedImage(NamedTuple):
    """An image and its mask.

    Attributes:
        name: path of the image relative to its folder, with /.
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8 class indices; 0 background, 255 undecided.
        confidence: (H, W) float32 in [0, 1], the probability of each pixel's class; None where no maps were given.
    """

    name: str
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    confidence: NDArray[np.float32] | None


class MaskedImages(Sequence[MaskedImage]):
    """The images of a folder that have a mask in another, read one at a time.

    Example, in a folder with images and masks:
        >>> pairs = MaskedImages("photos", "gt", classes=["disc", "square"])
        >>> len(pairs), pairs.classes
        (48, ('disc', 'square'))
        >>> name, image, mask, _ = pairs[0]
        >>> name, image.shape, mask.shape, mask.dtype.name
        ('shape_000.png', (48, 64, 3), (48, 64), 'uint8')

    Attributes:
        classes: names without background; class index k is `classes[k - 1]`.
        names: of the images, sorted or in the order that was asked for.
    """

    def __init__(
        self,
        images: str | PathLike[str],
        masks: str | PathLike[str],
        *,
        classes: str | PathLike[str] | Sequence[str] | None = None,
        confidence: str | PathLike[str] | None = None,
        names: Iterable[str] | None = None,
    ):
        """Find the pairs; how many images or masks stay alone is logged.

        Args:
            images: folder of images, with subfolders.
            masks: folder of masks by the names of the images.
            classes: names without background, or a file of them; None: `classes.txt` in the folder of masks.
            confidence: folder of confidence maps by the names of the images.
            names: of the images to take, with suffix; None: all that have a mask.

        Raises:
            ConfigError: no names of classes.
            DataError: a folder cannot be read, no image has a mask, or one of `names` has none, or no confidence map.
        """
        self._folder = Path(masks)
        if classes is None:
            classes = self._folder / CLASSES_FILE
            if self._folder.is_dir() and not classes.is_file():
                raise ConfigError(f"{masks}: no {CLASSES_FILE} beside the masks; give the class names as `classes`")
        files = mask_files(self._folder)
        files.check("masks")
        self.classes: tuple[str, ...] = read_classes(
            Path(classes) if isinstance(classes, str | PathLike) else list(classes)
        )
        index = FolderIndex(Path(images))
        there = index.images()
        check_mask_names(there)
        by_stem = {without_suffix(name): name for name in there}
        found, notes = paired(by_stem, files)
        for note in notes:
            _log.info("%s", note)
        pairs = {by_stem[stem]: path for stem, path in found.items()}
        if not pairs:
            raise DataError(f"{masks}: no mask belongs to an image in {images}; their names without suffix must agree")
        if names is None:
            alone, unused = len(there) - len(pairs), len(files.paths) - len(pairs)
            if alone or unused:
                _log.info(
                    "%s: %s without a mask and %s without an image left out",
                    *(masks, counted(alone, "images"), counted(unused, "masks")),
                )
        chosen = sorted(pairs) if names is None else [self._known(name, pairs) for name in names]
        self.names: tuple[str, ...] = tuple(chosen)
        self._images = [index.files[name] for name in chosen]
        self._masks = [pairs[name] for name in chosen]
        self._confidence = None if confidence is None else self._maps(Path(confidence))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> MaskedImage:  # type: ignore[override]
        """Read an image and its mask.

        Raises:
            DataError: a file is damaged, the sizes differ, or a value is neither a class index nor 255.
        """
        image = read_image(self._images[index])
        mask, _ = interpret_mask(self._masks[index], self.classes)
        confidence = None if self._confidence is None else read_confidence(self._confidence[index])
        for what, array in (("mask", mask), ("confidence map", confidence)):
            if array is not None and array.shape != image.shape[:2]:
                raise DataError(
                    f"{printable(self._images[index])}: the image is {image.shape[0]} x {image.shape[1]} (height x "
                    f"width), its {what} {array.shape[0]} x {array.shape[1]}; write it at the size of the image"
                )
        wrong = mask[(mask > len(self.classes)) & (mask != IGNORE_INDEX)]
        if wrong.size:
            raise DataError(
                f"{self._masks[index]}: class index {int(wrong[0])}, but there are {len(self.classes)} classes; give "
                "the classes of this mask"
            )
        return MaskedImage(self.names[index], image, mask, confidence)

    def _known(self, name: str, pairs: dict[str, Path]) -> str:
        if name not in pairs:
            raise DataError(f"{printable(name)}: no image of this name with a mask in {self._folder}; check the name")
        return name

    def _maps(self, folder: Path) -> list[Path]:
        files = mask_files(folder).paths
        missing = [name for name in self.names if without_suffix(name) not in files]
        if missing:
            raise DataError(
                f"{folder}: no confidence map of {printable(missing[0])} ({len(missing)} of {len(self.names)} are "
                "missing); write them with the masks (`confidence`)"
            )
        return [files[without_suffix(name)] for name in self.names]
