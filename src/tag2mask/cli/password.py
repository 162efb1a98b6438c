"""The password of pages that others can reach."""

from __future__ import annotations

import logging

import typer

from tag2mask.core.errors import ConfigError

PASSWORD = "TAG2MASK_PASSWORD"
"""Environment variable with the password."""

_log = logging.getLogger(__name__)


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
