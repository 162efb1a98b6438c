"""What a job over many images has done: the result of an export and of a prediction for a folder or in bulk."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tag2mask.core.text import counted, printable

RESULT = 25
"""Level of a log record that is the result of a command: above INFO, so that it is shown where INFO is not."""

FAILURES = "failures.csv"
"""File, in a folder of results, of the images that have none, with the reasons."""


@dataclass(slots=True)
class Outcome:
    """Counts of a job over many images, with the images that failed.

    Attributes:
        out: file, folder or address of the results.
        written: results written by this call.
        kept: results that were already there and were left as they are.
        failures: name and reason of each image that has no result.
        notes: further facts for the summary, such as 'undecided pixels (255) of 3 masks have no label in this format'.
        what: what was written, in the plural.

    >>> print(Outcome("out", written=3, kept=2, failures=[("a.jpg", "truncated"), ("b.jpg", "truncated")]).summary())
    3 masks written to out, 2 were already there, 2 images skipped
    """

    out: str | Path
    written: int = 0
    kept: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    what: str = "masks"

    @property
    def is_empty(self) -> bool:
        """Whether images failed and there is no result at all, neither from this call nor from an earlier one."""
        return bool(self.failures) and not self.written and not self.kept

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values.

        >>> Outcome("out", written=3, failures=[("a.jpg", "truncated")]).to_dict()["failures"]
        [{'image': 'a.jpg', 'reason': 'truncated'}]
        """
        return {
            "out": str(self.out),
            "what": self.what,
            "written": self.written,
            "kept": self.kept,
            "skipped": len(self.failures),
            "failures": [{"image": name, "reason": reason} for name, reason in self.failures],
            "notes": list(self.notes),
        }

    def summary(self) -> str:
        """The counts and the notes in one line, for people."""
        parts = [f"{counted(self.written, self.what)} written to {printable(self.out)}"]
        if self.kept:
            parts.append(f"{self.kept} {'was' if self.kept == 1 else 'were'} already there")
        parts += self.notes
        if self.failures:
            parts.append(f"{counted(len(self.failures), 'images')} skipped")
        return ", ".join(parts)


def failures_table(failures: Sequence[tuple[str, str]]) -> str:
    r"""The content of `FAILURES`: a line for each image with its name and reason; control characters are escaped.

    >>> print(failures_table([("a\nb.jpg", "the file is empty")]), end="")
    image,reason
    a\nb.jpg,the file is empty
    """
    stream = io.StringIO()
    rows = [("image", "reason"), *((printable(name), printable(reason)) for name, reason in failures)]
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()
