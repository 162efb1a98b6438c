"""The section `model` of the configuration: the network and its pretrained backbones."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from tag2mask.config.options import Dropout, Positive, Section, needs, one_of

_FILE_ARGUMENTS = ("checkpoint_path", "cache_dir")
"""Besides `pretrained*`, the arguments of `timm.create_model` that make it read files of its own choice."""

SOURCES = ("hub", "package", "none")
"""Values of `model.weights` that name no file and no folder; a folder of such a name is './hub'."""

DEFAULT_PACKAGED_BACKBONE = "tf_efficientnet_lite2"
"""The backbone where `model.weights` is 'package' and none is named: there is no package for resnet18."""

TRAINED = needs({"model.frozen": one_of(False)})
"""Of options that matter only where the backbone is trained."""

FROZEN = needs({"model.frozen": one_of(True)})


def reads_no_files(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse arguments of timm that open files: a model.yaml may come from somebody else."""
    refused = [name for name in value if name in _FILE_ARGUMENTS or name.startswith("pretrained")]
    if refused:
        raise ValueError(
            f"may not have {', '.join(sorted(refused))}, which would make timm read other files; "
            "name a file of weights as model.weights"
        )
    return value


def named_weights(value: Any) -> Any:
    """Weights as they are stored: paths as text, without the slash that a shell puts after the name of a folder."""
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if text in SOURCES and text is not value:
        return f".{os.sep}{text}"
    if not isinstance(text, str):
        return text
    shorter = text.rstrip("/" + os.sep)
    return shorter if shorter and shorter not in SOURCES else text


class CompanionConfig(Section):
    """A further frozen backbone, whose features join those of `model.backbone`."""

    backbone: str = Field(min_length=1, description="a timm model")
    weights: str | None = Field(
        None,
        min_length=1,
        description="as `model.weights`; empty: the folder that `model.weights` names, 'none' where it is 'none', else "
        "'hub'",
    )
    backbone_args: dict[str, Any] = Field(default_factory=dict, description="as `model.backbone_args`")
    scale: Positive = Field(1.0, description="size at which it sees the image / size at which `model.backbone` does")

    _reads_no_files = field_validator("backbone_args")(reads_no_files)
    _named_weights = field_validator("weights", mode="before")(named_weights)


class ModelConfig(Section):
    """The network: a timm backbone under a recognition and a segmentation stream."""

    backbone: str = Field(
        "resnet18",
        min_length=1,
        description="a timm model (docs/backbones.md says which); left out with `weights: package`: "
        f"{DEFAULT_PACKAGED_BACKBONE}",
    )
    weights: str = Field(
        "hub",
        min_length=1,
        description="'hub', 'package' (from the extra `tag2mask[weights]`, without a hub), 'none' (random), a "
        "safetensors file, or a folder that holds `<timm name>.safetensors` of each backbone",
    )
    backbone_args: dict[str, Any] = Field(
        default_factory=dict, description="further arguments of `timm.create_model`, e.g. `pad_type: same`"
    )
    output_stride: Literal[4, 7, 8, 14, 16, 28, 32, 64] = Field(
        16, description="input size / feature size; where a backbone cannot have 16, the default, it keeps its own"
    )
    frozen: bool = Field(
        False,
        description="the backbone is not trained: the features of every image are computed once and kept, and a light "
        "decoder learns from them",
    )
    companions: tuple[CompanionConfig, ...] = Field(
        (),
        max_length=4,
        description="further frozen backbones, each with `backbone`, `weights` (empty: the folder that `model.weights` "
        "names, 'none' where it is 'none', else 'hub'), `backbone_args` and `scale`, whose features join those of "
        "`backbone`; the attention of the vision transformers among them spreads the evidence (of those on the grid of "
        "the first)",
        json_schema_extra=FROZEN,
    )
    feature_channels: int = Field(
        384,
        ge=8,
        le=4096,
        description="channels that the joined features are projected to by principal components",
        json_schema_extra=FROZEN,
    )
    freeze_norm: bool = Field(
        True, description="keep the backbone's batch statistics as pretrained", json_schema_extra=TRAINED
    )
    freeze_stages: int = Field(
        2, ge=0, le=16, description="first stages of the backbone that are not trained", json_schema_extra=TRAINED
    )
    tag_dropout: Dropout = Field(0.5, description="dropout before the tag classifier", json_schema_extra=TRAINED)
    contrast_stages: tuple[int, ...] = Field(
        (),
        description="first stages of the backbone, e.g. [0, 1], whose contrast with the rest of the image gives "
        "class maps and prior: for textures, defects and other images without distinct objects; empty: class maps of "
        "the last stage",
    )
    head_channels: int = Field(256, ge=8, le=8192, description="channels of the segmentation head")
    head_dropout: Dropout = Field(0.1, description="dropout before the pixel classifier")

    @model_validator(mode="before")
    @classmethod
    def _packaged_backbone(cls, tree: Any) -> Any:
        if isinstance(tree, Mapping) and tree.get("weights") == "package" and "backbone" not in tree:
            return {**tree, "backbone": DEFAULT_PACKAGED_BACKBONE}
        return tree

    _reads_no_files = field_validator("backbone_args")(reads_no_files)
    _named_weights = field_validator("weights", mode="before")(named_weights)

    def backbone_weights(self) -> tuple[tuple[str, str], ...]:
        """The timm name of each backbone and where its weights come from, `backbone` first, then its companions.

        What a companion leaves out is the folder that `weights` names, 'none' where that is 'none', else 'hub'.
        """
        shared = self.weights == "none" or (self.weights not in SOURCES and Path(self.weights).is_dir())
        default = self.weights if shared else "hub"
        companions = ((one.backbone, one.weights or default) for one in self.companions)
        return ((self.backbone, self.weights), *companions)
