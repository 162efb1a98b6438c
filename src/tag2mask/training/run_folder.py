"""The folder of a run before and between trainings: is it free, does it hold the run to resume, what is in it?"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from tag2mask.config.load import load_yaml, parse_stored_config
from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.files import make_folder, sweep_temporary, write_text
from tag2mask.core.lock import LOCK, locked
from tag2mask.data import UNPACKED, Dataset
from tag2mask.inference.folder import ABOUT
from tag2mask.inference.review import TABLE, read_review
from tag2mask.models.checkpoint import RunFolder
from tag2mask.training.schedule import choose_epochs

CHANGEABLE = ("training.epochs", "training.samples", "data.workers")
"""Settings that may change when a run goes on: the first two may be raised."""


@contextmanager
def run_folder(folder: Path) -> Iterator[None]:
    """Make the folder of a run and hold it while the context lasts: two trainings must not write into one.

    On an error (and on an interruption) the folders that were made are removed again where they are still empty, so
    that a training that could not begin leaves nothing behind.

    Raises:
        DataError: it cannot be written to, or another process holds it.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    make_folder(folder)
    try:
        with locked(folder):
            sweep_temporary(folder)
            yield
    except BaseException:
        with suppress(OSError):  # the first that is not empty
            for path in made:
                path.rmdir()
        raise


def has_begun(run: RunFolder) -> bool:
    """Whether there is anything to go on with: a state of the end of an epoch, or a trained network."""
    return run.config.is_file() and (run.last_checkpoint.is_file() or run.weights.is_file())


def epochs_done(run: RunFolder) -> int:
    """Epochs that need not be trained again.

    Raises:
        DataError: the file with the state to resume from is damaged.
    """
    if not run.last_checkpoint.is_file():
        return 0
    try:
        state = torch.load(run.last_checkpoint, map_location="cpu", weights_only=True, mmap=True)
        return int(state["epoch"]) + 1
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError) as error:
        raise DataError(
            f"{run.last_checkpoint}: cannot read it ({str(error).partition(chr(10))[0]}), it is damaged; remove it to "
            "train from the beginning, or start a new run with another `out`"
        ) from None


def what_was_kept(run: RunFolder) -> str:
    """A sentence on what an interrupted training has left in its folder."""
    if not run.config.is_file():
        return "nothing was written yet"
    try:
        done = epochs_done(run)
    except DataError as error:
        return str(error)
    if not done:
        return "the first epoch had not ended, so no training is kept"
    images = len(Dataset.from_dict(json.loads(run.collection.read_text(encoding="utf-8"))).records)
    epochs = choose_epochs(parse_stored_config(load_yaml(run.config), source=str(run.config)), images)
    if done < epochs or not run.weights.is_file():
        return f"{done} of {epochs} epochs are kept"
    masks = len(read_review(run.masks)) if (run.masks / TABLE).is_file() else 0
    return f"the trained network is kept, and {masks} of {images} masks"


def has_stale_masks(run: RunFolder, fingerprint: str) -> bool:
    """Whether the masks of the training images come from an earlier network of this run, which then trained further.

    Args:
        run: the folder.
        fingerprint: of the network as it is now.
    """
    try:
        return bool(json.loads((run.masks / ABOUT).read_text(encoding="utf-8"))["network"] != fingerprint)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def check_folder(run: RunFolder, dataset: Dataset, config: Config, *, resume: bool) -> None:
    """Check the folder against the request. A run whose first epoch has not ended counts as none: it is begun again.

    Args:
        run: the folder, which exists.
        dataset: what is to be trained on.
        config: as resolved.
        resume: go on with the run there.

    Raises:
        ConfigError: there is a run already (and `resume` is off), or none to resume, or it had other settings.
        DataError: the run to resume had other images, tags or classes.
    """
    if has_begun(run):
        if not resume:
            raise ConfigError(
                f"{run.root}: there is a run here already; continue it with `resume=True` (and a larger "
                "training.epochs, if it has ended), or choose another `out`"
            )
        _check_same(run, dataset, config)
        return
    if run.config.is_file():
        return
    if run.weights.is_file():
        raise ConfigError(f"{run.root}: there is a trained network here, without its run; choose another `out`")
    ours = {run.collection.name, run.given.name, UNPACKED, LOCK}
    if resume and {path.name for path in run.root.iterdir()} - ours:
        raise ConfigError(f"{run.root}: nothing to resume here (no config.yaml); leave out `resume=True`")


def describe_run(run: RunFolder, dataset: Dataset, config: Config, *, given: str) -> None:
    """Write into the folder what the run is; of a run that goes on, what is new.

    Args:
        run: the folder.
        dataset: what is to be trained on.
        config: as resolved.
        given: YAML of the configuration as the user gave it.
    """
    if has_begun(run):
        if _stored_config(run) == config:
            return
    else:
        write_text(run.collection, json.dumps(dataset.to_dict(), ensure_ascii=False, indent=1))
    write_text(run.given, given or "{}\n")
    write_text(run.config, config.to_yaml())


def _check_same(run: RunFolder, dataset: Dataset, config: Config) -> None:
    try:
        before = Dataset.from_dict(json.loads(run.collection.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DataError(f"{run.collection}: cannot read it ({error}); start a new run with another `out`") from None
    if before.classes != dataset.classes:
        raise DataError(
            f"{run.root}: this run has the classes {list(before.classes)}, the dataset has {list(dataset.classes)}; "
            "resume with the same tags, or start a new run with another `out`"
        )
    now = Dataset.from_dict(json.loads(json.dumps(dataset.to_dict())))
    if before.records != now.records:
        raise DataError(
            f"{run.root}: the images or tags have changed since this run began "
            f"({len(before.records)} images then, {len(now.records)} now); "
            "resume with the same ones, or start a new run with another `out`"
        )
    _check_settings(run, config, images=len(now.records))


def _check_settings(run: RunFolder, config: Config, *, images: int) -> None:
    stored = _stored_config(run)
    differing = _differences(_comparable(stored), _comparable(config))
    fixed = [text for name, text in differing.items() if name not in CHANGEABLE]
    if fixed:
        raise ConfigError(
            f"{run.root}: other settings than when this run began: {'; '.join(fixed)}; resume with the same ones, or "
            "start a new run with another `out`. A run that goes on may have more epochs (training.epochs, "
            "training.samples) and another number of data.workers"
        )
    epochs, wanted = choose_epochs(stored, images), choose_epochs(config, images)
    if wanted < epochs:
        raise ConfigError(
            f"{run.root}: this run has {epochs} epochs, fewer cannot be resumed ({wanted} were asked for); resume with "
            f"`training.epochs={epochs}` or more, or start a new run with another `out`"
        )


def _stored_config(run: RunFolder) -> Config:
    return parse_stored_config(load_yaml(run.config), source=str(run.config))


def _comparable(config: Config) -> dict[str, Any]:
    """Settings by section, the weights of companions named also where they are left out."""
    tree = config.model_dump(mode="json")
    for companion, (_, weights) in zip(tree["model"]["companions"], config.model.backbone_weights()[1:], strict=True):
        companion["weights"] = weights
    return tree


def _differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """What differs, by dotted name."""
    lines: dict[str, str] = {}
    for key, value in before.items():
        if isinstance(value, dict) and isinstance(now.get(key), dict):
            lines |= _differences(value, now[key], f"{prefix}{key}.")
        elif value != now.get(key):
            lines[f"{prefix}{key}"] = f"{prefix}{key} was {value}, is {now.get(key)}"
    return lines
