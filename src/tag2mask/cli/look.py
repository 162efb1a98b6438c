"""`tag2mask report`, `app`: what people look at."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from tag2mask.cli.common import Device, Run, app, say
from tag2mask.core.errors import ConfigError

PASSWORD = "TAG2MASK_PASSWORD"
"""Environment variable with the password of the page."""

_log = logging.getLogger(__name__)

Palette = Annotated[str, typer.Option(help="safe (for the colour-blind too) or voc.")]


@app.command()
def report(
    run: Run,
    out: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="report.html in the run's folder")
    ] = None,
    palette: Palette = "safe",
    examples: Annotated[int, typer.Option(min=1, help="Images of each kind: best, median, worst.")] = 2,
    device: Device = "auto",
) -> None:
    """Write a page about a run: what it is worth, dataset, curves, scores, images of every step."""
    from typing import cast

    from tag2mask.cli.verdict import show_verdict
    from tag2mask.drawing import Palette as Known
    from tag2mask.report import write_report

    path = write_report(run, out=out, palette=cast(Known, palette), examples=examples, device=device)
    show_verdict(run)
    say(f"the report is {path}")


@app.command(name="app")
def application(
    ctx: typer.Context,
    run: Annotated[Path | None, typer.Argument(help="Folder that `tag2mask train` wrote.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="With the demo's network, trained first if needed.")] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but loopback needs a password, best in TAG2MASK_PASSWORD.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 7860,
    password: Annotated[
        str | None,
        typer.Option(
            envvar=PASSWORD,
            help=f"Asked of every visitor (user name: tag2mask). Better set in the environment variable {PASSWORD}: "
            "every user of this machine can see the options of a command.",
        ),
    ] = None,
    allowed_hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            help="Name that visitors reach the page by, such as a proxy's; repeat for several, `*` for any. Others "
            "are answered 403; without this option, on loopback all but loopback's names, else none.",
            show_default=False,
        ),
    ] = None,
    palette: Palette = "safe",
    device: Device = "auto",
) -> None:
    """Open a page to try a network, see each step and correct masks."""
    from typing import cast

    from tag2mask.core.extras import require
    from tag2mask.drawing import Palette as Known

    require("app", "the page")
    require("train", "the page")
    if (run is None) != demo:
        raise ConfigError("give the folder of a run, or --demo")
    if palette not in ("safe", "voc"):
        raise ConfigError(f"--palette {palette}: expected 'safe' or 'voc'")
    check_password(ctx, host, password)
    from tag2mask.inference.segmenter import Segmenter
    from tag2mask.models.checkpoint import RunFolder
    from tag2mask.studio import Workbench, serve_page

    folder = RunFolder(run if run is not None else _demo_run())
    bench = Workbench(Segmenter.from_pretrained(folder.root, device=device), folder, palette=cast(Known, palette))
    serve_page(bench, host=host, port=port, password=password, allowed_hosts=allowed_hosts or ())


def check_password(ctx: typer.Context, host: str, password: str | None) -> None:
    """Refuse an open page without a password before anything is loaded, and warn of one that others can see."""
    from tag2mask.core.hosts import is_loopback

    if not password and not is_loopback(host):
        raise ConfigError(
            f"--host {host}: anyone who reaches this machine could use the page; set a password in the environment "
            f"variable {PASSWORD} (or with --password, which every user of this machine can see)"
        )
    source = ctx.get_parameter_source("password")
    if password and source is not None and source.name == "COMMANDLINE":
        _log.warning(
            "every user of this machine can see the password in the list of processes; set it in the environment "
            "variable %s instead",
            PASSWORD,
        )


def _demo_run() -> Path:
    """The demo's run in this user's cache, trained the first time."""
    from tag2mask.demo.run import run_demo

    out = Path(typer.get_app_dir("tag2mask")) / "demo"
    if not (out / "run" / "model.safetensors").is_file():
        say(f"training the demo first, a few minutes, into {out}")
        run_demo(out, seed=0, quick=False)
    return out / "run"
