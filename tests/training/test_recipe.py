"""The choice of class maps: by held-out tags, by what stands out where tags cannot decide, and how it is closed."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tag2mask.config import Config
from tag2mask.config.load import on_preset
from tag2mask.core.errors import ConfigError
from tag2mask.data import Dataset
from tag2mask.demo import BACKBONE, demo_weights, write_dataset
from tag2mask.models.checkpoint import RunFolder
from tag2mask.training.recipe import Name, Recipe, Signs, judge, mean_auc, measure_recipe, peaked_median
from tag2mask.training.settings import Settings, choose_class_maps, resolve
from tag2mask.training.working_size import WorkingSize

SIZE = 96


def surfaces(folder: Path, count: int, *, clean: bool) -> Dataset:
    """Grey noise with a dark spot or a bright stroke; with `clean` a third of the images have neither."""
    folder.mkdir()
    rows = ["image,tags"]
    for number in range(count):
        rng = np.random.default_rng(number)
        image = rng.normal(130, 8, (SIZE, SIZE))
        kind = number % (3 if clean else 2)
        top, left = rng.integers(8, SIZE - 32, 2)
        if kind == 0:
            image[top : top + 14, left : left + 14] -= 70
        elif kind == 1:
            image[top : top + 3, left : left + 30] += 80
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).convert("RGB").save(folder / f"{number:03}.png")
        rows.append(f"{number:03}.png,{('spot', 'stroke', 'none')[kind]}")
    (folder / "tags.csv").write_text("\n".join(rows) + "\n")
    return Dataset.load(folder, folder / "tags.csv")


def candidate() -> Config:
    size = {"image_size": 128, "crop_size": 96, "workers": 0}
    return on_preset("surfaces", {"data": size, "model": {"backbone": BACKBONE, "weights": str(demo_weights())}})


def test_defects_get_class_maps_of_surfaces(tmp_path: Path) -> None:
    recipe = measure_recipe(surfaces(tmp_path / "a", 45, clean=True), candidate())
    assert recipe.name == "surfaces"
    assert recipe.signs is not None
    assert recipe.signs.shallow is not None
    assert recipe.signs.shallow > 0.9


def test_scenes_with_objects_keep_class_maps_of_objects(tmp_path: Path) -> None:
    write_dataset(tmp_path / "scenes", train=80, val=1, seed=3)
    train = tmp_path / "scenes" / "train"
    recipe = measure_recipe(Dataset.load(train / "images", train / "tags.csv"), candidate())
    assert recipe.name == "objects"
    assert recipe.signs is not None
    assert recipe.signs.peaked < 5


def test_a_class_without_negatives_is_decided_by_what_stands_out(tmp_path: Path) -> None:
    dataset = surfaces(tmp_path / "a", 20, clean=False)
    (tmp_path / "tags.csv").write_text("image,tags\n" + "".join(f"{one.name},flaw\n" for one in dataset.records))
    recipe = measure_recipe(Dataset.load(tmp_path / "a", tmp_path / "tags.csv"), candidate())
    assert recipe.name == "surfaces"
    assert recipe.signs is not None
    assert recipe.signs.deep is None
    assert "tags cannot decide" in recipe.reason


@pytest.mark.parametrize(
    ("deep", "shallow", "peaked", "name"),
    [
        (0.97, 0.94, 8.0, "surfaces"),
        (0.91, 0.61, 3.4, "objects"),
        (0.93, 0.81, 2.3, "objects"),
        (0.96, 0.88, 12.9, "surfaces"),
        (0.55, 0.52, 20.0, "objects"),
        (None, None, 18.0, "surfaces"),
        (None, None, 3.0, "objects"),
    ],
)
def test_what_was_measured_decides(deep: float | None, shallow: float | None, peaked: float, name: str) -> None:
    assert judge(Signs(100, deep, shallow, peaked)).name == name


def test_an_auc_counts_with_ten_images_on_either_side() -> None:
    rng = np.random.default_rng(0)
    tags = np.zeros((30, 2), np.int8)
    tags[:15, 0] = 1
    tags[:9, 1] = 1
    features = rng.normal(size=(30, 3)).astype(np.float32)
    features[:15, 0] += 6
    assert mean_auc(features, tags[:, 1:]) is None
    both = mean_auc(features, tags)
    assert both is not None
    assert both > 0.95


def test_images_of_one_colour_say_nothing() -> None:
    assert peaked_median([float("nan"), float("nan")]) == 0.0
    assert peaked_median([float("nan"), 7.0]) == 7.0


def test_nothing_given_leaves_the_choice_open() -> None:
    settings = resolve(None, {"training.epochs": 3})
    assert settings.config.model.contrast_stages == ()
    assert settings.surfaces is not None
    assert settings.surfaces.model.contrast_stages == (0, 1)
    assert settings.surfaces.training.epochs == 3
    backbones: dict[Name, str] = {"objects": "tf_efficientnet_lite2", "surfaces": "resnet18"}
    for name, backbone in backbones.items():
        frozen = settings.frozen[name]
        assert frozen.model.frozen and frozen.model.backbone == backbone and frozen.training.epochs == 3


def test_what_does_not_go_with_a_frozen_backbone_trains_the_whole_network() -> None:
    settings = resolve(None, {"training.warmup": 0.3})
    assert settings.surfaces is not None and not settings.surfaces.model.frozen
    assert not settings.frozen and "training.warmup has no effect" in settings.trained["surfaces"]


def test_a_file_of_settings_lies_on_top_of_the_preset(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("training: {samples: 77}\ndata: {image_size: 128}\n")
    settings = resolve(tmp_path / "mine.yaml", None)
    assert settings.surfaces is not None
    assert settings.surfaces.training.samples == 77
    assert settings.surfaces.data.image_size == 128
    assert settings.surfaces.training.background_weight == 1.0  # the preset's


@pytest.mark.parametrize(
    ("config", "options", "why"),
    [
        ("objects", {}, "objects"),
        ("surfaces", {}, "surfaces"),
        (Config(), {}, ""),
        (None, {"model.contrast_stages": [0]}, "contrast_stages"),
        (None, {"masks.soft_threshold": 0.3}, "soft_threshold"),
        (None, {"model.weights": "none"}, "random"),
        (None, {"training.supervision": "masks"}, ""),
    ],
)
def test_what_closes_the_choice(config: Config | str | None, options: dict[str, object], why: str) -> None:
    settings = resolve(config, options)
    assert settings.surfaces is None
    assert why in settings.closed


def test_presets_are_what_they_say() -> None:
    assert resolve("objects", None).config == Config()
    assert resolve("surfaces", None).config.model.contrast_stages == (0, 1)
    with pytest.raises(ConfigError, match="frozen, frozen-surfaces, objects, surfaces"):
        resolve("textures", None)


def open_settings() -> Settings:
    frozen: dict[Name, Config] = {"surfaces": frozen_candidate(), "objects": frozen_objects()}
    return Settings(Config(), "given\n", candidate(), frozen=frozen)


def frozen_candidate() -> Config:
    given = {"data": {"image_size": 128}, "model": {"backbone": BACKBONE, "weights": str(demo_weights())}}
    return on_preset("frozen-surfaces", given)


def frozen_objects() -> Config:
    given = {"backbone": BACKBONE, "weights": str(demo_weights()), "companions": []}
    return on_preset("frozen", {"data": {"image_size": 128}, "model": given})


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"model.backbone": "resnet50"}, "model.backbone was given"),
        ({"model.weights": "package"}, "one backbone"),
        ({"model.weights": "FILE"}, "one backbone"),
        ({"model.weights": "FOLDER"}, "deit_tiny_patch16_224"),
        ({"model.weights": "BOTH"}, ""),
        ({}, ""),
    ],
)
def test_objects_get_two_frozen_backbones_where_weights_can_be_had(
    options: dict[str, str], why: str, tmp_path: Path
) -> None:
    (tmp_path / "tf_efficientnet_lite2.safetensors").touch()
    (tmp_path / "both").mkdir()
    for name in ("tf_efficientnet_lite2", "deit_tiny_patch16_224", "resnet18"):
        (tmp_path / "both" / f"{name}.safetensors").touch()
    places = {"FILE": tmp_path / "tf_efficientnet_lite2.safetensors", "FOLDER": tmp_path, "BOTH": tmp_path / "both"}
    settings = resolve(None, {name: str(places.get(value, value)) for name, value in options.items()})
    assert ("objects" in settings.frozen) == (not why)
    assert why in settings.trained.get("objects", "")


def chosen(dataset: Dataset, run: Path, *, several: bool = False) -> tuple[Settings, Recipe | None]:
    return choose_class_maps(
        open_settings(),
        dataset,
        RunFolder(run),
        resume=False,
        device=torch.device("cpu"),
        progress=False,
        several=several,
    )


def test_the_choice_is_said_with_the_way_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = surfaces(tmp_path / "a", 30, clean=True)
    with caplog.at_level(logging.INFO, logger="tag2mask"):
        settings, recipe = chosen(dataset, tmp_path / "run")
    assert settings.config.model.frozen and settings.config.model.contrast_stages == (0, 1, 2)
    assert "# class maps of surfaces" in settings.text
    assert "`config='frozen'` chooses the others" in caplog.text
    assert isinstance(recipe, Recipe)
    assert recipe.to_dict()["recipe"] == "surfaces"


def test_a_run_that_goes_on_keeps_its_class_maps(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    stored_ones = ((candidate(), (0, 1)), (frozen_candidate(), (0, 1, 2)), (frozen_objects(), ()), (Config(), ()))
    for stored, stages in stored_ones:
        run.config.write_text(yaml.safe_dump(stored.model_dump(mode="json")))
        settings, recipe = choose_class_maps(
            open_settings(), Dataset(Path(), (), ()), run, resume=True, device=torch.device("cpu"), progress=False
        )
        assert settings.config.model.contrast_stages == stages and settings.config.model.frozen == stored.model.frozen
        assert recipe is None


@pytest.mark.parametrize(("several", "free", "why"), [(True, 10**15, "one device"), (False, 10**6, "that are free")])
def test_where_features_cannot_be_kept_the_whole_network_is_trained(
    several: bool,
    free: int,
    why: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset = surfaces(tmp_path / "a", 30, clean=True)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    with caplog.at_level(logging.INFO, logger="tag2mask"):
        settings, _ = chosen(dataset, tmp_path / "run", several=several)
    assert settings.config == candidate()
    assert "the whole network is trained, not a light decoder" in caplog.text and why in caplog.text


@pytest.mark.parametrize(("given", "size"), [(False, 192), (True, 128)])
def test_surfaces_get_the_size_that_was_measured_unless_one_was_given(
    given: bool, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = surfaces(tmp_path / "a", 30, clean=True)
    found = WorkingSize(192, "what the tags name is small")
    monkeypatch.setattr("tag2mask.training.settings.choose_working_size", lambda *_, **__: found)
    settings = replace(open_settings(), sized=given)
    run = RunFolder(tmp_path / "run")
    with caplog.at_level(logging.INFO, logger="tag2mask"):
        result, _ = choose_class_maps(settings, dataset, run, resume=False, device=torch.device("cpu"), progress=False)
    assert result.config.data.image_size == size
    assert ("image size 192: what the tags name is small" in caplog.text) == (not given)
    run.root.mkdir()
    run.config.write_text(result.config.to_yaml())
    again, _ = choose_class_maps(settings, dataset, run, resume=True, device=torch.device("cpu"), progress=False)
    assert again.config == result.config


def test_no_larger_size_is_taken_than_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = surfaces(tmp_path / "a", 30, clean=True)
    found = WorkingSize(512, "small")
    monkeypatch.setattr("tag2mask.training.settings.choose_working_size", lambda *_, **__: found)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100 * 2**20))  # enough at 128 pixels
    with caplog.at_level(logging.INFO, logger="tag2mask"):
        settings, _ = chosen(dataset, tmp_path / "run")
    assert settings.config.model.frozen and settings.config.data.image_size == 128
    assert "image size 128, not 512: features would take" in caplog.text


def test_a_size_is_given_in_a_file_or_as_an_option(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("data: {image_size: 128}\n")
    assert resolve(tmp_path / "mine.yaml", None).sized
    assert resolve(None, {"data.image_size": 128}).sized
    assert not resolve(None, {"data.flip": False}).sized
