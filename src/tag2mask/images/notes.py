"""What is odd about an image that can be read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """Something odd about an image that can be read.

    Attributes:
        kind: what it is, such as `NO_END`.
        message: the same in a sentence that names the file.
    """

    kind: str
    message: str

    def __str__(self) -> str:
        return self.message


NO_END = "JPEG without its end"
SEVERAL = "several images in one file"
BANDS = "bands left out"
NO_VALUE = "pixels without a value"
NEARLY_BLACK = "nearly black"


def nobody(_: Note) -> None:
    """What is noted is dropped."""
