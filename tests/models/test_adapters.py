"""Every kind of timm network as a backbone, compared with what timm itself computes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn

from tag2mask.core.errors import ConfigError
from tag2mask.models import Backbone, load_backbone_weights
from tag2mask.models.backbones import plan

WEIGHTS = Path(__file__).resolve().parents[3] / "shared" / "weights"

# Channels last; tokens of patches 16 and 14; convolutions of a fixed size; tokens of a fixed size; stages of odd grids;
# no padding; no output stride of 16.
KINDS = {
    "test_mambaout": (32, None),
    "test_vit": (16, None),
    "eva02_tiny_patch14_224": (14, None),
    "test_coatnet": (32, (160, 160)),
    "test_vit_relpos": (16, (160, 160)),
    "levit_128s": (64, (224, 224)),
    "legacy_xception": (32, None),
    "mobilevitv2_050": (16, None),
}


def backbone(name: str, stride: int = 16, **options: Any) -> Backbone:
    torch.manual_seed(0)
    return Backbone(name, output_stride=stride, freeze_norm=True, **options).eval()


def images(*size: int, seed: int = 1) -> Tensor:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def maps(net: Backbone, batch: Tensor) -> list[Tensor]:
    features: list[Tensor] = net(batch)
    return features


@pytest.mark.parametrize("name", KINDS)
def test_maps_of_images_of_any_size(name: str) -> None:
    net = backbone(name)
    stride, fixed = KINDS[name]
    assert (net.strides[-1], net.fixed_size) == (stride, fixed)
    for size in ((61, 83), (1, 1), (200, 96)):
        features = maps(net, images(*size))
        assert [feature.shape[:2] for feature in features] == [(2, channels) for channels in net.channels]
        assert all(torch.isfinite(feature).all() for feature in features)
    rows, columns = (net.input_multiple * 6, net.input_multiple * 8)
    height, width = fixed or (rows, columns)
    last = maps(net, images(rows, columns))[-1].shape[2:]
    assert last == (-(-height // stride), -(-width // stride)) or name == "legacy_xception"


@pytest.mark.parametrize("name", ["test_mambaout", "test_vit", "test_coatnet"])
def test_what_is_at_the_right_of_the_image_is_at_the_right_of_the_maps(name: str) -> None:
    net = backbone(name)
    size = net.fixed_size or (128, 256)
    before = images(*size)
    after = before.clone()
    after[..., -size[1] // 8 :] += 3 * images(size[0], size[1] // 8, seed=2)
    change = (maps(net, before)[0] - maps(net, after)[0]).abs().mean(dim=(0, 1, 2))
    assert int(change.argmax()) >= len(change) * 3 // 4


@pytest.mark.parametrize(
    ("name", "args"),
    [("test_vit", {}), ("test_vit", {"global_pool": "avg"}), ("eva02_tiny_patch14_224", {})],
    ids=["class token", "norm after pooling", "EVA02"],
)
def test_the_last_stage_is_what_timm_calls_the_features(name: str, args: dict[str, Any]) -> None:
    net = backbone(name, args=args)
    full: Any = timm.create_model(name, dynamic_img_size=True, **args).eval()
    model: Any = net.net.model
    missing = full.load_state_dict(model.state_dict(), strict=False).missing_keys
    assert all(key.startswith("head") for key in missing)
    batch = images(4 * net.input_multiple, 6 * net.input_multiple)
    with torch.no_grad():
        tokens = full.forward_features(batch)[:, full.num_prefix_tokens :]
        if isinstance(full.norm, nn.Identity):  # it pools before the norm
            tokens = full.fc_norm(tokens)
    torch.testing.assert_close(maps(net, batch)[-1].flatten(2).transpose(1, 2), tokens)
    assert len(net.channels) == 4


def test_channels_last_networks_give_what_timm_gives() -> None:
    net = backbone("test_mambaout")
    batch = images(96, 160)
    with torch.no_grad():
        for found, expected in zip(net(batch), net.net(batch), strict=True):
            assert torch.equal(found, expected.permute(0, 3, 1, 2))
            assert found.shape[2:] == expected.shape[1:3]


@pytest.mark.parametrize("name", ["test_vit", "vit_tiny_patch16_dinov3_qkvb"])
def test_attention_is_that_of_queries_and_keys(name: str) -> None:
    net = backbone(name)
    layer: Any = net.net.model.blocks[-1].attn  # type: ignore[union-attr, index]
    seen: list[Tensor] = []
    fused = layer.fused_attn
    handle = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    batch = images(96, 128)
    with torch.no_grad():
        found = net.attention(batch, blocks=2)
    handle.remove()
    assert found is not None
    assert (found.grid, found.patches.shape) == ((6, 8), (2, 2, 48, 48))
    assert layer.fused_attn is fused
    for one, other in zip(found.features, maps(net, batch), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    assert found.class_token is not None
    rows = found.patches.sum(dim=-1)
    assert (rows > 0.5).all()
    assert (rows < 1).all()  # class and register tokens have the rest
    if name == "test_vit":  # DINOv3 also rotates queries and keys by position
        tokens = seen[0]
        heads = layer.num_heads
        with torch.no_grad():
            query, key, _ = layer.qkv(tokens).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
            logits = layer.q_norm(query) @ layer.k_norm(key).transpose(-1, -2) / query.shape[-1] ** 0.5
        expected = logits.softmax(-1).mean(dim=1)
        torch.testing.assert_close(found.patches[:, -1], expected[:, 1:, 1:])
        torch.testing.assert_close(found.class_token[:, -1], expected[:, 0, 1:])


@pytest.mark.parametrize("name", ["test_resnet", "test_mambaout", "test_coatnet"])
def test_networks_without_attention_of_all_patches_have_none(name: str) -> None:
    assert backbone(name).attention(images(64, 64)) is None


@pytest.mark.parametrize("name", ["test_efficientnet", "mobilenetv2_050"])
def test_the_convolution_before_the_classifier_as_a_stage(name: str, tmp_path: Path) -> None:
    full: Any = timm.create_model(name).eval()
    save_file(full.state_dict(), tmp_path / "w.safetensors")
    net = backbone(name, 32, with_head=True)
    load_backbone_weights(net, str(tmp_path / "w.safetensors"))
    batch = images(64, 96)
    features = maps(net, batch)
    with torch.no_grad():
        torch.testing.assert_close(features[-1], full.forward_features(batch))
    assert net.channels == tuple(feature.shape[1] for feature in features)
    assert len(net.strides) == len(features)
    assert len(backbone(name, 32).channels) == len(features) - 1
    norms = [module for module in net.train().modules() if isinstance(module, nn.BatchNorm2d)]
    assert not any(norm.training for norm in norms)


def test_networks_without_such_a_convolution_have_no_such_stage() -> None:
    assert backbone("test_resnet", with_head=True).channels == backbone("test_resnet").channels


def test_the_network_s_own_stride_is_kept_and_said(caplog: pytest.LogCaptureFixture) -> None:
    plan._plans.clear()
    with caplog.at_level(logging.INFO, logger="tag2mask"):
        assert backbone("test_mambaout").strides[-1] == 32
    assert "'test_mambaout' has output stride 32; it cannot have 16" in caplog.text
    assert backbone("test_mambaout", 32).strides[-1] == 32
    with pytest.raises(ConfigError, match=r"cannot be changed to 8; set model.output_stride to 32, or leave it out"):
        backbone("test_mambaout", 8)


def test_a_fixed_size_is_said_and_can_be_another(caplog: pytest.LogCaptureFixture) -> None:
    plan._plans.clear()
    with caplog.at_level(logging.INFO, logger="tag2mask"):
        assert maps(backbone("test_coatnet"), images(64, 96))[-1].shape[2:] == (5, 5)
    assert "takes only images of 160 x 160" in caplog.text
    larger = backbone("test_coatnet", args={"img_size": 224})
    assert larger.fixed_size == (224, 224)
    assert maps(larger, images(64, 96))[-1].shape[2:] == (7, 7)


class Vectors(nn.Module):
    """Like a network that gives no maps."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, batch: Tensor) -> list[Tensor]:
        return [self.layer(batch.mean(dim=(2, 3)))]


def test_what_gives_no_maps_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    plan._plans.clear()
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: Vectors())
    with pytest.raises(ConfigError, match=r"'resnet26' has no feature maps .*are no maps \(B, C, H, W\) but \(2, 4\)"):
        backbone("resnet26")


def test_what_does_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plan._plans.clear()
    monkeypatch.setattr(plan, "usable_memory", lambda: 1 << 20)
    with pytest.raises(ConfigError, match=r"this machine has 0 GiB of memory: choose a smaller one"):
        backbone("test_resnet")
    plan._plans.clear()


@pytest.mark.parametrize(
    ("name", "args", "reason"),
    [
        ("test_vit", {"nonsense": 1}, "nonsense"),
        ("resnet18.nowhere", {}, "nowhere"),
        ("test_vit", {"img_size": -3}, "no feature maps"),
    ],
)
def test_wrong_names_and_arguments_are_config_errors(name: str, args: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        backbone(name, args=args)


def test_trying_leaves_the_random_state_alone() -> None:
    plan._plans.clear()
    torch.manual_seed(3)
    first = Backbone("test_vit", output_stride=16, freeze_norm=True).state_dict()
    torch.manual_seed(3)
    second = Backbone("test_vit", output_stride=16, freeze_norm=True).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", ["test_mambaout", "test_vit", "test_coatnet"])
def test_the_first_stages_are_frozen_alone(name: str) -> None:
    net = backbone(name, freeze_stages=2)
    net(images(96, 96))[1].sum().requires_grad_().backward()
    assert all(parameter.grad is None for parameter in net.parameters())
    net(images(96, 96))[-1].sum().backward()
    learning = [parameter for parameter in net.parameters() if parameter.requires_grad]
    assert learning
    assert all(parameter.grad is not None for parameter in learning)


def test_stages_are_shared_by_vision_transformers() -> None:
    net, own = backbone("test_vit"), backbone("test_vit")
    own.share_stages(net, 3)
    theirs = {id(parameter) for parameter in net.parameters()}
    other = [name for name, parameter in own.named_parameters() if id(parameter) not in theirs]
    assert other
    assert all(name.startswith(("net.model.blocks.4", "net.model.blocks.5", "net.model.norm")) for name in other)


def test_position_embeddings_of_another_grid_are_resampled(tmp_path: Path) -> None:
    full: Any = timm.create_model("test_vit")
    save_file({key: value.half() for key, value in full.state_dict().items()}, tmp_path / "w.safetensors")
    net = backbone("test_vit", args={"img_size": 96})
    load_backbone_weights(net, str(tmp_path / "w.safetensors"))
    halved = full.state_dict()["pos_embed"].half().float()
    expected = resample_abs_pos_embed(halved, [6, 6], num_prefix_tokens=full.num_prefix_tokens)
    found = net.state_dict()["net.model.pos_embed"]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


def test_runs_with_vision_transformers_of_before_still_load() -> None:
    """Their stages were the last three blocks, as timm's `features_only` has them, without the final norm."""
    torch.manual_seed(2)
    old = timm.create_model("test_vit", features_only=True, dynamic_img_size=True).eval()
    net = backbone("test_vit")
    net.load_state_dict({f"net.{key}": value for key, value in old.state_dict().items()})
    batch = images(64, 96)
    with torch.no_grad():
        expected = old(batch)
    found = maps(net, batch)
    assert len(found) == len(expected) == len(net.channels)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("file", "name", "args"),
    [
        ("resnet18", "resnet18", {}),
        ("deit_tiny_patch16_224", "deit_tiny_patch16_224", {}),
        ("tf_efficientnet_lite2", "tf_efficientnet_lite2", {}),
        ("mobilenetv2_100.tf_same", "mobilenetv2_100", {"pad_type": "same"}),
    ],
)
def test_published_weights_give_timm_s_features(file: str, name: str, args: dict[str, Any]) -> None:
    path = WEIGHTS / f"{file}.safetensors"
    if not path.is_file():
        pytest.skip(f"{path}: no published weights here; they are not part of the repository")
    full: Any = timm.create_model(name, **args).eval()
    full.load_state_dict({key: value.float() for key, value in load_file(path).items()}, strict=False)
    net = backbone(name, 32 if name != "deit_tiny_patch16_224" else 16, args=args, with_head=True)
    load_backbone_weights(net, str(path))
    batch = images(224, 224)
    with torch.no_grad():
        expected = full.forward_features(batch)
    found = maps(net, batch)[-1]
    if expected.ndim == 3:
        expected = expected[:, 1:].transpose(1, 2).reshape(found.shape)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_stages_that_the_user_chose_are_kept() -> None:
    net = backbone("test_vit", args={"out_indices": [1, 3]})
    assert len(net.channels) == len(maps(net, images(64, 64))) == 2
