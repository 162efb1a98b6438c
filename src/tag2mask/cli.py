"""The commands: a thin layer over `tag2mask.api`, imported only when a command runs.

Exit status: 0 done; 1 an error that the message explains; 2 wrong use of an option;
3 done, but some images were skipped; 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from tag2mask.errors import ConfigError, Tag2MaskError

app = typer.Typer(
    name="tag2mask",
    help="Semantic segmentation learned from image tags alone.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)

SKIPPED = 3

Images = Annotated[Path, typer.Argument(help="Folder of photographs, one folder per class, or a VOC devkit.")]
Tags = Annotated[Path | None, typer.Option("--tags", help="CSV of tags: `image,tags`, or a column per class.")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write to.")]
Run = Annotated[Path, typer.Argument(help="Folder that `tag2mask train` wrote.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Format = Annotated[str, typer.Option(help="auto, csv, folders or voc.")]
Split = Annotated[str | None, typer.Option(help="Part of the collection to use.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first bad image instead of skipping it.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Make masks anew that are there already.")]
Overlays = Annotated[Path | None, typer.Option("--overlays", help="Also write pictures with the mask laid over, here.")]


@app.command()
def train(
    images: Images,
    out: Out,
    tags: Tags = None,
    backbone: Annotated[str | None, typer.Option(help="timm model. [default: resnet18]")] = None,
    weights: Annotated[str | None, typer.Option(help="hub, none, or a safetensors file. [default: hub]")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the images. [default: by their number]")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random. [default: 0]")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting, e.g. --set data.image_size=256. Repeatable.")
    ] = None,
    masks: Annotated[Path | None, typer.Option(help="Human masks, for evaluation alone.")] = None,
    classes: Annotated[Path | None, typer.Option(help="File of class names, in the order of their indices.")] = None,
    format: Format = "auto",
    split: Split = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Train on so many images, shuffled with seed 0.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run in --out.")] = False,
    no_masks: Annotated[bool, typer.Option("--no-masks", help="Do not write masks of the training images.")] = False,
    strict: Strict = False,
    device: Device = "auto",
) -> None:
    """Train from tags; write the network and a mask for every photograph."""
    from tag2mask.api import train as run_training

    options = _settings(set_ or [])
    for name, value in (
        ("model.backbone", backbone),
        ("model.weights", weights),
        ("training.epochs", epochs),
        ("training.seed", seed),
    ):
        if value is not None:
            options[name] = value
    with _bar("masks") as bar:
        result = run_training(
            images,
            tags,
            out=out,
            masks=masks,
            classes=classes,
            format=format,
            split=split,
            limit=limit,
            config=config,
            options=options,
            resume=resume,
            make_masks=not no_masks,
            strict=strict,
            device=device,
            progress=sys.stdout.isatty(),
            report=_say,
            mask_progress=bar,
        )
    _say(f"the run is in {result.run}")
    skipped = sum(problem.level == "warning" for problem in result.collection.problems)
    skipped += len(result.masks.failures) if result.masks else 0
    _finish(skipped)


@app.command()
def masks(
    run: Run,
    images: Images,
    out: Out,
    tags: Tags = None,
    format: Format = "auto",
    split: Split = None,
    overlays: Overlays = None,
    overwrite: Overwrite = False,
    strict: Strict = False,
    device: Device = "auto",
) -> None:
    """Write masks of tagged photographs; the tags say which classes may get pixels."""
    from tag2mask.api import make_masks

    reported: list[str] = []

    def report(line: str) -> None:
        reported.append(line)
        _say(line)

    with _bar("masks") as bar:
        outcome = make_masks(
            run,
            images,
            tags,
            out=out,
            format=format,
            split=split,
            overlays=overlays,
            overwrite=overwrite,
            strict=strict,
            device=device,
            report=report,
            mask_progress=bar,
        )
    _failures(outcome.failures)
    _say(outcome.summary())
    _finish(len(outcome.failures) + len(reported))


@app.command()
def predict(
    run: Run,
    images: Annotated[Path, typer.Argument(help="A photograph or a folder of them.")],
    out: Out,
    overlays: Overlays = None,
    overwrite: Overwrite = False,
    strict: Strict = False,
    device: Device = "auto",
) -> None:
    """Write masks of photographs without tags."""
    from tag2mask.api import predict as run_prediction

    with _bar("masks") as bar:
        outcome = run_prediction(
            run,
            images,
            out=out,
            overlays=overlays,
            overwrite=overwrite,
            strict=strict,
            device=device,
            mask_progress=bar,
        )
    _failures(outcome.failures)
    _say(outcome.summary())
    _finish(len(outcome.failures))


@app.command()
def evaluate(
    predicted: Annotated[Path, typer.Argument(help="Folder of predicted masks.")],
    human: Annotated[Path, typer.Argument(help="Folder of human masks.")],
    classes: Annotated[Path, typer.Option(help="File of class names, in the order of their indices.")],
    sample: Annotated[
        bool, typer.Option("--sample", help="The human masks are a random sample: estimate, with an interval.")
    ] = False,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of the interval of --sample.")] = 0.95,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score masks: IoU of each class and their mean."""
    from tag2mask.evaluation import estimate
    from tag2mask.evaluation import evaluate as score

    estimated = estimate(predicted, human, classes, confidence=confidence) if sample else None
    result = estimated.evaluation if estimated else score(predicted, human, classes)
    if as_json:
        typer.echo(json.dumps((estimated or result).to_dict(), ensure_ascii=False, indent=1))
        return
    width = max(len(name) for name, _ in result.table())
    for name, value in result.table():
        _say(f"{name:<{width}}  {value:>5}")
    if result.extra:
        _say(f"{result.extra} predicted masks have no human mask and were not scored")
    _say((estimated or result).summary())


@app.command()
def score(
    run: Run,
    images: Images,
    tags: Tags = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many photographs.")] = 100,
    format: Format = "auto",
    split: Split = None,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare runs and settings without human masks, on tagged photographs that were not trained on."""
    from tag2mask.api import load
    from tag2mask.collection import load_collection
    from tag2mask.label_free import label_free_score

    predictor = load(run, device=device)
    collection = load_collection(images, tags, classes=predictor.classes, format=format, split=split)
    result = label_free_score(predictor, collection, limit=limit)
    typer.echo(json.dumps(result.to_dict(), indent=1)) if as_json else _say(result.summary())


@app.command()
def ablate(
    file: Annotated[Path, typer.Argument(help="YAML file of what to run: see docs/guide.md.")],
    out: Out,
    define: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for ${NAME} in the file. Repeatable.")] = None,
    device: Device = "auto",
) -> None:
    """Run a method and the same less each of its parts, over seeds; the same command again goes on."""
    from tag2mask.ablation import load_ablation, run_ablation

    variables: dict[str, str] = {}
    for pair in define or []:
        name, equals, variables[name] = pair.partition("=")
        if not equals:
            raise ConfigError(f"--define {pair}: expected NAME=VALUE")
    run_ablation(load_ablation(file, variables), out, device=device, report=_say)
    _say((out / "table.md").read_text(encoding="utf-8"))
    _say(f"tables and pictures are in {out}")


@app.command()
def demo(
    out: Out = Path("demo-out"),
    seed: Annotated[int, typer.Option(help="Seed of the scenes and of training.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="A few images and epochs: does it run?")] = False,
) -> None:
    """Learn masks from tags on generated scenes: no network, no data, a few minutes."""
    from tag2mask.demo.run import run_demo

    run_demo(out, seed=seed, quick=quick, report=_say)


def main() -> NoReturn:
    """Run the command line; errors that a user can act on are one message and exit status 1."""
    try:
        app(standalone_mode=True)
    except Tag2MaskError as error:
        _err.print(f"[bold red]error:[/] {_plain(str(error))}")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        _err.print("interrupted; what is written is whole, run the same command again to go on")
        raise SystemExit(130) from None
    raise SystemExit(0)


def _settings(pairs: list[str]) -> dict[str, Any]:
    """Parse `name=value` options; values are YAML."""
    import yaml

    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--set {pair}: expected name=value, e.g. --set training.epochs=20")
        try:
            options[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--set {pair}: '{value}' is no YAML value; quote it") from None
    return options


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _say(line: str) -> None:
    _out.print(_plain(line))


def _failures(failures: list[tuple[str, str]], shown: int = 10) -> None:
    for _, reason in failures[:shown]:
        _err.print(f"skipped: {_plain(reason)}")
    if len(failures) > shown:
        _err.print(f"skipped: {len(failures) - shown} more")


def _finish(skipped: int) -> None:
    if skipped:
        _err.print("done, but some images were skipped (exit status 3)")
        raise typer.Exit(SKIPPED)


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int], Callable[[], None]]]:
    """A progress bar with the time left, on a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_err, disable=not _err.is_terminal) as progress:

        def start(total: int) -> Callable[[], None]:
            task = progress.add_task(what, total=total)
            return lambda: progress.advance(task)

        yield start
