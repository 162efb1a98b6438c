"""What removing a class changes in the masks that people have painted."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.constants import BACKGROUND, IGNORE_INDEX
from tag2mask.studio.project import Project


def without_class(project: Project, index: int) -> tuple[int, dict[Path, bytes]]:
    """Kept masks and drafts as they are without a class: its pixels become background, larger indices move down.

    Args:
        project: the project.
        index: class index in masks, from 1.

    Returns:
        How many masks show the class, and new content of the files that change, by their paths in `project.home`.
    """
    table = np.arange(256, dtype=np.uint8)
    table[index] = BACKGROUND
    table[index + 1 : IGNORE_INDEX] -= 1
    used, changed = 0, {}
    for folder in (project.corrected, project.drafts):
        for name in sorted(project.mask_names(folder)):
            path = folder / f"{name}.png"
            with Image.open(path) as image:
                values: NDArray[np.uint8] = np.asarray(image, dtype=np.uint8)
                palette = image.getpalette() if image.mode == "P" else None
            used += bool((values == index).any())
            moved = table[values]
            if (moved == values).all():
                continue
            made = Image.fromarray(moved)
            if palette is not None:
                made.putpalette(palette)
            stream = io.BytesIO()
            made.save(stream, format="PNG")
            changed[path.relative_to(project.home)] = stream.getvalue()
    return used, changed
