"""The commands: a thin layer over `tag2mask.api`, imported only when a command runs.

Exit status: 0 done; 1 an error that the message explains; 2 wrong use of an option;
3 done, but some images were skipped; 130 interrupted.
"""

from __future__ import annotations

from typing import NoReturn

from tag2mask.cli import check, deploy, export, look, predict, score, serve, train
from tag2mask.cli.common import app, err_console, plain
from tag2mask.core.errors import Tag2MaskError
from tag2mask.core.extras import explain
from tag2mask.core.machine import share_cores

__all__ = ["app", "check", "deploy", "export", "look", "main", "predict", "score", "serve", "train"]


def main() -> NoReturn:
    """Run the command line; errors that a user can act on are one message and exit status 1."""
    share_cores()
    try:
        app(standalone_mode=True)
    except Tag2MaskError as error:
        err_console.print(f"[bold red]error:[/] {plain(str(error))}")
        raise SystemExit(1) from None
    except ModuleNotFoundError as error:
        if (remedy := explain(error)) is None:
            raise
        err_console.print(f"[bold red]error:[/] {plain(remedy)}")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        err_console.print("interrupted; what is written is whole, run the same command again to go on")
        raise SystemExit(130) from None
    raise SystemExit(0)
