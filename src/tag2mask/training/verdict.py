"""What training says of its own worth: findings before it starts, a verdict at its end."""

from __future__ import annotations

import logging

from tag2mask.config.schema import Config
from tag2mask.data import Dataset
from tag2mask.data.checks.training import TrainingCheck, check_for_training
from tag2mask.evaluation.verdict import Verdict, write_verdict
from tag2mask.inference.segmenter import Segmenter
from tag2mask.models.checkpoint import RunFolder

_log = logging.getLogger(__name__)

LINES = f"{__name__}.lines"
"""Logger of the verdict's lines; the command line shows a table in their place."""


def warn_before(dataset: Dataset, config: Config, *, progress: bool = False) -> TrainingCheck:
    """Check a dataset before training, and log what will spoil the result, with the remedy.

    Args:
        dataset: what is to be trained on.
        config: of the run; from ground truth, tags spoil nothing.
        progress: show a progress bar.
    """
    check = check_for_training(dataset, progress=progress)
    for finding in check.findings:
        if config.training.supervision == "tags" or not finding.classes:
            shown = ", ".join(finding.where[:3]) + (", ..." if len(finding.where) > 3 else "")
            where = f" ({shown})" if shown else ""
            _log.warning("%s%s: %s. Remedy: %s", finding.what, where, finding.consequence, finding.remedy)
    return check


def conclude(
    run: RunFolder, segmenter: Segmenter, dataset: Dataset, check: TrainingCheck, *, progress: bool = False
) -> Verdict:
    """Judge a finished run, write `verdict.json`, and log its lines.

    Args:
        run: its folder.
        segmenter: its network.
        dataset: what it was trained on.
        check: of `warn_before`.
        progress: show progress bars.
    """
    verdict = write_verdict(run, segmenter, dataset, check=check, progress=progress)
    logging.getLogger(LINES).log(
        logging.WARNING if verdict.overall == "red" else logging.INFO, "%s", "\n".join(verdict.lines())
    )
    return verdict
