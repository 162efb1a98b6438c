"""The folder of a run: where each file is, and how the trained network is stored in it.

config.yaml        as resolved; config.given.yaml as given; recipe.json: the class maps that were chosen, and why
collection.json    what it was trained on
model.safetensors  weights; model.yaml: classes, backbone, preprocessing
checkpoints/       for resuming only
masks/             masks of the training images; result.json: what was skipped, and their score
metrics.jsonl      a line an epoch; progress.json: how far the training is
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import save as serialise

from tag2mask.config.load import load_yaml, parse_stored_config
from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError, DataError, WeightsError
from tag2mask.core.files import atomic_path, write_text
from tag2mask.core.lock import locked
from tag2mask.models import SegmentationNetwork, build_network, read_safetensors

FORMAT_VERSION = 2
"""Of model.yaml; 1 had other names of settings, which `tag2mask.config.migrate` knows."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths inside a run's folder."""

    root: Path

    @property
    def config(self) -> Path:
        """The configuration as resolved."""
        return self.root / "config.yaml"

    @property
    def given(self) -> Path:
        """The configuration as the user gave it."""
        return self.root / "config.given.yaml"

    @property
    def recipe(self) -> Path:
        """Which class maps were chosen by measurement, and why."""
        return self.root / "recipe.json"

    @property
    def collection(self) -> Path:
        """What the run was trained on."""
        return self.root / "collection.json"

    @property
    def weights(self) -> Path:
        """The trained network's weights."""
        return self.root / "model.safetensors"

    @property
    def model(self) -> Path:
        """Classes, backbone and preprocessing of the trained network."""
        return self.root / "model.yaml"

    @property
    def checkpoints(self) -> Path:
        """Folder of the states to resume from."""
        return self.root / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        """The newest state to resume from."""
        return self.checkpoints / "last.ckpt"

    @property
    def training_masks(self) -> Path:
        """Folder of the masks that the segmentation stream learns from, updated during training."""
        return self.root / "training-masks"

    @property
    def features(self) -> Path:
        """Folder of the frozen features, during training."""
        return self.root / "features"

    @property
    def masks(self) -> Path:
        """Folder of the training images' masks."""
        return self.root / "masks"

    @property
    def result(self) -> Path:
        """What was skipped, and the score of the training images' masks."""
        return self.root / "result.json"

    @property
    def metrics(self) -> Path:
        """Losses, a JSON line an epoch."""
        return self.root / "metrics.jsonl"

    @property
    def progress(self) -> Path:
        """How far the training is; see `tag2mask.training.progress_file`."""
        return self.root / "progress.json"


def save_model(run: RunFolder, network: SegmentationNetwork, classes: tuple[str, ...], config: Config) -> None:
    """Write the trained network: weights as safetensors, the rest as YAML, each atomically."""
    # Cloned: safetensors refuses tensors that share memory, as those of shared stages do.
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}
    with atomic_path(run.weights) as temporary:
        # Not `save_file`: it puts a file of its own, readable by its owner alone, in place of ours.
        temporary.write_bytes(serialise(state, metadata={"format": "pt", "tag2mask": str(FORMAT_VERSION)}))
    preprocessing = network.backbone.preprocessing
    tree = {
        "format_version": FORMAT_VERSION,
        "classes": list(classes),
        "preprocessing": {
            "colour_order": "RGB",
            "range": "0..1, then (x - mean) / std",
            "mean": list(preprocessing.mean),
            "std": list(preprocessing.std),
        },
        "config": config.model_dump(mode="json"),
    }
    write_text(run.model, yaml.safe_dump(tree, sort_keys=False, allow_unicode=True))


def write_prediction_options(run: RunFolder, options: Mapping[str, Any]) -> None:
    """Change settings of prediction of a trained network, in its `model.yaml`, atomically.

    `config.yaml` stays what the run was trained with: training that goes on compares with it.

    Args:
        run: its folder.
        options: by dotted name, such as `prediction.crf.enabled`.

    Raises:
        ConfigError: an unknown setting, a value out of range, or one that only training has.
        DataError: there is no trained network, or another process writes the folder.
    """
    for name in options:
        if not name.startswith("prediction."):
            raise ConfigError(f"{name}: a trained network takes settings of prediction alone, e.g. prediction.gate")
    if not run.model.is_file():
        raise DataError(f"{run.root}: there is no trained network here; give the folder that `tag2mask train` wrote")
    with locked(run.root, remedy="or try again when it has ended"):
        tree = load_yaml(run.model)
        config = parse_stored_config(tree.get("config") or {}, source=str(run.model)).override(options)
        tree |= {"format_version": FORMAT_VERSION, "config": config.model_dump(mode="json")}
        write_text(run.model, yaml.safe_dump(tree, sort_keys=False, allow_unicode=True))


def load_model(run: RunFolder) -> tuple[SegmentationNetwork, tuple[str, ...], Config]:
    """Read a trained network, in evaluation mode.

    Raises:
        DataError: the folder holds no finished run.
        WeightsError: its files are damaged or do not belong together.
    """
    if not run.root.is_dir():
        if run.root.is_file():
            raise DataError(
                f"{run.root}: this is a file, and what was asked for needs the folder of a run; a network that was "
                "exported as ONNX predicts alone, so give the folder that it was exported from"
            )
        raise DataError(f"{run.root}: no such run; give the folder that `tag2mask train` wrote")
    if not run.model.is_file() or not run.weights.is_file():
        hint = (
            "its training has not ended: train again with the same arguments and `resume=True`"
            if run.checkpoints.is_dir()
            else "give the folder that `tag2mask train` wrote"
        )
        raise DataError(f"{run.root}: there is no trained network here; {hint}")
    tree = load_yaml(run.model)
    try:
        version, classes = tree["format_version"], tuple(str(name) for name in tree["classes"])
        if version not in range(1, FORMAT_VERSION + 1):
            raise ConfigError(
                f"{run.model}: format {version}, this version reads up to {FORMAT_VERSION}; update tag2mask"
            )
        config = parse_stored_config(tree["config"], source=str(run.model))
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{run.model}: {error} is missing; this file is damaged") from None
    network = build_network(config, len(classes), pretrained=False)
    state = read_safetensors(run.weights)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise WeightsError(f"{run.weights}: these weights do not belong to {run.model}: {first}") from None
    return network.eval(), classes, config
