"""The configuration of a run: strict and frozen.

Every option of training, mask generation and prediction stands here once. `Config()` holds the defaults.
An option says in its `Field` on which other options it depends (`tag2mask.config.options.needs`), and a
configuration in which an option would have no effect is refused. docs/settings.md is generated from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, field_validator, model_validator

from tag2mask.config.dependencies import unmet_needs
from tag2mask.config.model import FROZEN, TRAINED, ModelConfig
from tag2mask.config.options import (
    EMPTY,
    HAS_KEYS,
    Band,
    Fraction,
    NonNegative,
    Percentile,
    Positive,
    Section,
    above,
    needs,
    one_of,
)

_SOFT = one_of("soft")
_MEASURED = ("auto", "area")
_WHOLE_IMAGES = needs({"paper.every_step": one_of(False)})
_NEW_VIEWS = needs({"paper.every_step": one_of(False), "model.frozen": one_of(False)})
_HIDDEN = needs({"paper.hide_image_probability": above(0)})
_OWN_THRESHOLD = {"model.contrast_stages": "masks.soft_factor makes such masks larger or smaller"}


class DataConfig(Section):
    """How images become tensors. Sizes in pixels."""

    image_size: int = Field(320, ge=32, le=8192, description="long side at scale 1, in training and prediction")
    crop_size: int = Field(
        256, ge=32, le=8192, description="side of the square training crop", json_schema_extra=TRAINED
    )
    scale: tuple[Positive, Positive] = Field(
        (0.7, 1.3), description="range of random scaling in training", json_schema_extra=TRAINED
    )
    flip: bool = Field(True, description="horizontal flip of training images, half of the time")
    colour_jitter: Fraction = Field(
        0.3, description="strength of random brightness, contrast and saturation", json_schema_extra=TRAINED
    )
    workers: int | None = Field(
        None,
        ge=0,
        le=256,
        description="loader processes; empty: chosen by the machine",
        json_schema_extra=TRAINED,
    )
    cache: str | None = Field(
        None,
        min_length=1,
        description="folder for images decoded and resized once, which every epoch and run then reads fast; "
        "empty: none",
    )
    bands: tuple[Band] | tuple[Band, Band, Band] | None = Field(
        None,
        description="one or three bands that are read of each image, by number from 1, e.g. [4, 3, 2]; empty: the "
        "first three, or the first of one or two",
    )
    range: tuple[Percentile, Percentile] | None = Field(
        None,
        description="percentiles of each band of an image that become black and white where a value has more than 8 "
        "bits, e.g. [1, 99]; empty: [1, 99] of TIFF with several bands, the whole range of other 16-bit images",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale: {self.scale[0]} is above {self.scale[1]}; give the smaller one first")
        if self.range is not None and self.range[0] >= self.range[1]:
            raise ValueError(f"range: {self.range[0]} is not below {self.range[1]}; give the smaller one first")
        return self


class CrfConfig(Section):
    """One dense CRF (Krähenbühl and Koltun, NeurIPS 2011). Deviations in pixels of `image_size`, colours in 0..255."""

    enabled: bool = Field(True, description="refine with the CRF at all")
    iterations: int = Field(10, ge=1, le=1000, description="mean-field iterations")
    gaussian_weight: NonNegative = Field(3.0, description="weight of the smoothness kernel")
    gaussian_xy: Positive = Field(3.0, description="standard deviation of the smoothness kernel")
    bilateral_weight: NonNegative = Field(5.0, description="weight of the appearance kernel")
    bilateral_xy: Positive = Field(50.0, description="standard deviation of the appearance kernel in position")
    bilateral_rgb: Positive = Field(10.0, description="standard deviation of the appearance kernel in colour")


class MaskConfig(Section):
    """Pseudo masks from class maps and foreground prior."""

    soft_prior: Fraction = Field(
        0.6,
        description="share of the prior in the evidence of foreground; class maps are the rest",
        json_schema_extra=needs({"paper.background": _SOFT, "model.contrast_stages": EMPTY}),
    )
    soft_threshold: Literal["auto", "area", "otsu"] | Fraction = Field(
        "auto",
        description="evidence at which foreground and background are equally likely; 'auto': one for the dataset, "
        "its mean evidence, measured before the first pseudo masks; 'area': likewise, with as many pixels above it as "
        "have a class map above 0.35; 'otsu': Otsu's threshold of each image",
        json_schema_extra=needs(
            {"paper.background": _SOFT, "model.contrast_stages": EMPTY},
            instead=_OWN_THRESHOLD,
        ),
    )
    soft_factor: Positive = Field(
        1.0,
        description="factor on a threshold that is measured; under 1 makes masks larger, above 1 smaller",
        json_schema_extra=needs({"paper.background": _SOFT, "masks.soft_threshold": one_of("auto", "area", "otsu")}),
    )
    spread: Literal["auto"] | Fraction = Field(
        "auto",
        description="share of the evidence that the attention of a vision transformer spreads over what belongs "
        "together; the rest is the best class map as it is; 'auto': one for the dataset, 1 but for small objects",
        json_schema_extra=needs(
            {"paper.background": _SOFT, "model.contrast_stages": EMPTY, "model.frozen": one_of(True)}
        ),
    )
    prior_layers: tuple[int, ...] = Field(
        (-1,),
        min_length=1,
        description="backbone stages that feed the foreground prior; -1 is the last",
        json_schema_extra=needs(
            {
                "paper.background": one_of("soft", "prior", "prior_hard"),
                "model.contrast_stages": EMPTY,
                "model.frozen": one_of(False),
            }
        ),
    )
    teacher_weight: Fraction = Field(
        0.5,
        description="share of the EMA teacher's segmentation stream in the class scores, from half of the joint phase "
        "on; 0: none, as in the paper",
    )
    stride: int = Field(2, ge=1, le=32, description="image or crop size / size of the pseudo mask")
    refresh: int = Field(
        4, ge=1, description="epochs between updates of the pseudo masks", json_schema_extra=_WHOLE_IMAGES
    )
    scales: tuple[Positive, ...] = Field(
        (1.25,), min_length=1, description="scales whose class scores are averaged", json_schema_extra=_NEW_VIEWS
    )
    flip: bool = Field(False, description="average with the horizontal flip", json_schema_extra=_NEW_VIEWS)
    crf: CrfConfig = CrfConfig(bilateral_weight=4.0, bilateral_xy=60.0, bilateral_rgb=5.0)

    @field_validator("refresh", mode="before")
    @classmethod
    def _not_zero(cls, value: Any) -> Any:
        if value == 0 and not isinstance(value, bool):
            raise ValueError("expected 1 or more; pseudo masks at every step are paper.every_step=true now")
        return value

    @property
    def measured(self) -> bool:
        """Whether training measures the threshold on the dataset."""
        return self.soft_threshold in _MEASURED

    def threshold_rule(self) -> float | Literal["mean", "area", "otsu"]:
        """The threshold of the evidence, or how each image gets its own, times `soft_factor`.

        Training replaces 'auto' and 'area' by a number. Where it did not, the image at hand counts as the dataset.
        """
        return "mean" if self.soft_threshold == "auto" else self.soft_threshold


class TrainingConfig(Section):
    """Schedule, losses and optimiser."""

    epochs: int | None = Field(None, ge=1, le=100_000, description="empty: as many as `samples` says")
    samples: int = Field(
        12_000, ge=1, description="images seen in all, in at least 4 epochs; `epochs` takes precedence"
    )
    warmup: Fraction = Field(
        0.07,
        description="share of the epochs with the tag loss alone; without `probe`, or with `contrast_stages`, at least "
        "one epoch, and longer is better",
        json_schema_extra=TRAINED,
    )
    probe: bool = Field(
        True,
        description="start the tag classifier from a logistic regression on the pretrained features, not at random; "
        "not done with `paper.cam_channels` or `model.weights: none`",
        json_schema_extra=TRAINED,
    )
    batch_size: int = Field(16, ge=1, le=65_536, description="images of a step")
    learning_rate: Positive = Field(3e-4, description="of the backbone, at its peak")
    head_factor: Positive = Field(10.0, description="learning rate of the heads / of the backbone")
    weight_decay: NonNegative = Field(0.01, description="of AdamW")
    background_weight: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.65, description="weight of background in the pixel loss on pseudo masks, against 1 of objects"
    )
    class_balance: Fraction = Field(
        0.0,
        description="exponent of the weights of classes in the pixel loss by their pixels; 0: every foreground pixel "
        "counts alike, 1: every class does",
    )
    contradicted_weight: Fraction = Field(
        1.0,
        description="weight in the pixel loss of foreground of pseudo masks that the EMA teacher takes for something "
        "else of what the tags allow, after three tenths of the steps; 1: as every pixel",
        json_schema_extra=FROZEN,
    )
    pixel_loss: NonNegative = Field(1.0, description="weight of the pixel loss; the tag loss has 1")
    fallback_loss: NonNegative = Field(
        0.1,
        description="weight of the image-level loss where a pseudo mask has no foreground",
        json_schema_extra=TRAINED,
    )
    average: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.98, description="decay of the EMA teacher, which makes the pseudo masks and is kept as the result; 0: off"
    )
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "auto", description="'auto': bfloat16 where the processor multiplies it natively"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="seed of everything random")
    loggers: tuple[str, ...] = Field(
        ("tensorboard",),
        description="where curves and example masks go besides metrics.jsonl: tensorboard, csv, wandb, "
        "mlflow, comet, litlogger, or a logger of Lightning by its class name; empty: nowhere",
    )
    logger_args: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="arguments of loggers by name, e.g. `{wandb: {project: steel}}`",
        json_schema_extra=needs({"training.loggers": HAS_KEYS}),
    )
    supervision: Literal["tags", "masks"] = Field(
        "tags", description="'masks' trains the fully supervised upper bound on ground truth"
    )


class PredictionConfig(Section):
    """From class scores to a mask."""

    gate: Fraction = Field(0.05, description="classes whose tag probability is below this get no pixel; 0: off")
    tag_weight: NonNegative = Field(
        0.0,
        description="power of a class's tag probability by which its share of the foreground counts, where the tags do "
        "not name it; 0: every class that passes the gate counts alike",
    )
    image_size: int | None = Field(
        None,
        ge=0,
        le=65_536,
        description="long side at which the network sees an image; empty: `data.image_size`; 0: the image's own",
    )
    tile: int = Field(
        1024,
        ge=0,
        le=16_384,
        description="images larger than this, as the network sees them, go through it in overlapping tiles; 0: whole",
    )
    scales: tuple[Positive, ...] = Field(
        (1.0, 1.25), min_length=1, description="scales whose class scores are averaged"
    )
    flip: bool = Field(True, description="average with the horizontal flip")
    prior_weight: Fraction = Field(
        0.5,
        description="share of the class scores from class maps and prior, of the gated classes, in the result; "
        "not used by a network trained on ground truth",
    )
    crf: CrfConfig = CrfConfig(bilateral_xy=60.0, bilateral_rgb=5.0)


class PaperConfig(Section):
    """Variants of the reference paper; the defaults are ours. See docs/method.md."""

    hide_image_probability: Fraction = Field(
        0.0,
        description="hide-and-seek (Singh and Lee, ICCV 2017): chance that cells of an image are hidden; "
        "0 is off, 1 the paper's",
        json_schema_extra=TRAINED,
    )
    hide_grid: int = Field(4, ge=1, le=64, description="hide-and-seek: cells per side", json_schema_extra=_HIDDEN)
    hide_probability: Fraction = Field(
        0.5, description="hide-and-seek: chance that a cell is hidden", json_schema_extra=_HIDDEN
    )
    hide_from: Literal["both", "recognition"] = Field(
        "both",
        description="streams that see the hidden cells; 'both' needs one pass, 'recognition' is the paper's",
        json_schema_extra=_HIDDEN,
    )
    shared_stages: int | None = Field(
        None,
        ge=0,
        le=16,
        description="first stages that both streams share; the segmentation stream then has later ones of its own, "
        "as in the paper; empty: one backbone for both",
        json_schema_extra=TRAINED,
    )
    cam_channels: int = Field(
        0,
        ge=0,
        le=8192,
        description="channels of a 3x3 convolution before the tag classifier; 0: none",
        json_schema_extra=TRAINED,
    )
    background: Literal["soft", "prior", "prior_hard", "cams_hard", "cams"] = Field(
        "soft",
        description="score of background: 'soft': a soft threshold of foreground prior and class maps; "
        "'prior': 1 - prior; 'prior_hard': prior under `prior_hard_threshold`; 'cams_hard': every class map under "
        "`cams_hard_threshold`; 'cams': 1 - best class map",
        json_schema_extra=needs({"model.contrast_stages": EMPTY}),
    )
    map_scaling: Literal["positive", "min_max"] = Field(
        "positive",
        description="class maps to [0, 1]: divided by their maximum, negative values set to 0; or by minimum and "
        "maximum",
        json_schema_extra=needs({"model.contrast_stages": EMPTY}),
    )
    background_power: Positive = Field(
        1.0,
        description="exponent of the score of background",
        json_schema_extra=needs({"paper.background": one_of("prior", "cams")}),
    )
    prior_hard_threshold: Fraction = Field(
        0.3,
        description="prior below this is background",
        json_schema_extra=needs({"paper.background": one_of("prior_hard")}),
    )
    cams_hard_threshold: Fraction = Field(
        0.2,
        description="where every class map is below this is background",
        json_schema_extra=needs({"paper.background": one_of("cams_hard")}),
    )
    every_step: bool = Field(
        False,
        description="pseudo masks at every step, from its crops; else every `masks.refresh` epochs, from whole images",
        json_schema_extra=TRAINED,
    )
    plain_gate: bool = Field(
        False,
        description="a softmax over background and the allowed classes alone decides pixels; else pixels of "
        "an excluded class stay foreground and go to the allowed ones",
    )


class Config(Section):
    """Everything that a run depends on besides the dataset.

    Example:
        >>> config = Config().override({"training.epochs": 20, "model.backbone": "resnet50"})
        >>> config.training.epochs, config.model.backbone, config.data.image_size
        (20, 'resnet50', 320)
    """

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    masks: MaskConfig = MaskConfig()
    training: TrainingConfig = TrainingConfig()
    prediction: PredictionConfig = PredictionConfig()
    paper: PaperConfig = PaperConfig()

    @model_validator(mode="after")
    def _no_idle_option(self) -> Self:
        unmet = unmet_needs(self)
        if unmet:
            raise ValueError("; ".join(need.message() for need in unmet))
        return self

    def to_yaml(self) -> str:
        """Return the configuration as YAML, every option written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def override(self, options: Mapping[str, Any]) -> Config:
        """Return a copy with options replaced, by dotted name, e.g. `{"training.seed": 3}`.

        Raises:
            ConfigError: unknown name, value out of range, or an option that would have no effect.
        """
        from tag2mask.config.load import override

        return override(self, options)

    def with_threshold(self, threshold: float | str, spread: float | None = None) -> Config:
        """Return a copy with this threshold of the evidence, e.g. the number that 'auto' was measured to be.

        A number has `masks.soft_factor` in it already, so that is 1 from then on. `spread`: measured with it, or None.
        """
        masks: dict[str, Any] = {"soft_threshold": threshold}
        if not isinstance(threshold, str):
            masks["soft_factor"] = 1.0
        if spread is not None:
            masks["spread"] = spread
        return self.override({f"masks.{name}": value for name, value in masks.items()})
