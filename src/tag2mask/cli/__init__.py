"""The commands: a thin layer over the library, which is imported only when a command runs.

Exit status: 0 done; 1 an error that the message explains; 2 wrong use of an option;
3 done, but some images were skipped; 130 interrupted.
"""

from __future__ import annotations

import gc
import warnings
from typing import Annotated, NoReturn

import typer

from tag2mask.cli import (
    backbones,
    cache,
    check,
    config,
    cvat,
    deploy,
    export,
    formats,
    label_studio,
    look,
    predict,
    score,
    serve,
    studio,
    train,
    tune_crf,
)
from tag2mask.cli.common import app, fail
from tag2mask.cli.interruption import STATUS, end_at_once_if_interrupted_again
from tag2mask.core.extras import explain
from tag2mask.core.machine import share_cores

__all__ = [
    "app",
    "backbones",
    "cache",
    "check",
    "config",
    "cvat",
    "deploy",
    "export",
    "formats",
    "label_studio",
    "look",
    "main",
    "predict",
    "score",
    "serve",
    "studio",
    "train",
    "tune_crf",
]

_COLLECTED = 10_000  # objects after which Python looks for garbage; the usual 700 slow down the many imports


def _version(wanted: bool) -> None:
    if wanted:
        from tag2mask import __version__

        typer.echo(f"tag2mask {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q", help="Only warnings, errors and the result; no progress. Also after the command's name."
        ),
    ] = False,
) -> None:
    """Semantic segmentation learned from image tags alone."""


def main() -> NoReturn:
    """Run the command line; errors that a user can act on are one message and exit status 1."""
    share_cores()
    gc.set_threshold(_COLLECTED)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged files, which our messages name
    try:
        app(standalone_mode=True)
    except ModuleNotFoundError as error:
        if (remedy := explain(error)) is None:
            raise
        fail(remedy)
        raise SystemExit(1) from None
    except KeyboardInterrupt:  # while the command line is read
        raise SystemExit(STATUS) from None
    except SystemExit as done:
        if done.code == STATUS:
            end_at_once_if_interrupted_again()
        raise
    raise SystemExit(0)
