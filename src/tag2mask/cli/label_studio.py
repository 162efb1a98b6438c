"""`tag2mask label-studio`: a backend for Label Studio."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tag2mask.cli.common import Device, PredictionSet, app, parse_settings
from tag2mask.cli.password import PASSWORD, check_password
from tag2mask.core.errors import ConfigError


class _Shapes(StrEnum):
    AUTO = "auto"
    BRUSH = "brush"
    POLYGON = "polygon"


@app.command(name="label-studio")
def label_studio(
    ctx: typer.Context,
    model: Annotated[
        Path | None,
        typer.Argument(
            help="Folder that `tag2mask train` wrote, user/name on the Hugging Face Hub, or an ONNX file.",
            show_default="the newest run of --project",
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(envvar="LABEL_STUDIO_URL", help="Address of Label Studio, such as http://localhost:8080."),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="LABEL_STUDIO_API_KEY",
            help="Access token of Label Studio, legacy or personal, to fetch images. Better set in the environment "
            "variable: every user of this machine can see the options of a command.",
        ),
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of images on this machine, such as that of local storage. Repeatable."),
    ] = None,
    image_hosts: Annotated[
        list[str] | None,
        typer.Option("--image-host", help="Another host that images are fetched from, HOST or HOST:PORT. Repeatable."),
    ] = None,
    shapes: Annotated[_Shapes, typer.Option(help="Of predictions; auto: brush where the interface has one.")] = (
        _Shapes.AUTO
    ),
    tags_field: Annotated[
        str | None, typer.Option(help="Field of a task's data with the names of the classes that are present.")
    ] = None,
    project: Annotated[
        Path | None, typer.Option(help="Folder of images into whose folder `tag2mask` annotations go, to train from.")
    ] = None,
    tags: Annotated[
        Path | None, typer.Option("--tags", help="File of tags, in any format, that a new project begins with.")
    ] = None,
    train_after: Annotated[
        int, typer.Option(min=0, help="Train after so many images were annotated; 0: only by its button.")
    ] = 0,
    train_options: Annotated[
        str | None, typer.Option(help="More options of `train`, as one text: '--epochs 10 --weights package'.")
    ] = None,
    set_: PredictionSet = None,
    interface: Annotated[
        bool, typer.Option("--interface", help="Print a labelling interface for this model, and end.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but loopback needs a password, best in TAG2MASK_PASSWORD.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 9090,
    password: Annotated[
        str | None,
        typer.Option(envvar=PASSWORD, help="That Label Studio has to send, with the user name tag2mask."),
    ] = None,
    allowed_hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            help="Name that Label Studio reaches this server by, such as host.docker.internal; repeat for several, `*` "
            "for any.",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
) -> None:
    """Predict in Label Studio, and train from what is annotated there."""
    if interface:
        _print_interface(model, shapes)
        return
    check_password(ctx, host, password)
    from tag2mask.deploy.label_studio.backend import PredictionOptions
    from tag2mask.deploy.label_studio.server import ImageOptions, ProjectOptions, serve_label_studio
    from tag2mask.deploy.label_studio.training import TrainingPlan

    given = None if model is None else model / "config.yaml"
    plan = TrainingPlan(
        train_after, shlex.split(train_options or ""), given if given is not None and given.is_file() else None
    )
    serve_label_studio(
        model,
        images=ImageOptions(url, token, images or (), image_hosts or ()),
        project=ProjectOptions(project, tags, plan),
        predictions=PredictionOptions(shapes.value, tags_field),
        options=parse_settings(set_ or []),
        host=host,
        port=port,
        password=password,
        allowed_hosts=allowed_hosts or (),
        device=device,
    )


def _print_interface(model: Path | None, shapes: _Shapes) -> None:
    """A labelling interface for a model; nothing else is printed, so that it can go into a file."""
    from tag2mask.deploy.label_studio.interface import suitable_interface
    from tag2mask.inference.segmenter import Segmenter

    if model is None:
        raise ConfigError("--interface: give the model whose classes it shall have")
    typer.echo(suitable_interface(Segmenter.from_pretrained(model).classes, shapes.value), nl=False)
