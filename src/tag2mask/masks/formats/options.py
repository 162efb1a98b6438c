"""Settings and interface of the writers of all export formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tag2mask.masks.palette_png import mask_path
from tag2mask.masks.polygons import TOLERANCE


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Settings of an export.

    Attributes:
        classes: names without background, in the order of their indices.
        polygons: polygons instead of exact pixels, where a format has both.
        tolerance: in pixels, of polygons; 0 for exact outlines.
        image_url: what comes before the name of an image in Label Studio's tasks.
        instances: each connected part of a class is an object of its own.
        min_area: connected parts of fewer pixels are left out.
    """

    classes: tuple[str, ...]
    polygons: bool = False
    tolerance: float = TOLERANCE
    image_url: str = "/data/local-files/?d="
    instances: bool = False
    min_area: int = 1


class Writer(Protocol):
    """Writes the masks of one export, one at a time."""

    def add(self, name: str, mask: NDArray[np.uint8]) -> None:
        """Write a mask, (H, W) class indices, of the image `name`."""

    def close(self) -> None:
        """Write what comes after the last mask."""


class Container(Protocol):
    """Makes the writer of a format of several files."""

    contents: frozenset[str]
    """What such a folder may contain at its top if it is to be replaced."""

    def __call__(self, write: Callable[[str, bytes], None], options: ExportOptions) -> Writer:
        """The writer, given what writes one file."""


Text = Callable[[str], object]
"""Takes a piece of a text file."""


def stem_of(name: str) -> str:
    """The name of an image without its suffix, as its mask has it.

    Raises:
        DataError: the name is absolute or leads out of its folder.
    """
    return mask_path(Path(), name).as_posix().removesuffix(".png")
