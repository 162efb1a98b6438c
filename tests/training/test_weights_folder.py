"""Training with the weights of every backbone from one folder."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from tag2mask import Dataset, Segmenter, cli, train
from tag2mask.core.errors import ConfigError, WeightsError
from tests.helpers import TinyDataset, write_shapes

FROZEN = {
    "data.image_size": 64,
    "model.backbone": "test_resnet",
    "model.companions": [{"backbone": "test_vit"}],
    "model.feature_channels": 16,
    "model.head_channels": 16,
    "training.epochs": 1,
    "training.loggers": [],
    "prediction.flip": False,
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyDataset:
    return write_shapes(tmp_path_factory.mktemp("shapes"), 12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for name, file in (("test_resnet", "test_resnet.r160_in1k"), ("test_vit", "test_vit"), ("resnet18", "resnet18")):
        save_file(timm.create_model(name).state_dict(), folder / f"{file}.safetensors")
    return folder


def dataset_of(tiny: TinyDataset) -> Dataset:
    return Dataset.load(tiny.images, tiny.tags, classes=tiny.class_file)


def tag2mask(*words: str) -> int:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stop:
        patch.setattr("sys.argv", ["tag2mask", *words])
        cli.main()
    return int(stop.value.code or 0)


def test_a_frozen_network_from_python_goes_on_as_it_began(
    tiny: TinyDataset, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out, options = tmp_path / "run", {**FROZEN, "model.weights": folder}
    with caplog.at_level(logging.INFO, "tag2mask"):
        train(dataset_of(tiny), out, config="frozen", options=options, first_masks=True, progress=False)
    assert f"backbone test_resnet, weights of {folder / 'test_resnet.r160_in1k.safetensors'}" in caplog.messages
    assert f"backbone test_vit, weights of {folder / 'test_vit.safetensors'}" in caplog.messages
    slash = {**options, "model.weights": f"{folder}/", "training.epochs": 2}
    train(dataset_of(tiny), out, config="frozen", options=slash, resume=True, make_report=False, progress=False)
    assert (out / "metrics.jsonl").is_file()
    named = {**slash, "model.companions": [{"backbone": "test_vit", "weights": str(folder)}], "training.epochs": 3}
    train(dataset_of(tiny), out, config="frozen", options=named, resume=True, make_report=False, progress=False)
    with pytest.raises(ConfigError, match=r"model.companions was .*, is .*hub"):
        hub = {**named, "model.companions": [{"backbone": "test_vit", "weights": "hub"}]}
        train(dataset_of(tiny), out, config="frozen", options=hub, resume=True, progress=False)


def test_the_trained_network_needs_the_folder_no_more(tiny: TinyDataset, folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "weights"
    moved.mkdir()
    for path in folder.iterdir():
        (moved / path.name).write_bytes(path.read_bytes())
    options = {**FROZEN, "model.weights": moved}
    train(dataset_of(tiny), tmp_path / "run", config="frozen", options=options, make_report=False, progress=False)
    moved.rename(tmp_path / "gone")
    segmenter = Segmenter.from_pretrained(tmp_path / "run", device="cpu")
    assert segmenter.predict(dataset_of(tiny).records[0].path).mask.shape == (48, 64)
    train(  # the run has ended: there is nothing to load
        dataset_of(tiny), tmp_path / "run", config="frozen", options=options, resume=True, progress=False
    )


@pytest.mark.parametrize("config", ["frozen", None])
def test_a_missing_file_is_said_before_any_image_is_read(tiny: TinyDataset, tmp_path: Path, config: str | None) -> None:
    (tmp_path / "weights").mkdir()
    dataset, options = dataset_of(tiny), {"model.backbone": "test_resnet", "model.weights": tmp_path / "weights"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tag2mask.training.train.prepare_for_training", None)
        with pytest.raises(WeightsError, match="no weights of 'test_resnet' in this folder"):
            train(dataset, tmp_path / "run", config=config, options=options)
    assert not (tmp_path / "run").exists()


def test_the_command_line(tiny: TinyDataset, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    small = ["--no-report", "--weights", str(folder), "--epochs", "1"]
    small += [word for one in ("data.image_size=64", "training.loggers=[]", "prediction.flip=false")
              for word in ("--set", one)]  # fmt: skip
    given = ["train", str(tiny.images), "--tags", str(tiny.tags), *small]
    frozen = ["--config", "frozen", "--backbone", "test_resnet", "--set", "model.companions=[{backbone: test_vit}]"]
    assert tag2mask(*given, *frozen, "--out", str(tmp_path / "frozen")) == 0
    assert "test_vit.safetensors" in capfd.readouterr().out.replace("\n", "")
    whole = ["--set", "data.crop_size=64", "--set", "data.workers=0"]
    assert tag2mask(*given, *whole, "--out", str(tmp_path / "whole")) == 0
    assert "resnet18.safetensors" in capfd.readouterr().out.replace("\n", "")
    lacking = ["--config", "frozen", "--backbone", "test_resnet", "--out", str(tmp_path / "none")]
    assert tag2mask(*given, *lacking) == 1
    said = " ".join(capfd.readouterr().err.split())
    assert "no weights of 'deit_tiny_patch16_224' in this folder" in said
