"""The pretrained feature network: any timm model with `features_only`, and its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tag2mask.core.errors import ConfigError, WeightsError
from tag2mask.models.packaged_weights import INSTALL, packaged_instead, packaged_state

_NORMS = (nn.modules.batchnorm._BatchNorm,)

INPUT_MULTIPLE = 32
"""Height and width of the input are multiples of it, so that the grids of all stages fit together."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a backbone wants its input: `(image / 255 - mean) / std`, RGB order."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Backbone(nn.Module):
    """A timm feature network.

    Attributes:
        channels: channels of each stage, first to last.
        strides: input size / feature size of each stage.
        preprocessing: input normalisation the weights were trained with.
    """

    def __init__(
        self,
        name: str,
        *,
        output_stride: int,
        freeze_norm: bool,
        freeze_stages: int = 0,
        args: Mapping[str, Any] | None = None,
    ):
        """Build the network with random weights.

        Args:
            name: timm model name.
            output_stride: input size / size of the last features.
            freeze_norm: keep batch statistics and their affine weights as they were loaded.
            freeze_stages: so many first stages do not learn.
            args: further arguments of `timm.create_model`.

        Raises:
            ConfigError: unknown name, or a network without feature maps at this output stride.
        """
        super().__init__()
        self.name = name
        self.freeze_norm = freeze_norm
        self.net = _create(name, output_stride, dict(args or {}))
        info: Any = self.net.feature_info
        self.channels: tuple[int, ...] = tuple(info.channels())
        self.strides: tuple[int, ...] = tuple(min(int(r), output_stride) for r in info.reduction())
        self.preprocessing = _preprocessing(name)
        self._freeze_stages(freeze_stages)
        self.train()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map normalised images (B, 3, H, W) to the features of every stage, [(B, C_i, H_i, W_i)]."""
        features: list[Tensor] = self.net(images)
        return features

    def train(self, mode: bool = True) -> Backbone:
        """Switch between training and evaluation; frozen batch norm stays in evaluation."""
        super().train(mode)
        if self.freeze_norm:
            for module in self.modules():
                if isinstance(module, _NORMS):
                    module.eval()
                    for parameter in module.parameters():
                        parameter.requires_grad_(False)
        return self

    def share_stages(self, other: Backbone, count: int) -> None:
        """Use the parameters of `other`, a backbone of the same kind, in the first `count` stages.

        Raises:
            ConfigError: there are not that many stages.
        """
        shared = other._of_stages(count, "paper.shared_stages")
        theirs = dict(other.named_parameters())
        for name in [name for name, parameter in theirs.items() if id(parameter) in shared]:
            place, _, leaf = name.rpartition(".")
            setattr(self.get_submodule(place), leaf, theirs[name])

    def _freeze_stages(self, count: int) -> None:
        """Stop the gradient of all parameters that the first `count` stages depend on."""
        frozen = self._of_stages(count, "model.freeze_stages")
        for parameter in self.parameters():
            if id(parameter) in frozen:
                parameter.requires_grad_(False)

    def _of_stages(self, count: int, option: str) -> set[int]:
        """Identities of the parameters that the first `count` stages depend on."""
        if not count:
            return set()
        if count > len(self.channels):
            raise ConfigError(
                f"{option} is {count}, but '{self.name}' has {len(self.channels)} stages; give at most that"
            )
        was_training = self.training
        self.eval()
        parameters = list(self.parameters())
        wanted = [parameter.requires_grad for parameter in parameters]
        for parameter in parameters:
            parameter.requires_grad_(True)
        with torch.enable_grad():
            stage = self.net(torch.zeros(1, 3, 64, 64))[count - 1]
            gradients = torch.autograd.grad(stage.sum(), parameters, allow_unused=True)
        for parameter, before in zip(parameters, wanted, strict=True):
            parameter.requires_grad_(before)
        self.train(was_training)
        return {id(one) for one, gradient in zip(parameters, gradients, strict=True) if gradient is not None}


def load_backbone_weights(backbone: Backbone, weights: str) -> None:
    """Load pretrained weights in place.

    Args:
        backbone: the network to fill.
        weights: 'hub' (timm downloads them), 'package' (in an installed Python package, see
            `tag2mask.models.packaged_weights`), 'none' (stay random), or a safetensors file whose keys are timm's; a
            classifier is left out, half precision is widened.

    Raises:
        ConfigError: no package has weights of this backbone.
        WeightsError: no such file, damaged file, weights of another network, or the hub cannot be reached.
    """
    if weights == "none":
        return
    if weights == "hub":
        state = _hub_state(backbone.name)
    elif weights == "package":
        state = packaged_state(backbone.name)
    else:
        state = read_safetensors(Path(weights))
    own = backbone.net.state_dict()
    # timm renames some modules in its feature networks: `a.0.b` may become `a_0.b`.
    given = {key.replace(".", "_"): key for key in state}
    origin = {key: given.get(key.removeprefix("model.").replace(".", "_")) for key in own}
    missing = [key for key, source in origin.items() if source is None and not key.endswith("num_batches_tracked")]
    found = {key: state[source] for key, source in origin.items() if source is not None}
    wrong = [key for key, tensor in found.items() if tensor.shape != own[key].shape]
    if missing or wrong:
        trouble = (
            f"{len(missing)} of {len(own)} tensors are missing (first: '{missing[0]}')"
            if missing
            else (f"'{wrong[0]}' is {tuple(found[wrong[0]].shape)}, expected {tuple(own[wrong[0]].shape)}")
        )
        raise WeightsError(
            f"{weights}: these weights are not those of '{backbone.name}': {trouble}; "
            "give the file that belongs to this backbone, or the backbone that belongs to this file"
        )
    broken = next((key for key, tensor in found.items() if not torch.isfinite(tensor.float()).all()), None)
    if broken is not None:
        raise WeightsError(f"{weights}: '{broken}' holds NaN or infinite values; the file is damaged")
    backbone.net.load_state_dict(found, strict=False)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file.

    Raises:
        WeightsError: no such file, or it is damaged or of another format.
    """
    if not path.is_file():
        raise WeightsError(
            f"{path}: no such weights file; give a safetensors file, 'hub' or 'none', or 'package' for weights from "
            "the Python index"
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path}: cannot read this as safetensors ({error}); the file is damaged or of another format "
            "(pickled checkpoints are not accepted)"
        ) from None


def _hub_state(name: str) -> dict[str, Tensor]:
    try:
        return dict(timm.create_model(name, pretrained=True).state_dict())
    except Exception as error:  # timm and the hub raise many kinds; all mean the same to the user
        reason = f"{type(error).__name__}: {error}".strip().partition("\n")[0]
        settings = " ".join(f"`{setting}`" for setting in packaged_instead(name))
        config = timm.get_pretrained_cfg(name)
        known_as = f" (on the hub: model.safetensors of {config.hf_hub_id})" if config and config.hf_hub_id else ""
        raise WeightsError(
            f"cannot get the pretrained weights of '{name}' from the hub ({reason}); choose one of:\n"
            f"1. a safetensors file of them{known_as}: `model.weights=FILE`\n"
            f"2. ImageNet weights from the Python index: {INSTALL}, then {settings}\n"
            "3. a mirror of the hub: set the environment variable HF_ENDPOINT to its address"
        ) from error


def similar(name: str, known: Sequence[str], count: int = 3) -> list[str]:
    """The most similar of the known names, those with the same beginning first."""

    def likeness(other: str) -> float:
        same = takewhile(lambda pair: pair[0] == pair[1], zip(name, other, strict=False))
        beginning = len(list(same)) / max(1, len(name))
        return SequenceMatcher(None, name, other).ratio() + beginning / 2

    return sorted(known, key=likeness, reverse=True)[:count]


def _create(name: str, output_stride: int, args: dict[str, Any]) -> nn.Module:
    if not timm.is_model(name):
        raise ConfigError(
            f"unknown backbone '{name}'; near: {', '.join(similar(name, timm.list_models()))}; "
            "timm.list_models() lists all"
        )
    reasons = []
    for extra in ({"output_stride": output_stride}, {"dynamic_img_size": True}, {}):
        try:
            net = timm.create_model(name, pretrained=False, features_only=True, **extra, **args)
        except (TypeError, AssertionError, RuntimeError, NotImplementedError, AttributeError, ValueError) as error:
            reasons.append(f"{error}")
            continue
        info: Any = net.feature_info
        stride = int(info.reduction()[-1])
        if "output_stride" in extra or stride == output_stride:
            return net
        if isinstance(net, nn.ModuleDict) and any(isinstance(module, nn.MaxPool2d) for module in net.children()):
            _dilate(net, output_stride)
            return net
        raise ConfigError(
            f"backbone '{name}' has output stride {stride} and cannot be changed to {output_stride}; "
            f"set model.output_stride to {stride}"
            + ("" if stride in (8, 16, 32) else ", which is not supported: choose another backbone")
        )
    raise ConfigError(f"backbone '{name}' has no feature maps to build on ({reasons[-1]}); choose another one")


def _dilate(net: nn.ModuleDict, output_stride: int) -> None:
    """Turn a plain sequence of convolutions and poolings (VGG) into one of a smaller stride.

    Poolings past `output_stride` keep the size (3 x 3, stride 1) and the convolutions after them are
    dilated, as DeepLab does (Chen et al., ICLR 2015, arXiv:1412.7062).
    """
    stride, dilation = 1, 1
    for name, module in list(net.items()):
        if isinstance(module, nn.MaxPool2d):
            if stride < output_stride:
                stride *= 2
            else:
                dilation *= 2
                net[name] = nn.MaxPool2d(kernel_size=3, stride=1, padding=1)
        elif isinstance(module, nn.Conv2d) and dilation > 1:
            module.dilation = (dilation, dilation)
            module.padding = (dilation, dilation)


def _preprocessing(name: str) -> Preprocessing:
    config = timm.get_pretrained_cfg(name)
    mean = config.mean if config is not None else (0.485, 0.456, 0.406)
    std = config.std if config is not None else (0.229, 0.224, 0.225)
    if len(mean) != 3 or len(std) != 3:
        raise ConfigError(f"backbone '{name}' does not take RGB images; choose another one")
    return Preprocessing((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))
