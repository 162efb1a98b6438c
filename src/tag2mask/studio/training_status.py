"""How far a training is, from the files of its run and from whether its process lives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tag2mask.studio.masks_of import FIRST, WRITTEN
from tag2mask.studio.project_folder import ProjectFolder
from tag2mask.training.process import RunProcess

State = Literal["idle", "preparing", "first-masks", "training", "writing", "done", "stopped", "failed"]

_LOG_LINES = 50
_SHOWN_FIRST = 24  # names of first masks
_ERROR = "error: "  # by which the command line begins why it ends


@dataclass(frozen=True, slots=True)
class Status:
    """How far a training is.

    Attributes:
        state: `idle` where nothing was trained yet.
        run: its name.
        step: what is counted now, how many are done, and of how many.
        epoch, epochs, seconds_left, images_per_second: None where not known.
        first_masks: masks that it learns from, or that it has written.
        first_names: some of their images.
        is_stopping: it was asked to stop and has not ended yet.
        can_resume: it has ended before its time, and can go on.
        log: last lines.
        verdict: at the end.
        error: why it failed.
    """

    state: State
    run: str | None = None
    step: tuple[str, int, int] | None = None
    epoch: int | None = None
    epochs: int | None = None
    seconds_left: float | None = None
    images_per_second: float | None = None
    first_masks: int = 0
    first_names: tuple[str, ...] = ()
    is_stopping: bool = False
    can_resume: bool = False
    log: tuple[str, ...] = ()
    verdict: Mapping[str, Any] | None = None
    error: str | None = None


def status_of(name: str, process: RunProcess) -> Status:
    """How far the training of a run is.

    Args:
        name: of the run.
        process: of its training.
    """
    lives, about, progress = process.lives(), process.about(), process.progress()
    stage, what = progress.get("stage"), progress.get("what")
    is_stopped = about is not None and about.is_stopped
    state = _running(stage, what) if lives else _ended(stage, is_stopped=is_stopped)
    log = tuple(process.tail(_LOG_LINES))
    count, names = _masks_so_far(process.run)
    return Status(
        state,
        name,
        (what, int(progress["done"]), int(progress["total"])) if lives and what else None,
        progress.get("epoch"),
        progress.get("epochs"),
        progress.get("seconds_left") if lives else None,
        progress.get("images_per_second") if lives else None,
        first_masks=count,
        first_names=names,
        is_stopping=lives and is_stopped,
        can_resume=not lives and state in ("stopped", "failed"),
        log=log,
        verdict=_verdict(process.run),
        error=_error(progress, log) if state == "failed" else None,
    )


def _running(stage: str | None, what: str | None) -> State:
    if stage == "training":
        return "training"
    if stage in ("writing", "done", "stopped", "failed"):  # the last two: it ends now
        return "writing"
    return "first-masks" if what == "pseudo masks" else "preparing"


def _ended(stage: str | None, *, is_stopped: bool) -> State:
    if stage == "done":
        return "done"
    return "stopped" if stage == "stopped" or is_stopped else "failed"


def _error(progress: Mapping[str, Any], log: tuple[str, ...]) -> str:
    if progress.get("error"):
        return str(progress["error"])
    if progress.get("stage"):
        return (
            "the process has ended without a word: it was killed, perhaps for want of memory, or the machine was "
            "switched off; go on with it, ended epochs are kept"
        )
    at = next((k for k in reversed(range(len(log))) if log[k].startswith(_ERROR)), None)
    if at is not None:
        return "\n".join((log[at].removeprefix(_ERROR), *log[at + 1 :]))
    return "\n".join(log[-3:]) or "the process has ended before it said anything"


def _masks_so_far(run: Path) -> tuple[int, tuple[str, ...]]:
    """How many masks there are of a run, and names, without suffix, of some."""
    for folder in (FIRST, WRITTEN[0]):
        found = ProjectFolder.mask_names(run / folder)
        if found:
            return len(found), tuple(sorted(found)[:_SHOWN_FIRST])
    return 0, ()


def _verdict(run: Path) -> dict[str, Any] | None:
    """Lights of `verdict.json`, as the page shows them."""
    try:
        tree = json.loads((run / "verdict.json").read_text(encoding="utf-8"))
        return {
            "colour": tree["overall"],
            "text": tree["reason"],
            "classes": [
                {"name": name, "light": one["overall"], "reason": one["reason"]}
                for name, one in tree["classes"].items()
            ],
            "findings": [
                {"light": one["overall"], "what": one["what"], "remedy": one["remedy"]} for one in tree["findings"]
            ],
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


def described(status: Status) -> dict[str, Any]:
    """What `/api/train` answers."""
    what, done, total = status.step or (None, 0, 0)
    return {
        "state": status.state,
        "run": status.run,
        "what": what,
        "done": done,
        "total": total,
        "epoch": status.epoch,
        "epochs": status.epochs,
        "seconds_left": status.seconds_left,
        "images_per_second": status.images_per_second,
        "first_masks": status.first_masks,
        "first_names": list(status.first_names),
        "stopping": status.is_stopping,
        "can_resume": status.can_resume,
        "log": list(status.log),
        "verdict": status.verdict,
        "error": status.error,
    }
