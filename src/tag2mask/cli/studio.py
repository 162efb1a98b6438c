"""`tag2mask studio`: from untagged images to masks, in one page."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from tag2mask.cli.common import Device, app, say
from tag2mask.cli.password import PASSWORD, check_password
from tag2mask.core.errors import ConfigError

DEMO_IMAGES = 40
"""Images of the demo's project."""

_log = logging.getLogger(__name__)

Folder = Annotated[
    Path | None,
    typer.Argument(
        help="Folder of images, or of a run. Tags, masks and runs go into the images' folder `tag2mask`; nothing "
        "else is changed."
    ),
]
Demo = Annotated[bool, typer.Option("--demo", help=f"With {DEMO_IMAGES} untagged images of the demo, in a new folder.")]
Host = Annotated[
    str, typer.Option(help="Address to listen on; any but loopback needs a password, best in TAG2MASK_PASSWORD.")
]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, show_default="7870, or the next free one", help="0: any free one.")
]
Password = Annotated[
    str | None,
    typer.Option(
        envvar=PASSWORD,
        help=f"Asked of every visitor. Better set in the environment variable {PASSWORD}: every user of this "
        "machine can see the options of a command.",
    ),
]
AllowedHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allowed-host",
        help="Name that visitors reach the page by, such as a proxy's; repeat for several, `*` for any.",
        show_default=False,
    ),
]


@app.command()
def studio(
    ctx: typer.Context,
    folder: Folder = None,
    demo: Demo = False,
    tags: Annotated[
        Path | None,
        typer.Option(
            "--tags",
            help="Begin with these tags: a file or folder in any format that `train` reads, or FOLDER itself where "
            "its subfolders are classes.",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", help="Look at FOLDER with the network of this run, which was trained on other images."),
    ] = None,
    host: Host = "127.0.0.1",
    port: Port = None,
    password: Password = None,
    allowed_hosts: AllowedHosts = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Pretrained weights for suggestions and training: a folder or file of safetensors, package or hub.",
            show_default="the package if it is installed, else the hub",
        ),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in this machine's browser.")
    ] = True,
    device: Device = "auto",
) -> None:
    """Tag, train, correct masks and export them, in one page."""
    from tag2mask.core.extras import check_installed

    check_installed("studio", "the studio")
    check_installed("train", "the studio")
    if demo and folder is not None and folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder}: --demo needs a new folder; open this one without --demo")
    if folder is None and not demo:
        raise ConfigError("give a folder of images, or --demo")
    check_password(ctx, host, password)
    from tag2mask.studio.serve import serve_studio

    place = _demo_images(folder) if demo else folder
    assert place is not None
    serve_studio(
        place,
        tags=tags,
        run=run,
        host=host,
        port=port,
        password=password,
        allowed_hosts=allowed_hosts or (),
        weights=weights,
        device=device,
        open_browser=browser,
    )


@app.command(name="app", hidden=True)
def application(
    ctx: typer.Context,
    run: Folder = None,
    demo: Demo = False,
    host: Host = "127.0.0.1",
    port: Port = None,
    password: Password = None,
    allowed_hosts: AllowedHosts = None,
    palette: Annotated[str | None, typer.Option(help="Without effect: the page has colours of each class.")] = None,
    device: Device = "auto",
) -> None:
    """Open the studio: `tag2mask app` is its name of before."""
    _log.warning("`tag2mask app` is now `tag2mask studio`")
    if palette is not None:
        _log.warning("--palette has no effect any more: choose colours of classes in the page")
    studio(ctx, run, demo, host=host, port=port, password=password, allowed_hosts=allowed_hosts, device=device)


def _demo_images(folder: Path | None) -> Path:
    """Images of the demo, without tags, in a folder: the one that was given, or the next free one here."""
    from tag2mask.demo.scenes import write_images

    if folder is None:
        number = next(number for number in range(1, 10_000) if not Path(f"tag2mask-demo-{number}").exists())
        folder = Path(f"tag2mask-demo-{number}")
    write_images(folder, DEMO_IMAGES, seed=0)
    say(
        f"{DEMO_IMAGES} images without tags are in {folder}; open them again with: tag2mask studio {folder}",
        result=True,
    )
    return folder
