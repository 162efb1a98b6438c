"""Backbones of other packages: entry points of the group `tag2mask.backbones`, each a function that makes a network.

[project.entry-points."tag2mask.backbones"]
my-network = "my_package:my_network"

The function returns any `nn.Module` that maps normalised images (B, 3, H, W) to feature maps (B, C, H', W'), from fine
to coarse: a list, a tuple, a dict or one tensor. It is called with `model.backbone_args` as keywords; if it takes
`output_stride` or `pretrained`, with these too. `pretrained=True` asks for the weights that the package brings, where
`model.weights` is 'hub'. Attributes of the network that count, where it has them:

- `mean`, `std`: three numbers each, of `(image / 255 - mean) / std`; else those of ImageNet.
- `multiple`: of which height and width of an image have to be multiples; else it is found by trying 32, 64, 128.
- `image_size`: (H, W), the only size it takes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import timm
from torch import Tensor, nn

from tag2mask.core.errors import WeightsError
from tag2mask.core.plugins import BACKBONES, PluginError, Plugins

Factory = Callable[..., nn.Module]

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_plugins: Plugins[Factory] = Plugins(
    BACKBONES,
    "backbone",
    lambda found: "" if callable(found) else f"it is {type(found).__name__}, expected a function that makes a network",
    timm.is_model,
)


class PluginNetwork(nn.Module):
    """A network of another package, giving a list of feature maps.

    Attributes:
        model: the network.
    """

    def __init__(self, model: nn.Module) -> None:
        """Wrap a network."""
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features of every stage of images (B, 3, H, W), as the network gives them."""
        found: Any = self.model(images)
        if isinstance(found, Tensor):
            return [found]
        return list(found.values()) if isinstance(found, Mapping) else list(found)


def plugin_names() -> tuple[str, ...]:
    """Names of the backbones of other packages."""
    return _plugins.names()


def is_plugin(name: str) -> bool:
    """Whether a backbone is of another package."""
    return name in plugin_names()


def package_of(name: str) -> str:
    """Name and version of the package of a backbone."""
    return _plugins.package(name)


def build_plugin(name: str, arguments: Mapping[str, Any], *, pretrained: bool = False) -> PluginNetwork:
    """Build a backbone of another package.

    Raises:
        PluginError: its package is broken, or it made something else than a network.
        Exception: whatever the function raises.
    """
    factory = _plugins.get(name)
    assert factory is not None
    keywords = {"pretrained": pretrained} if takes(name, "pretrained") else {}
    model: Any = factory(**keywords, **arguments)
    if not isinstance(model, nn.Module):
        raise PluginError(
            f"backbone {name!r} of the package {package_of(name)} cannot be used: it made {type(model).__name__}, "
            "expected `torch.nn.Module`; update the package or uninstall it"
        )
    return PluginNetwork(model)


def attempts(name: str, output_stride: int) -> Iterator[dict[str, Any]]:
    """Arguments to try a backbone of another package with."""
    if takes(name, "output_stride"):
        yield {"output_stride": output_stride}
    yield {}


def takes(name: str, keyword: str) -> bool:
    """Whether the function that makes a backbone has a parameter of this name.

    Raises:
        PluginError: its package is broken.
    """
    factory = _plugins.get(name)
    assert factory is not None
    try:
        return keyword in inspect.signature(factory).parameters
    except (TypeError, ValueError):  # of a function that is not written in Python
        return False


_WAYS = "choose a safetensors file of them, `model.weights=FILE`, or random ones, `model.weights=none`"


def require_own_weights(name: str) -> None:
    """Check that the package of a backbone says that it brings its weights.

    Raises:
        PluginError: the package is broken.
        WeightsError: it brings none.
    """
    if not takes(name, "pretrained"):
        raise WeightsError(f"backbone {name!r} of the package {package_of(name)} brings no weights of its own; {_WAYS}")


def plugin_state(name: str, arguments: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights that a package brings for its backbone, by the names of its own network.

    Raises:
        PluginError: the package is broken.
        WeightsError: it brings none, or they cannot be loaded.
    """
    require_own_weights(name)
    try:
        return dict(build_plugin(name, arguments, pretrained=True).model.state_dict())
    except Exception as error:  # whatever another package raises
        reason = f"{type(error).__name__}: {error}".strip().partition("\n")[0]
        raise WeightsError(
            f"backbone {name!r} of the package {package_of(name)}: its pretrained weights cannot be loaded ({reason}); "
            f"{_WAYS}"
        ) from error


def plugin_preprocessing(network: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the images that a network takes.

    Raises:
        PluginError: these are not three numbers each.
    """
    found = tuple(_numbers(network, name, default) for name, default in zip(("mean", "std"), IMAGENET, strict=True))
    return found[0], found[1]


def _numbers(network: nn.Module, name: str, default: tuple[float, ...]) -> tuple[float, ...]:
    value: Any = getattr(_own(network), name, None)
    if value is None or callable(value):
        return default
    try:
        numbers = tuple(float(one) for one in (value.flatten().tolist() if isinstance(value, Tensor) else value))
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != 3 or (name == "std" and min(numbers) <= 0):
        raise PluginError(f"backbone {type(_own(network)).__name__}: `{name}` is {value!r}, expected three numbers")
    return numbers


def declared_multiple(network: nn.Module) -> int | None:
    """`multiple` of a network of another package, or None."""
    value: Any = getattr(_own(network), "multiple", None)
    return value if isinstance(value, int) and value > 0 else None


def declared_size(network: nn.Module) -> tuple[int, int] | None:
    """`image_size` of a network of another package, or None."""
    value: Any = getattr(_own(network), "image_size", None)
    if isinstance(value, int):
        return value, value
    if isinstance(value, tuple | list) and len(value) == 2:
        return int(value[0]), int(value[1])
    return None


def _own(network: nn.Module) -> nn.Module:
    return network.model if isinstance(network, PluginNetwork) else network
