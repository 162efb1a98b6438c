"""The configuration of a run: strict, frozen, with YAML there and back.

Every option of training, mask generation and prediction stands here once. An unknown key is an
error that names the nearest known one. `Config()` holds the defaults.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tag2mask.core.errors import ConfigError

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataConfig(_Section):
    """How images become tensors. Sizes in pixels."""

    image_size: int = Field(320, ge=32, le=8192, description="long side at scale 1, in training and prediction")
    crop_size: int = Field(256, ge=32, le=8192, description="side of the square training crop")
    scale: tuple[Positive, Positive] = Field((0.7, 1.3), description="range of random scaling in training")
    flip: bool = Field(True, description="mirror training images left to right, half of the time")
    colour_jitter: Fraction = Field(0.3, description="strength of random brightness, contrast and saturation")
    hide_grid: int = Field(4, ge=1, le=64, description="hide-and-seek: cells per side")
    hide_probability: Fraction = Field(0.5, description="hide-and-seek: chance that a cell is hidden; 0 is off")
    hide_image_probability: Fraction = Field(
        0.0, description="hide-and-seek: chance that an image has cells hidden at all; 0 is off, 1 the paper's"
    )
    hide_from: Literal["recognition", "both"] = Field(
        "both", description="streams that see the hidden cells; 'both' needs one pass, 'recognition' is the paper's"
    )
    workers: int | None = Field(None, ge=0, le=256, description="loader processes; empty: chosen by the machine")
    cache: str | None = Field(
        None,
        min_length=1,
        description="folder for photographs decoded and made smaller once, to be read fast in every epoch and run; "
        "empty: none",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale: {self.scale[0]} is above {self.scale[1]}; give the smaller one first")
        return self


class ModelConfig(_Section):
    """The network: one timm backbone under two streams."""

    backbone: str = Field("resnet18", min_length=1, description="a timm model with `features_only`")
    weights: str = Field("hub", min_length=1, description="'hub', 'none', or a safetensors file")
    backbone_args: dict[str, Any] = Field(
        default_factory=dict, description="further arguments of timm.create_model, e.g. pad_type: same"
    )
    output_stride: Literal[8, 16, 32] = Field(16, description="input size / feature size")
    freeze_norm: bool = Field(True, description="keep the backbone's batch statistics as pretrained")
    freeze_stages: int = Field(2, ge=0, le=16, description="first stages of the backbone that do not learn")
    shared_stages: int | None = Field(
        None,
        ge=0,
        le=16,
        description="first stages that both streams share; the segmentation stream then has later ones of its own, "
        "as in the paper; empty: one backbone for both",
    )
    cam_channels: int = Field(0, ge=0, le=8192, description="channels of the 3x3 CAM convolution; 0: none")
    cam_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(0.5, description="dropout before the tag classifier")
    contrast_stages: tuple[int, ...] = Field(
        (),
        description="first stages of the backbone, e.g. [0, 1], whose contrast with the rest of the image makes "
        "class maps and prior: for textures, defects and other pictures without objects; empty: deep class maps",
    )
    head_channels: int = Field(256, ge=8, le=8192, description="channels of the segmentation head")
    head_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.1, description="dropout before the pixel classifier"
    )


class CrfConfig(_Section):
    """Settings of one dense CRF. Deviations in pixels of `image_size`, colours in 0..255."""

    enabled: bool = True
    iterations: int = Field(10, ge=1, le=1000)
    gaussian_weight: NonNegative = 3.0
    gaussian_xy: Positive = 3.0
    bilateral_weight: NonNegative = 5.0
    bilateral_xy: Positive = 50.0
    bilateral_rgb: Positive = 10.0


class MaskConfig(_Section):
    """Class-specific masks from class maps and foreground prior."""

    background: Literal["soft", "prior", "prior_hard", "cams_hard", "cams"] = Field(
        "soft",
        description="how background is told: 'soft': a soft threshold of foreground prior and class maps; "
        "'prior', 'prior_hard', 'cams_hard': the paper's (1 - prior; prior under 0.3; every class map under 0.2); "
        "'cams': 1 - best class map",
    )
    map_scaling: Literal["positive", "min_max"] = Field(
        "positive", description="class maps to [0, 1] by their maximum, negatives cut off; or by minimum and maximum"
    )
    background_power: Positive = Field(1.0, description="exponent of the background map for 'prior' and 'cams'")
    soft_prior: Fraction = Field(0.6, description="'soft': share of the prior in the evidence, class maps the rest")
    soft_threshold: Literal["auto", "otsu"] | Fraction = Field(
        "auto",
        description="'soft': evidence at which foreground and background are even; 'auto': one for the collection, "
        "measured before the first masks; 'otsu': for each image the one that parts its evidence best",
    )
    soft_factor: Positive = Field(
        1.0, description="'auto', 'otsu': factor on that threshold; under 1 makes masks larger, above 1 smaller"
    )
    soft_slope: Positive = Field(8.0, description="'soft': how sharply evidence turns into probability")
    prior_layers: tuple[int, ...] = Field(
        (-1,), description="backbone stages that feed the foreground prior; -1 is the last"
    )
    prior_hard_threshold: Fraction = 0.3
    cams_hard_threshold: Fraction = 0.2
    teacher_weight: Fraction = Field(
        0.5, description="share of the segmentation stream in the stack, from half of the joint phase on; 0: the paper"
    )
    reassign: Fraction = Field(
        1.0,
        description="where the segmentation stream sees a class that the tags exclude: 1: its probability goes to the "
        "tagged classes; 0: to whichever is likeliest of them and background",
    )
    share_power: Annotated[float, Field(ge=1.0, le=100.0)] = Field(
        1.0,
        description="where classes share a place: power of their shares of the foreground before the CRF, so that "
        "background does not win because they split it; 1: off",
    )
    confidence: Fraction = Field(0.0, description="marginals below this become 255 in training masks; 0: off")
    stride: int = Field(2, ge=1, le=32, description="image or crop size / size of the training mask")
    refresh: int = Field(
        4,
        ge=0,
        description="epochs after which the training masks are made anew, on whole images; "
        "0: at every step, on its crops, as the paper",
    )
    hold_size: bool = Field(
        False,
        description="with refresh > 0: hold masks made anew to the share of foreground that the first ones had, over "
        "all images",
    )
    scales: tuple[Positive, ...] = Field((1.25,), min_length=1, description="scales averaged, with refresh > 0")
    flip: bool = Field(False, description="average with the mirrored image, with refresh > 0")
    crf: CrfConfig = CrfConfig(bilateral_weight=4.0, bilateral_xy=60.0, bilateral_rgb=5.0)

    def threshold_rule(self) -> float | Literal["mean", "otsu"]:
        """The threshold of the evidence, or how each image has its own, times `soft_factor`.

        'auto' becomes a number in training. Where it did not, the image at hand is the whole collection.
        """
        return "mean" if self.soft_threshold == "auto" else self.soft_threshold


class TrainingConfig(_Section):
    """Schedule, losses and optimiser."""

    epochs: int | None = Field(None, ge=1, le=100_000, description="empty: about `samples` images in all")
    samples: int = Field(12_000, ge=1, description="images seen in all where `epochs` is empty (at least 4 epochs)")
    warmup: Fraction = Field(
        0.07,
        description="share of the epochs with the tag loss alone; without `probe`, or with `contrast_stages`, at least "
        "one epoch, and longer is better",
    )
    probe: bool = Field(
        True,
        description="start the tag classifier from a logistic regression on the pretrained features, not at random; "
        "without effect where there is a CAM convolution or the weights are 'none'",
    )
    batch_size: int = Field(16, ge=1, le=65_536)
    learning_rate: Positive = Field(3e-4, description="of the backbone, at its peak")
    head_factor: Positive = Field(10.0, description="learning rate of the heads / of the backbone")
    weight_decay: NonNegative = 0.01
    tag_loss: NonNegative = Field(1.0, description="weight of the tag loss")
    pixel_loss: NonNegative = Field(1.0, description="weight of the pixel loss")
    background_weight: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.65, description="weight of background in the pixel loss on made masks, against 1 of objects"
    )
    fallback_loss: NonNegative = Field(0.1, description="weight of the image-level loss of masks without foreground")
    average: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.98, description="decay of the averaged network that makes the masks and is kept; 0: off"
    )
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    seed: int = Field(0, ge=0, le=2**31 - 1)
    loggers: tuple[str, ...] = Field(
        ("tensorboard",),
        description="where curves and pictures go besides metrics.jsonl: tensorboard, csv, or a logger of Lightning "
        "by its class's name, e.g. WandbLogger; empty: nowhere",
    )
    logger_args: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="arguments of loggers by name, e.g. {WandbLogger: {project: steel}}"
    )
    supervision: Literal["tags", "masks"] = Field("tags", description="'masks' trains the ceiling on human masks")


class PredictionConfig(_Section):
    """From scores to a mask."""

    gate: Fraction = Field(0.05, description="classes whose tag probability is below this get no pixel; 0: off")
    reassign: Fraction = Field(
        1.0,
        description="where the network sees a class that is gated or not among the given tags: 1: its probability goes "
        "to the other classes; 0: to whichever is likeliest of them and background",
    )
    share_power: Annotated[float, Field(ge=1.0, le=100.0)] = Field(1.0, description="as that of the masks; 1: off")
    image_size: int | None = Field(
        None,
        ge=0,
        le=65_536,
        description="long side at which the network sees an image; empty: data.image_size; 0: the image's own",
    )
    tile: int = Field(
        1024,
        ge=0,
        le=16_384,
        description="images larger than this, as the network sees them, go through it in overlapping tiles; 0: whole",
    )
    scales: tuple[Positive, ...] = Field((1.0, 1.25), min_length=1, description="scales whose scores are averaged")
    flip: bool = Field(True, description="average the scores with those of the mirrored image")
    prior_weight: Fraction = Field(
        0.5,
        description="share of the class-specific masks' stack, made from the gated classes, in the scores; "
        "not used by a network trained on human masks",
    )
    crf: CrfConfig = CrfConfig(bilateral_xy=60.0, bilateral_rgb=5.0)


_DEEP_MAPS_ONLY = (
    "background",
    "map_scaling",
    "background_power",
    "soft_prior",
    "soft_threshold",
    "prior_layers",
    "prior_hard_threshold",
    "cams_hard_threshold",
)
"""Options of the masks that only deep class maps have."""
_EARLIER_DEFAULTS = {"soft_threshold": 0.25}
"""What runs of version 0.1 wrote out, whether or not it had an effect."""


class Config(_Section):
    """Everything that a run depends on besides the collection."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    masks: MaskConfig = MaskConfig()
    training: TrainingConfig = TrainingConfig()
    prediction: PredictionConfig = PredictionConfig()

    @model_validator(mode="after")
    def _no_idle_option(self) -> Self:
        default = MaskConfig()
        idle = [
            name
            for name in _DEEP_MAPS_ONLY
            if getattr(self.masks, name) not in (getattr(default, name), _EARLIER_DEFAULTS.get(name))
        ]
        if self.model.contrast_stages and idle:
            raise ValueError(
                f"masks.{idle[0]} has no effect with model.contrast_stages, which cuts masks at a threshold of each "
                "image's own; leave it out (masks.soft_factor makes such masks larger or smaller), or set "
                "model.contrast_stages=[]"
            )
        return self

    def to_yaml(self) -> str:
        """Return the configuration as YAML, every option written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def override(self, options: Mapping[str, Any]) -> Config:
        """Return a copy with options replaced, by dotted name, e.g. `{"training.seed": 3}`.

        Raises:
            ConfigError: unknown name or value out of range.
        """
        tree = self.model_dump(mode="json")
        for name, value in options.items():
            _set(tree, name, value)
        return parse_config(tree)


def parse_config(tree: Mapping[str, Any], *, source: str = "configuration") -> Config:
    """Build a `Config` from nested mappings.

    Raises:
        ConfigError: unknown key or value out of range, named with its place and the nearest known key.
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(f"{source}: " + "; ".join(_describe(error.errors()))) from None


PRESETS = Path(__file__).parent / "presets"
"""Configurations that come with the package, by name: `surfaces` for textures and defects."""


def find_config(name: str | Path) -> Path:
    """The file of a configuration: the given one, or the preset of that name.

    Raises:
        ConfigError: a bare word that is neither a file nor a preset.
    """
    path = Path(name)
    if path.is_file() or path.suffix or path.parent != Path():
        return path
    preset = PRESETS / f"{name}.yaml"
    if not preset.is_file():
        known = ", ".join(sorted(one.stem for one in PRESETS.glob("*.yaml")))
        raise ConfigError(f"--config {name}: neither a file nor a preset; presets: {known}")
    return preset


def load_config(path: str | Path) -> Config:
    """Read a YAML configuration or a preset; options left out have their defaults.

    Raises:
        ConfigError: missing file, no YAML, unknown key or value out of range.
    """
    return parse_config(load_yaml(find_config(path)), source=str(path))


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigError: the file is missing or holds no mapping.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read this configuration ({error.strerror}); check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: this is no YAML ({error}); see `configs/` for examples") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected sections such as 'data:' and 'training:', got {type(tree).__name__}")
    return tree


def _set(tree: dict[str, Any], name: str, value: Any) -> None:
    *sections, key = name.split(".")
    node: Any = tree
    for section in sections:
        if not isinstance(node, dict) or section not in node:
            raise ConfigError(f"unknown option '{name}'{_suggest(name, _option_names())}")
        node = node[section]
    free = bool(sections) and sections[-1] == "backbone_args"
    if not isinstance(node, dict) or (key not in node and not free):
        raise ConfigError(f"unknown option '{name}'{_suggest(name, _option_names())}")
    node[key] = value


def _option_names(model: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    names: list[str] = []
    for name, info in model.model_fields.items():
        annotation = info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            names += _option_names(annotation, f"{prefix}{name}.")
        else:
            names.append(prefix + name)
    return names


def _suggest(name: str, known: list[str]) -> str:
    leaf = name.rsplit(".", 1)[-1]
    near = difflib.get_close_matches(name, known, 1, 0.5) or [
        option for option in known if difflib.get_close_matches(leaf, [option.rsplit(".", 1)[-1]], 1, 0.6)
    ]
    return f"; did you mean '{near[0]}'?" if near else ""


def _describe(details: Iterable[Any]) -> list[str]:
    """A line for each thing that is wrong; one for an option that may be of several kinds and is none of them."""
    known = _option_names()
    lines: list[str] = []
    wrong: dict[str, tuple[list[str], Any]] = {}
    for detail in details:
        loc = [str(part) for part in detail["loc"]]
        place = ".".join(loc)
        if detail["type"] == "extra_forbidden":
            lines.append(f"unknown option '{place}'{_suggest(place, known)}")
            continue
        kind_tried = ".".join(loc[:-1]) in known and not isinstance(detail["loc"][-1], int)
        messages, _ = wrong.setdefault(".".join(loc[:-1]) if kind_tried else place, ([], detail["input"]))
        messages.append(str(detail["msg"]).removeprefix("Value error, "))
    for place, (messages, value) in wrong.items():
        text = ", or ".join([messages[0], *(message[:1].lower() + message[1:] for message in messages[1:])])
        shown = "" if isinstance(value, Mapping) else f" (got {value!r})"
        lines.append(f"{place}: {text}{shown}" if place else text)
    return lines
