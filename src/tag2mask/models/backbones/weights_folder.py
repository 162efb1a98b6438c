"""A folder with the weights of several backbones, each in a safetensors file of its timm name."""

from __future__ import annotations

from pathlib import Path

import timm

from tag2mask.core.errors import ConfigError, WeightsError
from tag2mask.models.backbones.adapt import preprocessing_of

_SUFFIX = ".safetensors"
_SHOWN = 8  # names of files in a message


def find_weights(folder: Path, name: str, *, companion: bool = False) -> Path:
    """The file of a backbone's weights in a folder.

    It has the backbone's name as given. Else, for a name with a tag of weights ('deit_tiny_patch16_224.fb_in1k'), that
    of the architecture alone; for a name without one, that of the architecture with any tag, if there is only one.

    Args:
        folder: the folder.
        name: timm name, without a slash.
        companion: it is one of `model.companions`, for messages.

    Raises:
        ConfigError: the name has a slash, or the only file has weights that want another normalisation.
        WeightsError: there is no such file, there are several, or the folder cannot be read.
    """
    if "/" in name or "\\" in name:
        raise ConfigError(
            f"backbone '{name}': expected timm's name, which has no slash; `timm.list_models()` lists all"
        )
    exact = folder / f"{name}{_SUFFIX}"
    if exact.is_file():
        return exact
    there = _files(folder)
    architecture, _, tag = name.partition(".")
    if tag:
        found = [one for one in there if one.name == f"{architecture}{_SUFFIX}"]
    else:
        found = [one for one in there if one.suffix == _SUFFIX and one.stem.startswith(f"{name}.")]
    if not found:
        raise WeightsError(_missing(folder, name, there, companion=companion))
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise WeightsError(
            f"{folder}: '{name}' may mean any of {len(found)} files there: {names}; name the backbone with its tag, "
            f"e.g. '{found[0].stem}', or rename the file that is meant to {exact.name}"
        )
    _check_normalisation(found[0], name)
    return found[0]


def mismatch(path: Path, name: str) -> str:
    """What speaks against a file that `find_weights` found, for people; empty where nothing does."""
    if "." in name or path.stem == name or _known(path.stem):
        return ""
    tag = path.stem.partition(".")[2]
    return (
        f"timm knows no weights '{tag}' of '{name}'; see that its normalisation, and its padding unless "
        f"model.backbone_args has `pad_type`, suit them, and rename the file to {name}{_SUFFIX}"
    )


def on_the_hub(name: str) -> str:
    """The file with a backbone's weights on the hub, for people; empty where timm knows none."""
    config = timm.get_pretrained_cfg(name)
    return f"model.safetensors of {config.hf_hub_id}" if config and config.hf_hub_id else ""


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(one for one in folder.iterdir() if one.is_file())
    except OSError as error:
        raise WeightsError(
            f"{folder}: cannot read this folder of weights ({error.strerror}); check its permissions"
        ) from None


def _missing(folder: Path, name: str, there: list[Path], *, companion: bool) -> str:
    """The message where there is no file for a backbone."""
    architecture, _, tag = name.partition(".")
    other = f"{architecture}{_SUFFIX}" if tag else f"{name}.TAG{_SUFFIX}"
    weights = [one.name for one in there if one.suffix == _SUFFIX]
    if weights:
        more = f" and {len(weights) - _SHOWN} more" if len(weights) > _SHOWN else ""
        found = f"it holds {', '.join(weights[:_SHOWN])}{more}"
    elif there:
        more = ", ..." if len(there) > _SHOWN else ""
        found = f"it holds no safetensors file, only {', '.join(one.name for one in there[:_SHOWN])}{more}"
    else:
        found = "it holds no file"
    source = on_the_hub(name)
    remedy = f"put them there under the name {name}{_SUFFIX}" + (f" (on the hub: {source})" if source else "")
    remedy += ", or leave it out of `model.companions`" if companion else ", or name a backbone that is there"
    return f"{folder}: no weights of '{name}' in this folder; looked for {name}{_SUFFIX} and {other}, {found}; {remedy}"


def _known(name: str) -> bool:
    """Whether timm knows a name with a tag."""
    try:
        return timm.get_pretrained_cfg(name) is not None
    except Exception:  # timm raises several kinds for tags that it does not know
        return False


def _check_normalisation(path: Path, name: str) -> None:
    """Refuse the weights of a tag whose images are normalised in another way than those of `name`."""
    if not _known(path.stem) or preprocessing_of(path.stem) == preprocessing_of(name):
        return
    raise ConfigError(
        f"{path}: these weights want images normalised in another way than timm's default weights of '{name}'; name "
        f"the backbone '{path.stem}' in full"
    )
