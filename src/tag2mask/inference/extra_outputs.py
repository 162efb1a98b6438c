"""What is written beside the masks: pictures with them laid over, and confidence maps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.errors import ConfigError
from tag2mask.core.files import atomic_path
from tag2mask.drawing import overlay
from tag2mask.inference.folder import Finish, Job
from tag2mask.inference.prediction import Prediction
from tag2mask.masks import mask_path, write_confidence


def together(*writers: Finish | None) -> Finish | None:
    """All of the writers as one."""
    chosen = [writer for writer in writers if writer is not None]

    def write(job: Job, image: NDArray[np.uint8], prediction: Prediction) -> None:
        for writer in chosen:
            writer(job, image, prediction)

    return write if chosen else None


def confidence_writer(folder: str | Path | None, bits: int, out: Path) -> Finish | None:
    """What writes the probability of each pixel's class."""
    if bits not in (8, 16):
        raise ConfigError(f"--confidence-bits {bits}: a grey PNG has 8 or 16 bits here")
    if folder is None:
        return None
    root = Path(folder)
    if root.resolve().is_relative_to(out.resolve()):
        raise ConfigError(f"--confidence {root}: lies among the masks; choose another folder")

    def write(job: Job, image: NDArray[np.uint8], prediction: Prediction) -> None:
        write_confidence(mask_path(root, job.name), prediction.probs, prediction.mask, bits=bits)

    return write


def has_confidence(folder: str | Path | None) -> Callable[[Job], bool]:
    """What tells whether a photograph has its confidence map."""
    if folder is None:
        return lambda job: True
    root = Path(folder)
    return lambda job: mask_path(root, job.name).is_file()


def overlay_writer(
    folder: str | Path | None, classes: tuple[str, ...]
) -> Callable[[Job, NDArray[np.uint8], Prediction], None] | None:
    """What writes a photograph with its mask laid over it, as JPEG."""
    if folder is None:
        return None
    root = Path(folder)

    def write(job: Job, image: NDArray[np.uint8], prediction: Prediction) -> None:
        picture = overlay(image, prediction.mask, classes=classes, legend=True)
        with atomic_path(mask_path(root, job.name).with_suffix(".jpg")) as temporary:
            Image.fromarray(picture).save(temporary, quality=90)

    return write
