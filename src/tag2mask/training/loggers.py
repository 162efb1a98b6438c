"""Where curves go besides `metrics.jsonl`: Lightning's own loggers."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path

from lightning.pytorch import loggers as known
from lightning.pytorch.loggers import Logger

from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError

FOLDER = "logs"

_log = logging.getLogger(__name__)


def make_loggers(config: Config, out: Path) -> list[Logger]:
    """The loggers that a configuration names; their files lie in `out`/logs.

    Raises:
        ConfigError: Lightning has no such logger, what it needs is not installed, or its arguments do not fit.
    """
    chosen: list[Logger] = []
    for name in config.training.loggers:
        arguments = dict(config.training.logger_args.get(name, {}))
        kind = {"tensorboard": "TensorBoardLogger", "csv": "CSVLogger"}.get(name, name)
        maker = getattr(known, kind, None)
        if not inspect.isclass(maker) or not issubclass(maker, Logger):
            available = ", ".join(sorted(one for one in known.__all__ if one.endswith("Logger") and one != "Logger"))
            raise ConfigError(f"training.loggers: Lightning has no {name!r}; there are tensorboard, csv, {available}")
        if kind in {"TensorBoardLogger", "CSVLogger"}:
            version = "" if kind == "TensorBoardLogger" else "csv"
            arguments = {"save_dir": out, "name": FOLDER, "version": version} | arguments
        try:
            chosen.append(maker(**arguments))
        except ModuleNotFoundError as error:
            if name != "tensorboard":
                raise ConfigError(f"training.loggers: {name} needs a package that is not installed: {error}") from None
            _log.warning("no curves for TensorBoard: `pip install tensorboard` to have them")
        except TypeError as error:
            raise ConfigError(f"training.logger_args: {name} does not take these arguments: {error}") from None
    return chosen
