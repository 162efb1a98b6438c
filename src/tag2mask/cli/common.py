"""What all commands share: options, messages, progress, exit status."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from tag2mask.core.errors import ConfigError

ORDER = (
    *("check", "train", "masks", "predict", "evaluate", "score", "export"),
    *("report", "app", "export-model", "push-to-hub", "serve", "ablate", "demo"),
)


class _Commands(TyperGroup):
    """The commands in the order in which they are used, not that of the imports."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the commands; those that `ORDER` lacks come last."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


app = typer.Typer(
    name="tag2mask",
    cls=_Commands,
    help="Semantic segmentation learned from image tags alone.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
"""Every module of commands adds its own."""

out_console = Console(highlight=False, soft_wrap=True)
err_console = Console(stderr=True, highlight=False, soft_wrap=True)

SKIPPED = 3
"""Exit status: done, but some images were skipped."""

Images = Annotated[
    Path, typer.Argument(help="Folder of photographs, or of a whole collection (class folders, VOC, YOLO, Parquet).")
]
Tags = Annotated[Path | None, typer.Option("--tags", help="File of tags: CSV, COCO, CVAT, Label Studio or JSON Lines.")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write to.")]
Run = Annotated[Path, typer.Argument(help="Folder that `tag2mask train` wrote.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Format = Annotated[str, typer.Option(help="auto, csv, coco, cvat, label-studio, jsonl, folders, yolo, voc or parquet.")]
Split = Annotated[str | None, typer.Option(help="Part of the collection to use.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first bad image instead of skipping it.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Make masks anew that are there already.")]
Overlays = Annotated[Path | None, typer.Option("--overlays", help="Also write pictures with the mask laid over, here.")]

Confidence = Annotated[Path | None, typer.Option("--confidence", help="Also write confidence maps, here.")]
ConfidenceBits = Annotated[int, typer.Option(help="Of a confidence map, 8 or 16.")]


ImageSize = Annotated[
    int | None,
    typer.Option(min=0, help="Long side at which the network sees photographs; 0: their own. [default: as trained]"),
]
Tile = Annotated[
    int | None, typer.Option(min=0, help="Cut what is larger into tiles of this side; 0: never. [default: 1024]")
]
PredictionSet = Annotated[
    list[str] | None, typer.Option("--set", help="A setting of prediction, e.g. prediction.gate=0.1. Repeatable.")
]


def prediction_options(set_: list[str] | None, image_size: int | None, tile: int | None) -> dict[str, Any]:
    """Settings of prediction by dotted name."""
    options = parse_settings(set_ or [])
    for name, value in (("prediction.image_size", image_size), ("prediction.tile", tile)):
        if value is not None:
            options[name] = value
    return options


def parse_settings(pairs: list[str]) -> dict[str, Any]:
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


def plain(text: str) -> str:
    """The text with nothing in it that Rich would take for markup."""
    from rich.markup import escape

    return escape(text)


def say(line: str) -> None:
    """Print a line for people."""
    out_console.print(plain(line))


def report_failures(failures: list[tuple[str, str]], shown: int = 10) -> None:
    """Print the first of the images that were left out, and how many more there are."""
    for _, reason in failures[:shown]:
        err_console.print(f"skipped: {plain(reason)}")
    if len(failures) > shown:
        err_console.print(f"skipped: {len(failures) - shown} more")


def finish(skipped: int) -> None:
    """End the command; with `SKIPPED` where something was left out."""
    if skipped:
        err_console.print("done, but some images were skipped (exit status 3)")
        raise typer.Exit(SKIPPED)


@contextmanager
def bar(what: str) -> Iterator[Callable[[int], Callable[[], None]]]:
    """A progress bar with the time left, on a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err_console, disable=not err_console.is_terminal) as progress:

        def start(total: int) -> Callable[[], None]:
            task = progress.add_task(what, total=total)
            return lambda: progress.advance(task)

        yield start
