"""What all commands share: options, messages, exit status."""

from __future__ import annotations

import json
import logging
import math
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from tag2mask.cli.interruption import STATUS, message, undisturbed
from tag2mask.cli.messages import Lines, in_options, log_lines, with_json_to
from tag2mask.core.errors import ConfigError, Tag2MaskError
from tag2mask.core.outcome import RESULT
from tag2mask.core.text import printable

_log = logging.getLogger(__name__)

_WORDS = "tag2mask.words"
_lines: ContextVar[Lines | None] = ContextVar("lines", default=None)
_QUIET = ("--quiet", "-q")

ORDER = (
    *("check", "train", "masks", "predict", "evaluate", "score", "tune-crf", "export"),
    *(
        "report",
        "studio",
        "export-model",
        "push-to-hub",
        "serve",
        "label-studio",
        "cvat-function",
        "ablate",
        "cache",
        "backbones",
        "formats",
        "config",
        "demo",
    ),
)


class _Commands(TyperGroup):
    """The commands in the order in which they are used; their errors are one message and exit status 1."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the commands; those that `ORDER` lacks come last."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def _of_one_command(self) -> list[Any]:
        """Parameters that a single command has, such as `resume`: a message of any command may speak of them."""
        every = [parameter for command in self.commands.values() for parameter in command.params]
        count = Counter(parameter.name for parameter in every)
        return [parameter for parameter in every if count[parameter.name] == 1]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the words of the command line, to say how an interrupted command goes on.

        `--quiet` may stand anywhere before `--`.
        """
        end = args.index("--") if "--" in args else len(args)
        words = [word for word in args[:end] if word not in _QUIET] + args[end:]
        is_quiet = len(words) < len(args)
        ctx.meta[_WORDS] = [*words[:1], *(_QUIET[:1] if is_quiet else ()), *words[1:]]
        rest: list[str] = super().parse_args(ctx, [*(_QUIET[:1] if is_quiet else ()), *with_json_to(words)])
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Run a command. What the library says of its parameters is said of the command's options."""

        def translated(text: str) -> str:
            command = self.commands.get(ctx.invoked_subcommand or "")
            return in_options(text, command.params if command else [], others=self._of_one_command())

        quiet = bool(ctx.params.get("quiet"))
        with ExitStack() as context:
            if quiet:
                from tag2mask.core.progress import hidden

                context.enter_context(hidden())
            lines = context.enter_context(log_lines(out_console, err_console, translated, quiet=quiet))
            _lines.set(lines)
            try:
                return super().invoke(ctx)
            except Tag2MaskError as error:
                fail(translated(str(error)))
                raise typer.Exit(1) from None
            except KeyboardInterrupt as error:
                with undisturbed():
                    err_console.print(plain(message(error, ctx.invoked_subcommand, ctx.meta[_WORDS])))
                raise typer.Exit(STATUS) from None


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
    Path, typer.Argument(help="Folder of images, or of a whole dataset (class folders, VOC, YOLO, Parquet).")
]
Tags = Annotated[
    Path | None,
    typer.Option("--tags", help="File of tags (CSV, COCO, CVAT, Label Studio, JSON, ...), or a folder of annotations."),
]
Out = Annotated[Path, typer.Option("--out", help="Folder to write to.")]
Run = Annotated[Path, typer.Argument(help="Folder that `tag2mask train` wrote.")]
Network = Annotated[
    Path, typer.Argument(help="Folder that `tag2mask train` wrote, user/name on the Hugging Face Hub, or an ONNX file.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Format = Annotated[
    str,
    typer.Option(
        help="auto, csv, coco, cvat, label-studio, jsonl, json, fiftyone, vott, via, datumaro; or a folder: folders, "
        "yolo, voc, labelme, supervisely, txt, parquet."
    ),
]
Split = Annotated[str | None, typer.Option(help="Split of the dataset to use.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output, messages on standard error.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first bad image instead of skipping it.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Write masks again that are there already.")]
Overlays = Annotated[
    Path | None, typer.Option("--overlays", help="Also write images with the mask laid over, into this folder.")
]
Confidence = Annotated[Path | None, typer.Option("--confidence", help="Also write confidence maps, into this folder.")]
ConfidenceBits = Annotated[int | None, typer.Option(help="Of a confidence map, 8 or 16.", show_default="8")]
ImageSize = Annotated[
    int | None,
    typer.Option(
        min=0, help="Long side at which the network sees images; 0: their own size.", show_default="as trained"
    ),
]
Tile = Annotated[
    int | None, typer.Option(min=0, help="Cut larger images into tiles of this side; 0: never.", show_default="1024")
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


def refuse(given: Mapping[str, object], why: str) -> None:
    """Refuse options that would have no effect: those of `given` that have a value.

    Raises:
        ConfigError: there is one.
    """
    names = [name for name, value in given.items() if value is not None and value is not False and value != []]
    if names:
        raise ConfigError(f"{', '.join(names)}: {why}")


def plain(text: str) -> str:
    """The text with nothing in it that Rich would take for markup, or a terminal for a command."""
    from rich.markup import escape

    return escape(printable(text, keep="\n\t"))


def say(line: str, *, result: bool = False) -> None:
    """Print a line for people; parameters in backticks become options.

    Args:
        line: it.
        result: it is the result of the command, which `--quiet` leaves.
    """
    _log.log(RESULT if result else logging.INFO, "%s", line)


def is_quiet() -> bool:
    """Whether the command was called with `--quiet`."""
    lines = _lines.get()
    return lines is not None and lines.quiet


def as_said(text: str) -> str:
    """A message of the library as the command line says it."""
    lines = _lines.get()
    return text if lines is None else lines.translated(text)


def only_json(wanted: bool) -> None:
    """Where it is wanted, standard output is left to `print_json` from now on; messages go to standard error."""
    if wanted and (lines := _lines.get()) is not None:
        lines.leave_output()


def json_text(document: Any) -> str:
    """A document of JSON, with null for what is no number.

    >>> print(json_text({"miou": float("nan")}))
    {
     "miou": null
    }
    """
    return json.dumps(_finite(document), ensure_ascii=False, indent=1, allow_nan=False)


def print_json(document: Any) -> None:
    """Print a document as JSON on standard output; where its encoding lacks a character, as an escape."""
    text = json_text(document)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(_finite(document), indent=1, allow_nan=False)
    typer.echo(text)


def _finite(document: Any) -> Any:
    if isinstance(document, dict):
        return {str(name): _finite(value) for name, value in document.items()}
    if isinstance(document, list | tuple):
        return [_finite(value) for value in document]
    return None if isinstance(document, float) and not math.isfinite(document) else document


def fail(message: str) -> None:
    """Print an error."""
    err_console.print(f"[bold red]error:[/] {plain(message)}")


def report_failures(failures: list[tuple[str, str]], shown: int = 10) -> None:
    """Print the first of the images that were left out, and how many more there are."""
    for _, reason in failures[:shown]:
        err_console.print(f"skipped: {plain(printable(reason))}")
    if len(failures) > shown:
        err_console.print(f"skipped: {len(failures) - shown} more")


def finish(skipped: int) -> None:
    """End the command; with `SKIPPED` where something was left out."""
    if skipped:
        err_console.print("done, but some images were skipped (exit status 3)")
        raise typer.Exit(SKIPPED)
