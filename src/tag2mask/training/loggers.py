"""Where curves go besides `metrics.jsonl`: Lightning's own loggers."""

from __future__ import annotations

import inspect
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.pytorch import loggers as known
from lightning.pytorch.loggers import Logger

from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError

FOLDER = "logs"

_SHORT = {
    "tensorboard": "TensorBoardLogger",
    "csv": "CSVLogger",
    "wandb": "WandbLogger",
    "mlflow": "MLFlowLogger",
    "comet": "CometLogger",
    "litlogger": "LitLogger",
}
"""Lightning's classes by short names."""

_PACKAGES = {
    "TensorBoardLogger": ("tensorboard", "tensorboardX"),
    "WandbLogger": ("wandb",),
    "MLFlowLogger": ("mlflow",),
    "CometLogger": ("comet_ml",),
    "LitLogger": ("litlogger",),
}
"""Modules of which a logger needs one. Lightning says so too, but only when the logger is made, which starts a run."""

_log = logging.getLogger(__name__)


def check_loggers(config: Config) -> None:
    """Check, before any work, that the loggers that a configuration names can be made; none is.

    Raises:
        ConfigError: Lightning has no such logger, what it needs is not installed, or its arguments do not fit.
    """
    for name in config.training.loggers:
        maker = _maker(name)
        try:
            inspect.signature(maker).bind(**_arguments(config, name, maker, Path()))
        except TypeError as error:
            raise _misfit(name, error) from None
        packages = _PACKAGES.get(maker.__name__, ())
        if not packages or any(find_spec(package) is not None for package in packages):
            continue
        install = f"`pip install {packages[0].replace('_', '-')}`"
        if name not in ("tensorboard", "TensorBoardLogger"):
            raise ConfigError(
                f"training.loggers: {name} needs the package {packages[0]}, which is not installed; {install}, or "
                "choose csv or tensorboard"
            )
        _log.warning("no curves for TensorBoard: %s to have them", install)


def make_loggers(config: Config, out: Path) -> list[Logger]:
    """The loggers that a configuration names; their files lie in `out`/logs.

    Raises:
        ConfigError: Lightning has no such logger, what it needs is not installed, or its arguments do not fit.
    """
    chosen: list[Logger] = []
    for name in config.training.loggers:
        maker = _maker(name)
        try:
            chosen.append(maker(**_arguments(config, name, maker, out)))
        except ModuleNotFoundError as error:
            if maker.__name__ != "TensorBoardLogger":  # the default; `check_loggers` has said it
                raise ConfigError(f"training.loggers: {name} needs a package that is not installed: {error}") from None
        except TypeError as error:
            raise _misfit(name, error) from None
    return chosen


def _maker(name: str) -> type[Logger]:
    """Lightning's class of a logger."""
    maker: Any = getattr(known, _SHORT.get(name, name), None)
    if not inspect.isclass(maker) or not issubclass(maker, Logger):
        available = ", ".join(sorted(one for one in known.__all__ if one.endswith("Logger") and one != "Logger"))
        raise ConfigError(f"training.loggers: Lightning has no {name!r}; there are {', '.join(_SHORT)}, {available}")
    return maker


def _arguments(config: Config, name: str, maker: type[Logger], out: Path) -> dict[str, Any]:
    given = dict(config.training.logger_args.get(name, {}))
    if maker.__name__ not in ("TensorBoardLogger", "CSVLogger"):
        return given
    version = "" if maker.__name__ == "TensorBoardLogger" else "csv"
    return {"save_dir": out, "name": FOLDER, "version": version} | given


def _misfit(name: str, error: TypeError) -> ConfigError:
    return ConfigError(f"training.logger_args: {name} does not take these arguments: {error}")
