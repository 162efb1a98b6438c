"""`tag2mask tune-crf`: settings of the dense CRF, chosen by the masks of a few images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tag2mask.cli.common import (
    AsJson,
    Device,
    Format,
    Images,
    Network,
    PredictionSet,
    Split,
    Tags,
    app,
    finish,
    is_quiet,
    only_json,
    out_console,
    parse_settings,
    print_json,
    say,
)
from tag2mask.core.errors import ConfigError

if TYPE_CHECKING:
    from tag2mask.config.schema import CrfConfig
    from tag2mask.evaluation.crf_settings import CrfScore, CrfTuning

_SHOWN = 5  # rows of the table beside today's settings


@app.command(name="tune-crf")
def tune_crf(
    run: Network,
    images: Images,
    masks: Annotated[
        Path | None, typer.Option("--masks", help="Folder of ground truth of some of the images, PNGs of their names.")
    ] = None,
    tags: Tags = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many images with ground truth.")] = 30,
    write: Annotated[
        bool, typer.Option("--write", help="Write the chosen settings into the run, for all that it predicts.")
    ] = False,
    format: Format = "auto",
    split: Split = None,
    set_: PredictionSet = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Choose the settings of the dense CRF by a handful of masks; where they are no better, today's stay."""
    from tempfile import TemporaryDirectory

    from tag2mask.data import Dataset, decodable, log_problems
    from tag2mask.evaluation.crf_settings import tune_crf as tune
    from tag2mask.inference.segmenter import Segmenter

    only_json(as_json)
    given = parse_settings(set_ or [])
    if write and not run.is_dir():
        raise ConfigError(
            f"--write: {run} is no folder of a run, and its settings cannot be changed; leave it out, and give the "
            "settings that are printed with --set"
        )
    if write and given:
        raise ConfigError("--write: not with --set, whose settings would not be written; leave one of them out")
    segmenter = Segmenter.from_pretrained(run, device=device).with_options(given)
    with TemporaryDirectory(prefix="tag2mask-") as folder:
        dataset = Dataset.load(
            images,
            tags,
            masks=masks,
            classes=segmenter.classes,
            format=format,
            split=split,
            unpack=Path(folder),
            require_tags=False,
        )
        dataset = decodable(dataset)
        log_problems(dataset.problems)
        found = tune(segmenter, dataset, limit=limit)
    options = found.options()
    if write and options:
        from tag2mask.models.checkpoint import RunFolder, write_prediction_options

        write_prediction_options(RunFolder(run), options)
    if as_json:
        print_json({"run": str(run), "written": bool(write and options), **found.to_dict()})
    else:
        _show(found, run, written=write)
    finish(dataset.skipped)


def _show(found: CrfTuning, run: Path, *, written: bool) -> None:
    """The table of the best, what was chosen, and how it comes to count."""
    if not is_quiet():
        _table(found)
    if found.made_smaller:
        say(f"{found.made_smaller} images were made smaller for the search, to a million pixels")
    say(found.summary(), result=True)
    options = found.options()
    if not options:
        return
    if written:
        say(f"written into {run}; masks that are there already keep the old settings until they are written again")
        return
    say("for one prediction: " + " ".join(f"--set {name}={_value(value)}" for name, value in options.items()))
    if run.is_dir():
        say("for all that the run predicts: the same command with --write")


def _table(found: CrfTuning) -> None:
    from rich.table import Table

    table = Table(show_edge=False, title="mIoU and gain with 95 % intervals over images", title_justify="left")
    for head in ("bilateral", "gaussian", "iterations", "mIoU", "gain"):
        table.add_column(head, no_wrap=True)
    rows = list(found.ranked[:_SHOWN])
    for one in [*rows, *([] if found.today in rows else [found.today])]:
        table.add_row(*_described(one.crf), f"{100 * one.miou:.1f} {_interval(one.spread)}", _gain(one, found))
    out_console.print(table, soft_wrap=False)


def _described(crf: CrfConfig) -> tuple[str, str, str]:
    """Weight and deviations of both kernels, and the iterations."""
    if not crf.enabled:
        return "no CRF", "", ""
    return (
        f"{crf.bilateral_weight:g}, {crf.bilateral_xy:g} px, {crf.bilateral_rgb:g}",
        f"{crf.gaussian_weight:g}, {crf.gaussian_xy:g} px",
        str(crf.iterations),
    )


def _gain(one: CrfScore, found: CrfTuning) -> str:
    return "today" if one == found.today else f"{100 * one.gain:+.1f} {_interval(one.gain_interval)}"


def _interval(both: tuple[float, float]) -> str:
    return f"({100 * both[0]:.1f}..{100 * both[1]:.1f})"


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
