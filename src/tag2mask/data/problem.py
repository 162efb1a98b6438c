"""What is wrong with single images of a dataset, and its report in the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tag2mask.core.text import printable

_LOG = logging.getLogger(__name__)
_EXAMPLES = 3
_LISTED = 10


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a source that was left out or deserves a look.

    Attributes:
        kind: short name that problems are counted by, such as `missing image`.
        message: what came, what was expected and the remedy.
        file: the file or name it is about, or None.
        level: a `warning` is an error under `strict=True`; a `note` never is.
    """

    kind: str
    message: str
    file: str | None = None
    level: Literal["warning", "note"] = "warning"


def log_problems(problems: Sequence[Problem]) -> None:
    """Log each kind of problem with its count and first three examples: warnings as WARNING, notes as INFO."""
    kinds: dict[str, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(problem.kind, []).append(problem)
    for kind, those in sorted(kinds.items(), key=lambda entry: -len(entry[1])):
        lines = [f"{kind}: {len(those)}", *(f"  {printable(problem.message)}" for problem in those[:_EXAMPLES])]
        if len(those) > _EXAMPLES:
            lines.append(f"  and {len(those) - _EXAMPLES} more")
        warned = any(problem.level == "warning" for problem in those)
        _LOG.log(logging.WARNING if warned else logging.INFO, "%s", "\n".join(lines))


def listed(problems: Sequence[Problem]) -> str:
    """The first ten problems as the end of an error message, each on its own line; empty if there is none."""
    if not problems:
        return ""
    lines = [f"\n  {problem.kind}: {printable(problem.message)}" for problem in problems[:_LISTED]]
    more = f"\n  and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
    return ":" + "".join(lines) + more
