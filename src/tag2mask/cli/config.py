"""`tag2mask config`: the settings as resolved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tag2mask.cli.common import app, parse_settings, refuse


@app.command()
def config(
    config: Annotated[
        Path | None, typer.Option("--config", help="YAML file of settings, or a preset: objects, surfaces, frozen.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A setting, e.g. --set data.image_size=256. Repeatable.")
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of such files instead, for editors.")
    ] = False,
) -> None:
    """Print every setting as YAML: the defaults, those of a file, and those given singly."""
    from tag2mask.config.load import load_config
    from tag2mask.config.schema import Config
    from tag2mask.config.schema_json import schema_text

    if schema:
        refuse({"--config": config, "--set": set_}, "not with --schema, which is of all settings")
        typer.echo(schema_text(), nl=False)
        return
    chosen = Config() if config is None else load_config(config)
    typer.echo(chosen.override(parse_settings(set_ or [])).to_yaml(), nl=False)
