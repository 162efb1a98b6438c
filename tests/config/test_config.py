from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tag2mask.config.load import PRESETS, load_config, parse_config
from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError


def test_yaml_there_and_back() -> None:
    config = Config().override({"training.seed": 3, "data.scale": [0.5, 2.0], "model.backbone_args.pad_type": "same"})
    assert parse_config(yaml.safe_load(config.to_yaml())) == config
    assert config.training.seed == 3
    assert config.data.scale == (0.5, 2.0)
    assert config.model.backbone_args == {"pad_type": "same"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"training.epoch": 3}, "did you mean 'training.epochs'"),
        ({"trainning.epochs": 3}, "unknown option 'trainning.epochs'; did you mean 'training.epochs'"),
        ({"epochs": 3}, "did you mean 'training.epochs'"),
        ({"training.epochs": 0}, "training.epochs: Input should be greater than or equal to 1 (got 0)"),
        ({"data.scale": [2.0, 1.0]}, "configuration: data: scale: 2.0 is above 1.0; give the smaller one first"),
        (
            {"masks.soft_threshold": 3},
            "soft_threshold: Input should be 'auto', 'area' or 'otsu', or input should be less than or equal",
        ),
        ({"model.output_stride": 12}, "model.output_stride"),
        ({"paper.background": "black"}, "paper.background"),
        ({"masks.refresh": 0}, "paper.every_step=true"),
        ({"model.backbone_args": {"checkpoint_path": "/etc/passwd"}}, "may not have checkpoint_path"),
        (
            {"model.backbone_args.pretrained_cfg_overlay": {"file": "/etc/passwd"}},
            "may not have pretrained_cfg_overlay",
        ),
        ({"training.learning_rate": float("nan")}, "finite"),
    ],
)
def test_bad_options_name_place_and_remedy(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config().override(options)
    assert words in str(caught.value)


def test_arguments_of_others_may_be_given_singly() -> None:
    options = {"training.loggers": ["WandbLogger"], "training.logger_args.WandbLogger.project": "steel"}
    config = Config().override({**options, "model.backbone_args.pad_type": "same"})
    assert config.training.logger_args == {"WandbLogger": {"project": "steel"}}
    assert config.model.backbone_args == {"pad_type": "same"}


def test_a_measured_threshold_has_the_factor_in_it() -> None:
    config = Config().override({"masks.soft_factor": 0.8})
    assert config.with_threshold("auto") == config
    masks = config.with_threshold(0.2).masks
    assert (masks.soft_threshold, masks.soft_factor) == (0.2, 1.0)


def test_unknown_key_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("data: {image_sise: 200}\n")
    with pytest.raises(
        ConfigError, match=r"c\.yaml: unknown option 'data\.image_sise'; did you mean 'data\.image_size'"
    ):
        load_config(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [("- a\n- b\n", "expected sections"), ("a: [", "no YAML"), ("!!python/object:os.x {}", "no YAML")],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_config(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="check the path"):
        load_config(tmp_path / "none.yaml")


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("")
    assert load_config(path) == Config()


@pytest.mark.parametrize(
    "path",
    [*sorted((Path(__file__).parents[2] / "configs").glob("*.yaml")), *sorted(PRESETS.glob("*.yaml"))],
    ids=lambda path: path.name,
)
def test_committed_configurations_load(path: Path) -> None:
    load_config(path)


def test_an_option_without_effect_is_refused() -> None:
    surfaces = load_config("surfaces")
    with pytest.raises(
        ConfigError, match=r"masks\.soft_threshold has no effect with model\.contrast_stages.*soft_factor"
    ):
        surfaces.override({"masks.soft_threshold": 0.4})
    surfaces.override({"masks.soft_factor": 0.8})
    surfaces.override({"masks.soft_threshold": 0.4, "model.contrast_stages": []})


def test_a_preset_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_config("surfaces").model.contrast_stages == (0, 1)
    with pytest.raises(ConfigError, match="neither a file nor a preset; presets: .*surfaces"):
        load_config("surface")
    monkeypatch.chdir(tmp_path)
    Path("surfaces").write_text("training: {seed: 7}\n")
    assert load_config("surfaces").training.seed == 7  # a file of that name comes first
