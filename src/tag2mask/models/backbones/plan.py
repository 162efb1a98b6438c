"""How a timm network is built so that it gives feature maps: chosen by trying, on tensors without data."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import timm
from timm.models._features import FeatureGetterNet
from torch import nn

from tag2mask.core.errors import ConfigError
from tag2mask.core.machine import usable_memory
from tag2mask.core.plugins import PluginError
from tag2mask.models.backbones.names import similar
from tag2mask.models.backbones.plugins import (
    PluginNetwork,
    attempts,
    build_plugin,
    declared_multiple,
    declared_size,
    is_plugin,
    package_of,
    plugin_names,
)
from tag2mask.models.backbones.probe import Probe, Size, probe, tried_on

_log = logging.getLogger(__name__)

DEFAULT_STRIDE = 16
"""Of the settings; a network that cannot have it keeps its own."""

_STAGES = 4  # of a network whose features all have one size
_CNN_MULTIPLE = 32  # so that the grids of all stages fit together


@dataclass(frozen=True)
class Plan:
    """How a network is built, and what it then takes and gives.

    Attributes:
        name: timm model name, or that of a backbone of another package.
        arguments: of `timm.create_model`, or of the function that makes the backbone.
        stages: blocks whose outputs are the stages, of a plain vision transformer and its like; else empty: as
            `features_only` has them.
        whole: `features_only` does not know the network; its intermediate features are taken from the whole one.
        dilated: stride that poolings and convolutions are changed to (VGG), or None.
        probe: what the network takes and gives.
        parameters: their number.
        accepted_before: any `model.output_stride` used to be accepted, also where it has no effect.
    """

    name: str
    arguments: Mapping[str, Any]
    stages: tuple[int, ...] = ()
    whole: bool = False
    dilated: int | None = None
    probe: Probe = field(default_factory=lambda: Probe((), (), (), 32))
    parameters: int = 0
    accepted_before: bool = False

    @property
    def stride(self) -> int:
        """Input size / size of the last features."""
        return self.probe.strides[-1]

    def build(self) -> nn.Module:
        """Build the network with random weights."""
        network: nn.Module
        if is_plugin(self.name):
            return build_plugin(self.name, self.arguments)
        if self.stages or self.whole:
            network = _with_intermediates(self.name, self.arguments, self.stages)
        else:
            network = timm.create_model(self.name, pretrained=False, features_only=True, **self.arguments)
        if self.dilated is not None:
            assert isinstance(network, nn.ModuleDict)
            dilate(network, self.dilated)
        return network


_plans: dict[tuple[str, int, str], Plan] = {}  # trying takes up to a second or two


def plan_network(name: str, output_stride: int, args: Mapping[str, Any]) -> Plan:
    """Choose how to build a network.

    Args:
        name: timm model name, or that of a backbone of another package (`tag2mask.models.backbones.plugins`).
        output_stride: input size / size of the last features; 16: or the network's own.
        args: further arguments of `timm.create_model`, or of the function that makes the backbone.

    Raises:
        ConfigError: unknown name, no feature maps, another output stride than the one asked for, or more parameters
            than fit into memory.
    """
    if not timm.is_model(name) and not is_plugin(name):
        near = similar(name, [*timm.list_models(), *plugin_names()])
        raise ConfigError(
            f"unknown backbone '{name}'; near: {', '.join(near)}; timm.list_models() lists all, `tag2mask backbones` "
            "what was tried; one of another package (docs/plugins.md) needs that package installed"
        )
    key = (name, output_stride, repr(sorted(args.items())))
    if key not in _plans:
        _plans[key] = _plan(name, output_stride, dict(args))
    return _plans[key]


def _plan(name: str, wanted: int, args: dict[str, Any]) -> Plan:
    best, reason = _best(name, wanted, args, "meta")
    plugin = is_plugin(name)
    if best is None and ("meta" in reason or plugin):  # a network that looks at its data while it runs
        best, reason = _best(name, wanted, args, "cpu")
    if best is None:
        of = f" of the package {package_of(name)}" if plugin else ""
        raise ConfigError(f"backbone '{name}'{of} has no feature maps to build on ({reason}); choose another one")
    _check_stride(best, wanted)
    _check_memory(best)
    if best.probe.fixed is not None:
        height, width = best.probe.fixed
        _log.info("backbone '%s' takes only images of %d x %d: each is resized to that for it", name, height, width)
    return best


def _best(name: str, wanted: int, args: dict[str, Any], device: str) -> tuple[Plan | None, str]:
    """The best plan, or None and why there is none."""
    best: Plan | None = None
    reason = ""
    timm_ways: tuple[dict[str, Any], ...] = (
        {"output_stride": wanted},
        {"dynamic_img_size": True},
        {"strict_img_size": False},
        {},
    )
    for extra in attempts(name, wanted) if is_plugin(name) else timm_ways:
        try:
            with _quiet():
                found = _attempt(name, {**extra, **args}, wanted, device)
        except PluginError:
            raise
        except Exception as error:  # timm's networks raise many kinds; all mean that this does not suit them
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            continue
        if best is None or _rank(found, wanted) > _rank(best, wanted):
            best = found
        if _rank(best, wanted) == (True, True):
            break
    return best, reason


def _rank(plan: Plan, wanted: int) -> tuple[bool, bool]:
    return plan.probe.fixed is None, plan.stride == wanted


def _check_stride(plan: Plan, wanted: int) -> None:
    """Say that the stride is another one than usual; refuse where it is another one than asked for."""
    if plan.stride == wanted:
        return
    if wanted == DEFAULT_STRIDE:
        _log.info("backbone '%s' has output stride %d; it cannot have %d", plan.name, plan.stride, wanted)
    elif plan.accepted_before:
        _log.warning(
            "backbone '%s' has output stride %d; model.output_stride %d has no effect on it",
            *(plan.name, plan.stride, wanted),
        )
    else:
        raise ConfigError(
            f"backbone '{plan.name}' has output stride {plan.stride} and cannot be changed to {wanted}; "
            f"set model.output_stride to {plan.stride}, or leave it out"
        )


def _check_memory(plan: Plan) -> None:
    needed, there = 4 * plan.parameters, usable_memory()
    if needed > there:
        raise ConfigError(
            f"backbone '{plan.name}' has {plan.parameters / 1e9:.1f} billion parameters, {needed / 2**30:.0f} GiB; "
            f"this machine has {there / 2**30:.0f} GiB of memory: choose a smaller one"
        )


def _attempt(name: str, arguments: dict[str, Any], wanted: int, device: str) -> Plan:
    """Plan a network with these arguments.

    Raises:
        Exception: the network cannot be built so, or gives no maps.
    """
    plan = Plan(name, arguments)
    with tried_on(device):
        try:
            network = plan.build().eval()
        except RuntimeError:  # `features_only` is not implemented for it
            plan = replace(plan, whole=True)
            network = plan.build().eval()
        chosen = "out_indices" in arguments  # by the user
        if isinstance(network, FeatureGetterNet) and not chosen and (stages := _even_stages(network)):
            plan = replace(plan, stages=stages)
            del network  # with data, two of them would take twice the memory
            network = plan.build().eval()
    own = declared_size(network) or _own_size(name, arguments)
    found = probe(network, _multiples(network, own), own)
    pooled = is_chain_with_pooling(network)
    plan = replace(
        plan,
        probe=found,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        accepted_before="output_stride" in arguments or pooled,
    )
    if pooled and "output_stride" not in arguments and plan.stride != wanted:
        with tried_on(device):
            dilate(network, wanted)
        found = probe(network, _multiples(network, own), own)
        if found.strides[-1] == wanted:
            return replace(plan, probe=found, dilated=wanted)
    return plan


def _even_stages(network: FeatureGetterNet) -> tuple[int, ...]:
    """Evenly spaced blocks, the last one included, of a network whose features all have one size; else none."""
    info: Any = getattr(network.model, "feature_info", None)  # of all blocks
    if not isinstance(info, list | tuple) or len(info) <= _STAGES:
        return ()
    if len({(one["num_chs"], one["reduction"]) for one in info}) > 1:
        return ()
    return tuple(len(info) * (stage + 1) // _STAGES - 1 for stage in range(_STAGES))


def _with_intermediates(name: str, arguments: Mapping[str, Any], stages: tuple[int, ...]) -> nn.Module:
    """The network without its classifier, giving features of some blocks, or of all its stages."""
    model: Any = timm.create_model(name, pretrained=False, **arguments)
    if not hasattr(model, "forward_intermediates"):
        raise NotImplementedError("timm gives no intermediate features of it")
    indices: Any = list(stages) or list(range(len(model.feature_info)))
    if hasattr(model, "prune_intermediate_layers"):
        # Only the classifier: `FeatureGetterNet` would also take the last norm away.
        after_pooling = getattr(model, "fc_norm", None)
        indices = model.prune_intermediate_layers(indices, prune_norm=False, prune_head=True)
        if after_pooling is not None and isinstance(getattr(model, "norm", None), nn.Identity):
            model.fc_norm = after_pooling  # it is the only norm there is after the blocks
    return FeatureGetterNet(model, out_indices=indices, prune=False)


def _own_size(name: str, arguments: Mapping[str, Any]) -> Size | None:
    """Size of the images that a network was made for."""
    given = arguments.get("img_size")
    if isinstance(given, int):
        return given, given
    if isinstance(given, list | tuple) and len(given) == 2:
        return int(given[0]), int(given[1])
    config = timm.get_pretrained_cfg(name)
    size = None if config is None else config.input_size
    return (size[1], size[2]) if size else None


def _multiples(network: nn.Module, own: Size | None) -> list[int]:
    """Numbers of which the sides of an image may have to be multiples, those wanted most first."""
    if isinstance(network, PluginNetwork):
        if declared_size(network) is not None:
            return []
        declared = declared_multiple(network)
        return [declared] if declared else [_CNN_MULTIPLE, 2 * _CNN_MULTIPLE, 4 * _CNN_MULTIPLE]
    info: Any = getattr(network, "feature_info", None)
    reductions = [int(reduction) for reduction in info.reduction()] if info is not None else []
    last = max(reductions, default=_CNN_MULTIPLE)
    if len(set(reductions)) == 1 and isinstance(network, FeatureGetterNet):  # tokens: patches of one size
        candidates = [last, 2 * last, 4 * last, _CNN_MULTIPLE]
    else:
        candidates = [max(last, _CNN_MULTIPLE), _CNN_MULTIPLE, 2 * _CNN_MULTIPLE, 4 * _CNN_MULTIPLE]
    if own is not None:  # some networks cut the image into so many windows
        candidates += [side for side in (own[0],) if own[0] == own[1]]
    return list(dict.fromkeys(candidates))


def is_chain_with_pooling(network: nn.Module) -> bool:
    """Whether the network is a chain of modules with poolings among them, such as VGG."""
    return isinstance(network, nn.ModuleDict) and any(isinstance(one, nn.MaxPool2d) for one in network.children())


def dilate(network: nn.Module, output_stride: int) -> None:
    """Turn a plain sequence of convolutions and poolings (VGG) into one of a smaller stride.

    Poolings past `output_stride` keep the size (3 x 3, stride 1) and the convolutions after them are
    dilated, as DeepLab does (Chen et al., ICLR 2015, arXiv:1412.7062).
    """
    assert isinstance(network, nn.ModuleDict)
    stride, dilation = 1, 1
    for name, module in list(network.items()):
        if isinstance(module, nn.MaxPool2d):
            if stride < output_stride:
                stride *= 2
            else:
                dilation *= 2
                network[name] = nn.MaxPool2d(kernel_size=3, stride=1, padding=1)
        elif isinstance(module, nn.Conv2d) and dilation > 1:
            module.dilation = (dilation, dilation)
            module.padding = (dilation, dilation)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warnings of networks that are only tried."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
