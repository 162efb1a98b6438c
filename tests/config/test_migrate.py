"""Configurations that version 1 stored still load; in a person's own file its names are explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tag2mask.config.load import load_config, parse_stored_config
from tag2mask.config.migrate import MOVED, REMOVED
from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError

STORED = Path(__file__).parent / "version1.yaml"


def stored(**changes: object) -> dict[str, Any]:
    """The defaults of version 1 with changes by dotted name, `__` for the dot."""
    tree: dict[str, Any] = yaml.safe_load(STORED.read_text(encoding="utf-8"))
    for name, value in changes.items():
        section, _, key = name.partition("__")
        assert key in tree[section]
        tree[section][key] = value
    return tree


def load(**changes: object) -> Config:
    return parse_stored_config(stored(**changes), source="model.yaml")


def test_its_defaults_are_ours() -> None:
    assert load() == Config()


def test_what_this_version_stores_loads_as_it_is() -> None:
    config = Config().override({"paper.background": "prior", "training.seed": 3})
    assert parse_stored_config(config.model_dump(mode="json"), source="model.yaml") == config


def test_options_are_where_they_moved_to() -> None:
    assert load(data__hide_image_probability=0.5, data__hide_grid=8).paper.hide_grid == 8
    assert load(model__cam_dropout=0.2).model.tag_dropout == 0.2
    assert load(model__shared_stages=3, model__cam_channels=64).paper.cam_channels == 64
    config = load(masks__background="prior_hard", masks__prior_hard_threshold=0.4, masks__map_scaling="min_max")
    assert (config.paper.background, config.paper.prior_hard_threshold) == ("prior_hard", 0.4)
    assert config.paper.map_scaling == "min_max"


def test_values_that_are_options_of_their_own_now() -> None:
    assert load(masks__refresh=0).paper.every_step
    assert load(masks__refresh=0).masks.refresh == Config().masks.refresh
    assert load(masks__refresh=3).masks.refresh == 3
    assert load(masks__reassign=0.0, prediction__reassign=0.0).paper.plain_gate
    assert not load(masks__reassign=1.0, prediction__reassign=1.0).paper.plain_gate


def test_options_that_had_no_effect_have_their_defaults() -> None:
    config = load(model__contrast_stages=[0, 1], masks__soft_threshold=0.25, masks__soft_factor=1.4)
    assert (config.masks.soft_threshold, config.masks.soft_factor) == ("auto", 1.4)
    assert load(data__hide_probability=0.0).paper == Config().paper
    assert load(masks__soft_threshold=0.3, masks__soft_factor=0.8).masks.soft_factor == 1.0
    config = load(masks__background="prior", masks__soft_threshold=0.35, masks__soft_factor=1.4)
    assert (config.masks.soft_threshold, config.masks.soft_factor) == ("auto", 1.0)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"masks__hold_size": True}, "masks.hold_size is True"),
        ({"masks__share_power": 4.0}, "masks.share_power is 4.0"),
        ({"prediction__share_power": 4.0}, "prediction.share_power"),
        ({"masks__confidence": 0.9}, "masks.confidence"),
        ({"masks__soft_slope": 20.0}, "masks.soft_slope"),
        ({"training__tag_loss": 2.0}, "training.tag_loss"),
        ({"masks__reassign": 0.0}, "masks.reassign and prediction.reassign"),
        ({"masks__reassign": 0.5, "prediction__reassign": 0.5}, "masks.reassign and prediction.reassign"),
    ],
)
def test_a_value_that_is_gone_is_an_error_that_names_it(changes: dict[str, object], name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(**changes)
    assert str(caught.value).startswith("model.yaml: ")
    assert name in str(caught.value)


@pytest.mark.parametrize("old", [*MOVED, *REMOVED, "masks.reassign", "prediction.reassign"])
def test_an_old_name_of_a_persons_own_is_explained(old: str, tmp_path: Path) -> None:
    section, _, key = old.partition(".")
    (tmp_path / "mine.yaml").write_text(f"{section}: {{{key}: 1}}\n")
    expected = f"{old} is {MOVED[old]} now" if old in MOVED else f"{old} is gone"
    with pytest.raises(ConfigError, match=expected):
        load_config(tmp_path / "mine.yaml")
    with pytest.raises(ConfigError, match=expected):
        Config().override({old: 1})
