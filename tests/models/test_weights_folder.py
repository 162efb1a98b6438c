"""`model.weights` names a folder with a safetensors file of each backbone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from tag2mask.config import Config
from tag2mask.core.errors import ConfigError, WeightsError
from tag2mask.models import Backbone, FrozenSegmenter, build_network, load_backbone_weights
from tag2mask.models.backbone import require_weights
from tag2mask.models.backbones.weights_folder import find_weights, mismatch

Write = Callable[..., Path]
SMALL = {
    "data.image_size": 64,
    "model.backbone": "test_resnet",
    "model.frozen": True,
    "model.companions": [{"backbone": "test_vit"}],
    "model.feature_channels": 16,
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes random weights of networks, by their timm names or as `file=name`, into a folder."""

    def files(*names: str, **others: str) -> Path:
        folder = tmp_path / "weights"
        folder.mkdir(exist_ok=True)
        for file, name in {**{name: name.partition(".")[0] for name in names}, **others}.items():
            torch.manual_seed(len(file))
            save_file(timm.create_model(name).state_dict(), folder / f"{file}.safetensors")
        return folder

    return files


def empty(tmp_path: Path, *names: str) -> Path:
    """A folder with files of these names."""
    folder = tmp_path / "weights"
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def of_file(path: Path, key: str) -> torch.Tensor:
    return load_file(path)[key]


def test_each_backbone_gets_its_file(write: Write) -> None:
    folder = write("test_resnet", "test_vit", "resnet10t")
    network = build_network(Config().override({**SMALL, "model.weights": f"{folder}/"}), 2)
    assert isinstance(network, FrozenSegmenter)
    resnet, vit = network.backbones
    assert torch.equal(
        resnet.state_dict()["net.layer1.0.conv1.weight"],
        of_file(folder / "test_resnet.safetensors", "layer1.0.conv1.weight"),
    )
    key = next(key for key in vit.state_dict() if key.endswith("blocks.0.attn.qkv.weight"))
    assert torch.equal(vit.state_dict()[key], of_file(folder / "test_vit.safetensors", "blocks.0.attn.qkv.weight"))


def test_a_companion_with_weights_of_its_own_keeps_them(write: Write, tmp_path: Path) -> None:
    folder = write("test_resnet")
    torch.manual_seed(3)
    save_file(timm.create_model("test_vit").state_dict(), tmp_path / "mine.safetensors")
    companion = {"backbone": "test_vit", "weights": tmp_path / "mine.safetensors"}
    config = Config().override({**SMALL, "model.weights": folder, "model.companions": [companion]})
    require_weights(config.model)
    network = build_network(config, 2)
    assert isinstance(network, FrozenSegmenter)
    vit = network.backbones[1]
    key = next(key for key in vit.state_dict() if key.endswith("blocks.0.attn.qkv.weight"))
    assert torch.equal(vit.state_dict()[key], of_file(tmp_path / "mine.safetensors", "blocks.0.attn.qkv.weight"))


def test_a_network_that_is_trained_as_a_whole_takes_its_file(write: Write) -> None:
    folder = write("test_resnet", "test_vit")
    network = Backbone("test_resnet", output_stride=16, freeze_norm=True)
    load_backbone_weights(network, str(folder))
    expected = of_file(folder / "test_resnet.safetensors", "layer1.0.conv1.weight")
    assert torch.equal(network.state_dict()["net.layer1.0.conv1.weight"], expected)


@pytest.mark.parametrize(
    ("name", "files", "found"),
    [
        ("test_vit", ["test_vit", "test_vit.r160_in1k", "test_vit2"], "test_vit"),
        ("test_vit.r160_in1k", ["test_vit", "test_vit.r160_in1k"], "test_vit.r160_in1k"),
        ("test_vit.r160_in1k", ["test_vit", "test_vit2.r160_in1k"], "test_vit"),
        ("test_vit", ["test_vit.r160_in1k", "test_vit2.r160_in1k", "test_vit2"], "test_vit.r160_in1k"),
        ("deit_tiny_patch16_224.fb_in1k", ["deit_tiny_patch16_224"], "deit_tiny_patch16_224"),
    ],
)
def test_names_with_and_without_a_tag(tmp_path: Path, name: str, files: list[str], found: str) -> None:
    folder = empty(tmp_path, *(f"{one}.safetensors" for one in files), "test_vit.txt", "README.md")
    assert find_weights(folder, name) == folder / f"{found}.safetensors"
    assert not mismatch(folder / f"{found}.safetensors", name)


def test_several_files_that_may_be_meant(tmp_path: Path) -> None:
    folder = empty(
        tmp_path,
        "vit_tiny_patch16_224.augreg_in21k.safetensors",
        "vit_tiny_patch16_224.augreg_in21k_ft_in1k.safetensors",
    )
    with pytest.raises(WeightsError) as error:
        find_weights(folder, "vit_tiny_patch16_224")
    for path in folder.iterdir():
        assert path.name in str(error.value)
    assert "name the backbone with its tag, e.g. 'vit_tiny_patch16_224.augreg_in21k'" in str(error.value)
    named = find_weights(folder, "vit_tiny_patch16_224.augreg_in21k")
    assert named.name == "vit_tiny_patch16_224.augreg_in21k.safetensors"


def test_weights_of_another_tag_are_not_taken_for_those_that_were_named(tmp_path: Path) -> None:
    folder = empty(tmp_path, "vit_tiny_patch16_224.augreg_in21k.safetensors")
    with pytest.raises(WeightsError, match="it holds vit_tiny_patch16_224.augreg_in21k.safetensors"):
        find_weights(folder, "vit_tiny_patch16_224.augreg_in21k_ft_in1k")


def test_weights_that_want_another_normalisation_are_refused(tmp_path: Path) -> None:
    """DINO's are trained with ImageNet's mean and deviation, timm's default weights of the network with 0.5."""
    folder = empty(tmp_path, "vit_small_patch16_224.dino.safetensors")
    with pytest.raises(ConfigError, match="another way .*; name the backbone 'vit_small_patch16_224.dino' in full"):
        find_weights(folder, "vit_small_patch16_224")
    assert find_weights(folder, "vit_small_patch16_224.dino").name == "vit_small_patch16_224.dino.safetensors"


def test_a_tag_that_timm_does_not_know_is_said(tmp_path: Path) -> None:
    folder = empty(tmp_path, "mobilenetv2_100.tf_same.safetensors")
    found = find_weights(folder, "mobilenetv2_100")
    assert "timm knows no weights 'tf_same' of 'mobilenetv2_100'" in mismatch(found, "mobilenetv2_100")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    folder = empty(tmp_path, "resnet18.safetensors", "test_vit2.safetensors", "deit_tiny_patch16_224.bin")
    with pytest.raises(WeightsError) as error:
        find_weights(folder, "deit_tiny_patch16_224", companion=True)
    for part in (
        str(folder),
        "looked for deit_tiny_patch16_224.safetensors and deit_tiny_patch16_224.TAG.safetensors",
        "it holds resnet18.safetensors, test_vit2.safetensors;",
        "(on the hub: model.safetensors of timm/deit_tiny_patch16_224.fb_in1k)",
        "or leave it out of `model.companions`",
    ):
        assert part in str(error.value)
    with pytest.raises(WeightsError, match="looked for test_vit.r160_in1k.safetensors and test_vit.safetensors"):
        find_weights(folder, "test_vit.r160_in1k")


def test_folders_without_safetensors_files(tmp_path: Path) -> None:
    (tmp_path / "resnet18.safetensors").mkdir()  # a folder of that name is no file
    with pytest.raises(WeightsError, match="resnet18.TAG.safetensors, it holds no file; put them there"):
        find_weights(tmp_path, "resnet18")
    (tmp_path / "resnet18.bin").touch()
    with pytest.raises(WeightsError, match="it holds no safetensors file, only resnet18.bin; put"):
        find_weights(tmp_path, "resnet18")


@pytest.mark.parametrize("name", ["../resnet18", "timm/resnet18", "..\\resnet18", "/etc/resnet18"])
def test_names_do_not_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    empty(tmp_path)
    (tmp_path / "resnet18.safetensors").touch()
    with pytest.raises(ConfigError, match="which has no slash"):
        find_weights(tmp_path / "weights", name)


def test_files_are_looked_for_before_work(write: Write, tmp_path: Path) -> None:
    folder = write("test_resnet")
    config = Config().override({**SMALL, "model.weights": folder})
    with pytest.raises(WeightsError, match="no weights of 'test_vit' in this folder"):
        require_weights(config.model)
    require_weights(config.override({"model.companions": []}).model)
    with pytest.raises(WeightsError, match="no such weights file or folder"):
        require_weights(config.override({"model.weights": tmp_path / "nowhere"}).model)
    require_weights(Config().model)  # what the hub has is not known


def test_a_wrong_or_damaged_file_of_a_folder_is_named(write: Write) -> None:
    folder = write("test_resnet", test_vit="resnet10t")
    config = Config().override({**SMALL, "model.weights": folder})
    with pytest.raises(WeightsError, match=r"test_vit.safetensors: these weights are not those of 'test_vit'"):
        build_network(config, 2)
    (folder / "test_vit.safetensors").write_bytes(b"\x80\x04no tensor")
    with pytest.raises(WeightsError, match=r"test_vit.safetensors: cannot read .* \(pickled checkpoints are not"):
        build_network(config, 2)


def test_hub_failure_of_a_companion_names_what_helps_it(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    made = timm.create_model

    def refuse(name: str, *, pretrained: bool = False, **options: Any) -> object:
        if pretrained:
            raise OSError("no route to the hub")
        return made(name, pretrained=False, **options)

    file = write("test_resnet") / "test_resnet.safetensors"
    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(WeightsError, match="weights of 'test_vit' from the hub .OSError: no route") as error:
        build_network(Config().override({**SMALL, "model.weights": file}), 2)
    steps = str(error.value).splitlines()[1:]
    assert "this one as test_vit.safetensors" in steps[0] and "`model.weights=FOLDER`" in steps[0]
    assert "`model.companions=[]`" in steps[1] and "HF_ENDPOINT" in steps[2]
