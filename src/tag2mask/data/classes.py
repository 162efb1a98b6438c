"""Whether each class of a dataset has images to learn from."""

from __future__ import annotations

from tag2mask.core.errors import DataError
from tag2mask.data.dataset import Dataset
from tag2mask.data.problem import Problem

MIN_IMAGES = 2
"""A class with fewer images cannot be learned at all."""

ADVISED_IMAGES = 20
"""A class with fewer images is reported."""


def check_classes(dataset: Dataset, *, minimum: int = MIN_IMAGES, advised: int = ADVISED_IMAGES) -> tuple[Problem, ...]:
    """Check that every class has images to learn from.

    Args:
        dataset: what is to be trained on.
        minimum: a class present in fewer images is an error.
        advised: a class present in fewer images is a problem that is returned.

    Raises:
        DataError: classes with fewer than `minimum` images; the message names all of them.
    """
    present = {name: count.present for name, count in dataset.counts().items()}
    short = {name: number for name, number in present.items() if number < minimum}
    if short:
        counted = ", ".join(f"{name!r} ({number})" for name, number in short.items())
        raise DataError(
            f"classes with fewer than {minimum} images: {counted}. Add images, correct the spelling of "
            "the tags, or leave these classes out"
        )
    return tuple(
        Problem(
            "few images",
            f"class {name!r} is present in {number} images only; below {advised} a class is hard to learn",
            name,
            "note",
        )
        for name, number in present.items()
        if number < advised
    )
