"""Where the weights of each backbone come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tag2mask.config import Config, load_config
from tag2mask.config.load import load_yaml, parse_stored_config

TWO: dict[str, Any] = {"model.frozen": True, "model.companions": [{"backbone": "test_vit"}]}


@pytest.mark.parametrize(
    ("weights", "of_companion"), [("hub", "hub"), ("package", "hub"), ("none", "none"), ("a.safetensors", "hub")]
)
def test_a_companion_left_without_weights(weights: str, of_companion: str) -> None:
    config = Config().override({**TWO, "model.weights": weights})
    backbone = "tf_efficientnet_lite2" if weights == "package" else "resnet18"
    assert config.model.backbone_weights() == ((backbone, weights), ("test_vit", of_companion))
    assert config.model.companions[0].weights is None


def test_a_folder_is_that_of_the_companions_too(tmp_path: Path) -> None:
    config = Config().override({**TWO, "model.weights": tmp_path})  # a path, as from Python
    assert [weights for _, weights in config.model.backbone_weights()] == [str(tmp_path)] * 2
    named = config.override({"model.companions": [{"backbone": "test_vit", "weights": "hub"}]})
    assert named.model.backbone_weights()[1] == ("test_vit", "hub")


def test_a_folder_may_have_the_name_of_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("hub", "package"):
        (tmp_path / name).mkdir()
        assert Config().override({**TWO, "model.weights": name}).model.backbone_weights()[1][1] == "hub"
        assert Config().override({"model.weights": Path(name)}).model.weights == f"./{name}"
        for path in (f"./{name}", f"{name}/"):
            assert Config().override({**TWO, "model.weights": path}).model.backbone_weights()[1][1] == path


def test_the_slash_of_a_shell_makes_no_other_settings(tmp_path: Path) -> None:
    assert Config().override({"model.weights": f"{tmp_path}/"}) == Config().override({"model.weights": str(tmp_path)})
    assert Config().override({"model.weights": "/"}).model.weights == "/"


def test_what_a_run_kept_is_read_again_also_of_earlier_versions(tmp_path: Path) -> None:
    config = load_config("frozen").override({"model.weights": tmp_path})
    path = tmp_path / "config.yaml"
    path.write_text(config.to_yaml())
    assert parse_stored_config(load_yaml(path), source="config.yaml") == config
    tree = config.model_dump(mode="json")
    tree["model"]["companions"][0]["weights"] = "hub"
    assert parse_stored_config(tree, source="config.yaml").model.backbone_weights()[1][1] == "hub"
