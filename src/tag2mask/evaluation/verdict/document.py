"""`verdict.json` in the folder of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tag2mask.core.errors import DataError
from tag2mask.core.files import write_text
from tag2mask.data import Dataset
from tag2mask.data.checks.training import TrainingCheck
from tag2mask.evaluation.verdict.collect import collect_numbers
from tag2mask.evaluation.verdict.judge import judge
from tag2mask.evaluation.verdict.next_steps import next_steps, write_tags
from tag2mask.evaluation.verdict.verdict import ClassVerdict, NextStep, RunFinding, Verdict
from tag2mask.inference.segmenter import Segmenter
from tag2mask.models.checkpoint import RunFolder

NAME = "verdict.json"
"""File of the verdict in the folder of its run."""


def write_verdict(
    run: RunFolder,
    segmenter: Segmenter,
    dataset: Dataset,
    *,
    check: TrainingCheck | None = None,
    progress: bool = False,
) -> Verdict:
    """Judge a finished run; write `verdict.json`, and `tags.csv` for the commands in it, into its folder.

    Args:
        run: the folder.
        segmenter: its network.
        dataset: what it was trained on.
        check: of the dataset, where it is known; see `collect_numbers`.
        progress: show progress bars.
    """
    verdict = judge(collect_numbers(run, dataset, segmenter, check=check, progress=progress))
    verdict = replace(verdict, next=next_steps(verdict, run, dataset, segmenter.config, write_tags(run, dataset)))
    write_text(run.root / NAME, json.dumps(verdict.to_dict(), ensure_ascii=False, indent=1) + "\n")
    return verdict


def read_verdict(run: RunFolder) -> Verdict | None:
    """Read the verdict of a run; None where there is none.

    Raises:
        DataError: the file cannot be read, or is damaged.
    """
    path = run.root / NAME
    if not path.is_file():
        return None
    try:
        return _verdict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: cannot read it ({error!r}); remove it, and it is written again") from None


def _verdict(tree: Mapping[str, Any]) -> Verdict:
    return Verdict(
        tree["overall"],
        tree["reason"],
        {
            name: ClassVerdict(one["overall"], one["reason"], tuple(one["others"]))
            for name, one in tree["classes"].items()
        },
        tuple(RunFinding(one["overall"], one["code"], one["what"], one["remedy"]) for one in tree["findings"]),
        next=tuple(NextStep(one["command"], one["why"]) for one in tree["next"]),
        missing=tuple(tree["missing"]),
    )
