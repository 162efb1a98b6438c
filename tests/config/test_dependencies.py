"""No option is silently without effect: every declared dependency refuses when it is not met."""

from __future__ import annotations

from typing import Any

import pytest

from tag2mask.config.dependencies import options, value_of
from tag2mask.config.options import Condition, declared_needs
from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError

DECLARED = [
    (name, needed, condition)
    for name, info in options(Config)
    for needed, condition in declared_needs(info.json_schema_extra).items()
]
OTHERS: dict[str, Any] = {
    "data.crop_size": 128,
    "data.scale": [1.0, 1.1],
    "data.colour_jitter": 0.1,
    "data.workers": 1,
    "model.companions": [{"backbone": "deit_tiny_patch16_224"}],
    "model.feature_channels": 64,
    "model.freeze_norm": False,
    "model.freeze_stages": 1,
    "model.tag_dropout": 0.1,
    "training.contradicted_weight": 0.5,
    "training.warmup": 0.5,
    "training.probe": False,
    "training.fallback_loss": 0.3,
    "paper.hide_image_probability": 0.5,
    "paper.shared_stages": 2,
    "paper.cam_channels": 16,
    "paper.every_step": True,
    "masks.soft_prior": 0.1,
    "masks.soft_threshold": 0.4,
    "masks.soft_factor": 1.5,
    "masks.spread": 0.5,
    "masks.prior_layers": [-2],
    "masks.refresh": 7,
    "masks.scales": [1.0],
    "masks.flip": True,
    "training.logger_args": {"WandbLogger": {}},
    "paper.hide_grid": 8,
    "paper.hide_probability": 0.1,
    "paper.hide_from": "recognition",
    "paper.background": "prior",
    "paper.map_scaling": "min_max",
    "paper.background_power": 2.0,
    "paper.prior_hard_threshold": 0.1,
    "paper.cams_hard_threshold": 0.1,
}
"""A value other than the default for every option that needs something."""

UNMET: dict[str, list[Any]] = {
    "paper.background": ["soft", "prior", "prior_hard", "cams_hard", "cams"],
    "paper.every_step": [True],
    "paper.hide_image_probability": [0.0],
    "masks.soft_threshold": [0.3],
    "model.contrast_stages": [[0, 1]],
    "model.frozen": [True, False],
    "training.loggers": [[], ["tensorboard"]],
}
"""Values of every needed option, among them those that do not meet a condition."""


def meets(value: Any, condition: Condition) -> bool:
    if "one_of" in condition:
        allowed = condition["one_of"]
        assert isinstance(allowed, list)
        return value in allowed
    return False


def test_the_table_has_every_dependency() -> None:
    assert {name for name, *_ in DECLARED} == set(OTHERS)
    assert {needed for _, needed, _ in DECLARED} == set(UNMET)


@pytest.mark.parametrize(
    ("name", "needed", "condition"), DECLARED, ids=lambda part: part if isinstance(part, str) else ""
)
def test_an_option_is_refused_where_what_it_needs_is_not_met(name: str, needed: str, condition: Condition) -> None:
    default = value_of(Config(), name)
    assert Config().override({name: default}) == Config()
    values = [value for value in UNMET[needed] if not meets(value, condition)]
    assert values
    for value in values:
        with pytest.raises(ConfigError) as caught:
            Config().override({name: OTHERS[name], needed: value})
        said = str(caught.value)
        assert f"{name} " in said
        assert f"has no effect with {needed}=" in said
        assert f"set {needed}" in said or f"to {needed}" in said


@pytest.mark.parametrize(
    "options",
    [
        {"paper.background": "cams", "paper.background_power": 2.0},
        {"paper.hide_image_probability": 0.5, "paper.hide_grid": 8, "paper.hide_from": "recognition"},
        {"model.contrast_stages": [0], "masks.soft_factor": 0.8},
        {"masks.soft_threshold": "otsu", "masks.soft_factor": 0.8},
        {"training.loggers": ["csv"], "training.logger_args": {"csv": {"flush_logs_every_n_steps": 5}}},
    ],
    ids=str,
)
def test_options_that_have_an_effect_are_taken(options: dict[str, Any]) -> None:
    Config().override(options)


@pytest.mark.parametrize("off", [{"masks.crf.enabled": False}, {"training.supervision": "masks"}], ids=str)
def test_a_part_may_be_switched_off_whatever_its_settings(off: dict[str, Any]) -> None:
    settings = {"masks.crf.bilateral_xy": 10, "masks.soft_prior": 0.2, "training.background_weight": 0.9}
    Config().override({**settings, **off})
