"""What a job over many images has done: the result of an export and of a prediction for a folder or in bulk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


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

    def summary(self) -> str:
        """The counts and the notes in one line, for people."""
        parts = [f"{self.written} {self.what} written to {self.out}"]
        if self.kept:
            parts.append(f"{self.kept} were already there")
        parts += self.notes
        if self.failures:
            parts.append(f"{len(self.failures)} images skipped")
        return ", ".join(parts)
