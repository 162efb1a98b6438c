"""What a folder of images holds beside them, as problems of a dataset."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from tag2mask.core.text import printable
from tag2mask.data.problem import Problem
from tag2mask.images.folder import FolderIndex
from tag2mask.images.kinds import KINDS

SUFFIX = " left out"
"""End of the kind of such a problem: `HEIC images left out`."""

REMEDIES = {f"{kind.plural}{SUFFIX}": kind.remedy for kind in KINDS}
"""What to do, by kind of problem."""


def left_out_problems(index: FolderIndex, used: Collection[str | None], *, is_listed: bool) -> list[Problem]:
    """A problem for each file that looks like an image and is not used, and for each that must not be used.

    Args:
        index: the folder of images.
        used: names that the dataset uses, or of which it says something already.
        is_listed: a file of tags lists the images that count, so that others are worth a note.
    """
    problems = [
        Problem("refused file", f"{printable(name)}: {why}", name, "note" if is_listed else "warning")
        for name, why in index.refused.items()
        if name not in used
    ]
    for one in index.left_out():
        if one.name not in used:
            level: Literal["warning", "note"] = "warning" if one.is_lost and not is_listed else "note"
            problems.append(Problem(f"{one.kind.plural}{SUFFIX}", one.message, one.name, level))
    return problems
