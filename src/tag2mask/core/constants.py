"""Class indices and tag states shared by every part."""

from __future__ import annotations

from enum import IntEnum

BACKGROUND = 0
"""Class index of the background in every mask."""

IGNORE_INDEX = 255
"""Mask value that is never trained on, never scored and never predicted."""

MAX_CLASSES = 254
"""Classes (background not counted) that fit an 8-bit mask beside background and `IGNORE_INDEX`."""


class Tag(IntEnum):
    """Image-level presence of a class, the only supervision."""

    ABSENT = 0
    PRESENT = 1
    UNKNOWN = -1
