"""The pretrained feature network: any timm model, or one of another package, that yields feature maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from tag2mask.core.errors import ConfigError
from tag2mask.models.backbones.adapt import fit, head_layers, last_norm, normed, preprocessing_of, to_maps
from tag2mask.models.backbones.attention import Attention, attention_layers, recorded, split_tokens
from tag2mask.models.backbones.plan import plan_network
from tag2mask.models.backbones.plugins import is_plugin, plugin_preprocessing
from tag2mask.models.backbones.reached import reached_parameters
from tag2mask.models.backbones.weights import load_backbone_weights, log_origins, read_safetensors, require_weights

__all__ = [
    "Attention",
    "Backbone",
    "Preprocessing",
    "load_backbone_weights",
    "log_origins",
    "read_safetensors",
    "require_weights",
]

_NORMS = (nn.modules.batchnorm._BatchNorm,)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a backbone wants its input: `(image / 255 - mean) / std`, RGB order."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Backbone(nn.Module):
    """A timm feature network.

    Its stages are those that timm's `features_only` has; of a plain vision transformer, four evenly spaced blocks, the
    last one after the final norm, without class and register tokens.

    Attributes:
        plan: how the network is built, and what it takes and gives.
        net: timm's network.
        head: the convolution before the classifier, with its norm and activation, where it was asked for; else None.
        channels: channels of each stage, first to last.
        strides: input size / feature size of each stage; where the network takes only one size, of that size.
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
        with_head: bool = False,
    ):
        """Build the network with random weights.

        Args:
            name: timm model name, or that of a backbone of another package.
            output_stride: input size / size of the last features. A network that cannot have 16, the default of the
                settings, keeps its own, which is logged; any other that it cannot have is an error.
            freeze_norm: keep batch statistics and their affine weights as they were loaded.
            freeze_stages: so many first stages do not learn.
            args: further arguments of `timm.create_model`.
            with_head: one more, last stage: the features after the convolution before the classifier, where the
                network has one (EfficientNet, MobileNet).

        Raises:
            ConfigError: unknown name, a network without feature maps or without this output stride, or too large.
        """
        super().__init__()
        self.name = name
        self.freeze_norm = freeze_norm
        plugin = is_plugin(name)
        if not plugin:
            mean, std = preprocessing_of(name)
        self.plan = plan_network(name, output_stride, args or {})
        self.net = self.plan.build()
        if plugin:
            mean, std = plugin_preprocessing(self.net)
        self.preprocessing = Preprocessing((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))
        self.channels: tuple[int, ...] = self.plan.probe.channels
        self.strides: tuple[int, ...] = self.plan.probe.strides
        self.head: nn.Module | None = None
        layers = head_layers(self.plan) if with_head and not plugin else None
        if layers is not None:
            self.head = layers[0]
            self.channels, self.strides = (*self.channels, layers[1]), (*self.strides, self.strides[-1])
        self._freeze_stages(freeze_stages)
        self.train()

    @property
    def input_multiple(self) -> int:
        """Height and width of the input are best multiples of it, and have to be in an exported graph."""
        return self.plan.probe.multiple

    @property
    def smallest_input(self) -> int:
        """Least height and width of the input, to which `forward` enlarges smaller images; 0: any."""
        return self.plan.probe.smallest

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """The only size (H, W) the network takes, to which `forward` resizes every image; None where it takes any."""
        return self.plan.probe.fixed

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map normalised images (B, 3, H, W) to the features of every stage, [(B, C_i, H_i, W_i)].

        Images of a size that the network does not take are resized to the nearest that it does take, bilinearly: the
        maps cover the whole image in any case.
        """
        features = to_maps(list(self.net(fit(images, self.plan.probe))), self.plan.probe.layouts)
        norm = last_norm(self.net, self.plan)
        if norm is not None:
            features[-1] = normed(norm, features[-1])
        if self.head is not None:
            features.append(self.head(features[-1]))
        return features

    def attention(self, images: Tensor, blocks: int = 3) -> Attention | None:
        """The attention of a vision transformer's last blocks, and the features of the same pass.

        Args:
            images: (B, 3, H, W), normalised.
            blocks: so many last blocks; at most those that the network has.

        Returns:
            None where the network has no attention between all its patches (networks with convolutions or windows).
        """
        layers = attention_layers(self.net)[-blocks:] if blocks > 0 else []
        if not layers:
            return None
        with recorded(layers) as records:
            features = self(images)
        return split_tokens(records, self.net, features)

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
        return reached_parameters(self, count - 1)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Vision transformers of earlier versions had their last three blocks as stages, without the final norm."""
        norm = last_norm(self.net, self.plan)
        names = [] if norm is None else [name for name, module in self.net.named_modules() if module is norm]
        norm_keys = [f"{prefix}net.{name}.{leaf}" for name in names for leaf in norm.state_dict()] if norm else []
        if norm_keys and not any(key in state_dict for key in norm_keys):
            self._drop_norm(names[0])
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _drop_norm(self, name: str) -> None:
        """Take the final norm away, and the last three blocks as stages."""
        place, _, leaf = name.rpartition(".")
        setattr(self.net.get_submodule(place), leaf, nn.Identity())
        net: Any = self.net
        depth = len(net.model.feature_info)
        net.out_indices = list(range(max(0, depth - 3), depth))
        self.channels, self.strides = self.channels[-3:], self.strides[-3:]
        found = replace(self.plan.probe, layouts=self.plan.probe.layouts[-3:])
        self.plan = replace(self.plan, stages=tuple(net.out_indices), probe=found)
