"""Pretrained weights of a backbone: from the hub, a package, a safetensors file, or a folder of such files."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tag2mask.config.model import SOURCES, ModelConfig
from tag2mask.core.errors import WeightsError
from tag2mask.models.backbones.plugins import is_plugin, plugin_state, require_own_weights
from tag2mask.models.backbones.probe import tried_on
from tag2mask.models.backbones.weights_folder import find_weights, mismatch, on_the_hub
from tag2mask.models.packaged_weights import INSTALL, packaged, packaged_instead, packaged_state, require_package

if TYPE_CHECKING:
    from tag2mask.models.backbone import Backbone

State = dict[str, Tensor]


_log = logging.getLogger(__name__)


def load_backbone_weights(backbone: Backbone, weights: str, *, companion: bool = False) -> None:
    """Load pretrained weights in place.

    Args:
        backbone: the network to fill.
        weights: 'hub' (timm downloads them), 'package' (in an installed Python package, see
            `tag2mask.models.packaged_weights`), 'none' (stay random), a safetensors file whose keys are timm's, or a
            folder of such files (`find_weights` says which of them); a classifier is left out, half precision is
            widened, position embeddings of another grid are resampled as timm does.
        companion: it is one of `model.companions`, for messages.

    Raises:
        ConfigError: no package has weights of this backbone.
        WeightsError: no such file, damaged file, weights of another network, or the hub cannot be reached.
    """
    if weights == "none":
        return
    source = weights
    plugin = is_plugin(backbone.name)
    if weights == "hub" and plugin:
        state = plugin_state(backbone.name, backbone.plan.arguments)
    elif weights == "hub":
        state = _hub_state(backbone.name, companion=companion)
    elif weights == "package":
        state = packaged_state(backbone.name)
    else:
        path = _file(Path(weights), backbone.name, companion=companion)
        source, state = str(path), read_safetensors(path)
    own = backbone.state_dict()
    found = _of_plugin(own, state) if plugin else _matched(own, state)
    if (trouble := _trouble(own, found)) and not plugin and (converted := _converted(backbone, state)) is not None:
        found = _matched(own, converted)
        trouble = _trouble(own, found)
    if trouble:
        raise WeightsError(
            f"{source}: these weights are not those of '{backbone.name}': {trouble}; "
            "give the file that belongs to this backbone, or the backbone that belongs to this file"
        )
    broken = next((key for key, tensor in found.items() if not torch.isfinite(tensor.float()).all()), None)
    if broken is not None:
        raise WeightsError(f"{source}: '{_timm_key(broken)}' holds NaN or infinite values; the file is damaged")
    backbone.load_state_dict(found, strict=False)


def require_weights(model: ModelConfig) -> None:
    """Check that the files of all backbones' weights are there, before any work; what the hub has is not known.

    Raises:
        ConfigError: no package has weights of a backbone.
        WeightsError: there is no such file, in a folder no file of a backbone, or no such package is installed.
    """
    for number, (name, weights) in enumerate(model.backbone_weights()):
        plugin = is_plugin(name)
        if weights == "hub" and plugin:
            require_own_weights(name)
        if weights in ("hub", "none") or not (plugin or timm.is_model(name)):  # an unknown name is refused where built
            continue
        if weights == "package":
            require_package(name)
        else:
            _check_file(_file(Path(weights), name, companion=number > 0))


def log_origins(model: ModelConfig) -> None:
    """Log where the weights of each backbone come from, where that is a package or a folder."""
    for name, weights in model.backbone_weights():
        if weights == "package":
            _log.info("backbone %s, weights of %s", name, packaged(name).origin())
        elif weights not in SOURCES and Path(weights).is_dir():
            path = find_weights(Path(weights), name)
            _log.info("backbone %s, weights of %s", name, path)
            if said := mismatch(path, name):
                _log.warning("%s: %s", path, said)


def _file(path: Path, name: str, *, companion: bool) -> Path:
    """The file of a backbone's weights: the path, or in it where it is a folder."""
    return find_weights(path, name, companion=companion) if path.is_dir() else path


def read_safetensors(path: Path) -> State:
    """Read all tensors of a safetensors file.

    Raises:
        WeightsError: no such file, or it is damaged or of another format.
    """
    _check_file(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path}: cannot read this as safetensors ({error}); the file is damaged or of another format "
            "(pickled checkpoints are not accepted)"
        ) from None


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise WeightsError(
            f"{path}: no such weights file or folder; give a safetensors file, 'hub' or 'none', 'package' for weights "
            "from the Python index, or a folder that holds a safetensors file named as each backbone"
        )


def _timm_key(key: str) -> str:
    """timm's name of a tensor of a `Backbone`: of its network `net` or of the convolution after it, `head`."""
    for part in ("net.", "head.", "model.", "body.", "graph_module."):  # the latter three: of timm's feature networks
        key = key.removeprefix(part)
    return key


def _matched(own: State, state: State) -> State:
    """The tensors of `state` under the keys of `own`, where there are any."""
    # timm renames some modules in its feature networks: `a.0.b` may become `a_0.b`.
    given = {key.replace(".", "_"): key for key in state}
    origin = {key: given.get(_timm_key(key).replace(".", "_")) for key in own}
    return {key: state[source] for key, source in origin.items() if source is not None}


def _of_plugin(own: State, state: State) -> State:
    """The tensors of `state`, named as another package names them, under the keys of `own`."""
    origin = {key: key.removeprefix("net.model.") for key in own}
    return {key: state[source] for key, source in origin.items() if source in state}


def _trouble(own: State, found: State) -> str:
    """Why the tensors are not those of the network; empty where they are."""
    # Whole numbers are counters and indices, which the network makes itself.
    missing = [key for key, tensor in own.items() if key not in found and tensor.is_floating_point()]
    if missing:
        return f"{len(missing)} of {len(own)} tensors are missing (first: '{_timm_key(missing[0])}')"
    wrong = next((key for key, tensor in found.items() if tensor.shape != own[key].shape), None)
    if wrong is None:
        return ""
    sizes = f"'{_timm_key(wrong)}' is {tuple(found[wrong].shape)}, expected {tuple(own[wrong].shape)}"
    if "pos" in wrong:
        return f"{sizes} (positions of another size of images, which timm cannot resample for this network)"
    return sizes


def _converted(backbone: Backbone, state: State) -> State | None:
    """The weights as timm converts them on loading: position embeddings resampled, older names renamed.

    None where timm has no conversion of this network, or it does not apply to these weights.
    """
    try:
        of_features = ("output_stride", "out_indices")
        arguments = {key: one for key, one in backbone.plan.arguments.items() if key not in of_features}
        with tried_on("meta"):
            model: nn.Module = timm.create_model(backbone.name, pretrained=False, **arguments)
        convert: Any = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
        if convert is None:
            return None
        widened = {key: one.float() if one.is_floating_point() else one for key, one in state.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converted = convert(widened, model)
    except Exception:  # weights of another network: the message on the tensors as given tells more
        return None
    return {key: one for key, one in converted.items() if isinstance(one, Tensor)}


def _hub_state(name: str, *, companion: bool) -> State:
    try:
        return dict(timm.create_model(name, pretrained=True).state_dict())
    except Exception as error:  # timm and the hub raise many kinds; all mean the same to the user
        reason = f"{type(error).__name__}: {error}".strip().partition("\n")[0]
        known = on_the_hub(name)
        known_as = f" (on the hub: {known})" if known else ""
        several = f"a folder with a safetensors file of each backbone, this one as {name}.safetensors{known_as}"
        settings = " ".join(f"`{setting}`" for setting in packaged_instead(name))
        ways = (
            (
                f"{several}: `model.weights=FOLDER`",
                "the first backbone without this companion: `model.companions=[]`",
            )
            if companion
            else (
                f"a safetensors file of them{known_as}: `model.weights=FILE`",
                f"ImageNet weights from the Python index: {INSTALL}, then {settings}",
            )
        )
        numbered = "".join(f"\n{number}. {way}" for number, way in enumerate((*ways, _MIRROR), 1))
        raise WeightsError(
            f"cannot get the pretrained weights of '{name}' from the hub ({reason}); choose one of:{numbered}"
        ) from error


_MIRROR = "a mirror of the hub: set the environment variable HF_ENDPOINT to its address"
