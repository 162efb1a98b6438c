"""Training on frozen features: kept on disk, from the first masks to the trained decoder."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tag2mask import Dataset, Segmenter, evaluate, train
from tag2mask.config import Config
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.demo import BACKBONE, demo_weights, write_dataset
from tag2mask.images.decode import read_image
from tag2mask.images.resize import resize_image
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.inference.folder import FolderOptions, write_masks
from tag2mask.inference.views import run_views
from tag2mask.masks import read_mask, write_mask
from tag2mask.models import FrozenSegmenter, build_network
from tag2mask.models.checkpoint import RunFolder
from tag2mask.training.decoder import (
    FeatureBatch,
    StoredMaskFiles,
    collate,
    start_tag_classifier,
    write_known_masks,
)
from tag2mask.training.feature_files import FeatureStore
from tag2mask.training.feature_store import feature_store
from tag2mask.training.kept_outputs import outputs_of_kept
from tests.models.test_frozen import VIT

OPTIONS = {
    "data.image_size": 128,
    "model.backbone": BACKBONE,
    "model.weights": str(demo_weights()),
    "model.frozen": True,
    "model.output_stride": 8,
    "model.feature_channels": 32,
    "model.head_channels": 32,
    "masks.soft_prior": 0.8,
    "prediction.crf.bilateral_rgb": 5.0,
    "prediction.scales": [1.0],
    "training.epochs": 12,
    "training.batch_size": 8,
    "training.average": 0.9,
    "training.precision": "32-true",
    "training.loggers": [],
}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 generated scenes with tags and exact masks."""
    folder = tmp_path_factory.mktemp("scenes")
    write_dataset(folder, train=48, val=1, seed=0)
    return folder


@pytest.fixture(scope="module")
def dataset(scenes: Path) -> Dataset:
    part = scenes / "train"
    return Dataset.load(part / "images", part / "tags.csv", classes=scenes / "classes.txt", masks=part / "masks")


@pytest.fixture(scope="module")
def run(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("frozen") / "run"
    train(dataset, out, options=OPTIONS, progress=False)
    return out


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """`OPTIONS` with a folder where trainings keep their features for each other."""
    return OPTIONS | {"data.cache": str(tmp_path_factory.mktemp("features"))}


def network_and_config(**options: object) -> tuple[FrozenSegmenter, Config]:
    torch.manual_seed(0)
    config = Config().override(OPTIONS | options)
    network = build_network(config, 5)
    assert isinstance(network, FrozenSegmenter)
    return network, config


def store_of(dataset: Dataset, folder: Path, **options: object) -> tuple[FrozenSegmenter, FeatureStore]:
    network, config = network_and_config(**options)
    return network, feature_store(network, dataset.records, config, folder, read=read_image, device=CPU)


def test_a_run_finds_the_objects_and_leaves_no_features_behind(run: Path) -> None:
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    assert result["score"]["mIoU"] > 0.5
    assert not (run / "features").exists() and not (run / "training-masks").exists()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 12 and lines[-1]["pixel_loss"] < lines[0]["pixel_loss"]
    assert (run / "verdict.json").is_file() and (run / "report.html").is_file()


def test_the_network_is_loaded_as_it_was_kept(run: Path, dataset: Dataset) -> None:
    segmenter = Segmenter.from_pretrained(run)
    assert segmenter.config.model.frozen and isinstance(segmenter.config.masks.soft_threshold, float)
    record = next(record for record in dataset.records if record.present)
    kept = read_mask(run / "masks" / f"{Path(record.name).stem}.png")
    # Masks of training images come from features in half precision, without the horizontal flip.
    straight = segmenter.with_options({"prediction.flip": False})
    assert (straight.predict(record.path, tags=sorted(record.present)).mask == kept).mean() > 0.99


def test_masks_of_training_images_do_not_run_the_backbones(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = OPTIONS | {"training.epochs": 1, "data.cache": str(tmp_path / "cache")}
    segmenter = train(dataset, tmp_path / "run", options=options, make_masks=False, progress=False)
    copied = shutil.copyfile(dataset.records[1].path, tmp_path / "copy.png")
    records = [dataset.records[0], replace(dataset.records[1], name="copy", image=copied)]
    gone = replace(dataset.records[2], name="gone", image=tmp_path / "gone.png")
    known = outputs_of_kept(segmenter.backend, [*records, gone], RunFolder(tmp_path / "run"))
    assert known is not None and known(gone) is None, "an image that is gone fails where it is read, alone"
    assert known is not None and known(records[1]) is None, "an image without features is not known"
    [kept] = known(records[0]) or []
    [seen] = run_views(segmenter.backend, read_image(records[0].path), side=128, scales=(1.0,), flip=False)
    assert kept.cams is not None and seen.cams is not None
    np.testing.assert_allclose(kept.cams, seen.cams, atol=0.02 * float(np.abs(seen.cams).max()))

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the backbones were run")

    monkeypatch.setattr("tag2mask.inference.segmenter.run_views", fail)
    outcome = write_masks(segmenter, records[:1], FolderOptions(tmp_path / "masks", progress=False), known=known)
    assert outcome.written == 1


def test_first_masks_need_no_training_and_training_goes_on_from_them(
    dataset: Dataset, scenes: Path, tmp_path: Path, kept: dict[str, object]
) -> None:
    out = tmp_path / "run"
    kept = {**kept, "training.epochs": 2}
    first = train(dataset, out, options=kept, first_masks=True, make_report=False, progress=False)
    assert first.config.prediction.prior_weight == 1.0 and not (out / "metrics.jsonl").exists()
    assert evaluate(out / "masks", scenes / "train" / "masks", scenes / "classes.txt").miou > 0.4
    before = first.fingerprint()
    after = train(dataset, out, options=kept, resume=True, make_report=False, progress=False)
    assert after.config.prediction.prior_weight == Config().prediction.prior_weight
    assert (out / "metrics.jsonl").is_file() and after.fingerprint() != before


def test_first_masks_are_refused_after_training_has_begun(run: Path, dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match="12 epochs of this run were trained"):
        train(dataset, run, options=OPTIONS, first_masks=True, resume=True, progress=False)


def test_ground_truth_of_another_size_is_refused(dataset: Dataset, scenes: Path, tmp_path: Path) -> None:
    part = scenes / "train"
    few = Dataset.load(part / "images", part / "tags.csv", classes=scenes / "classes.txt").subset(range(8))
    masks = {}
    for record in few.records:
        mask = read_mask(part / "masks" / f"{Path(record.name).stem}.png")
        masks[record.name] = tmp_path / f"{Path(record.name).stem}.png"
        write_mask(masks[record.name], mask[::2, ::2].copy())
    wrong = [replace(record, gt_mask=masks[record.name]) for record in few.records]
    _, store = store_of(few, tmp_path / "features")
    files = StoredMaskFiles(few, tmp_path / "masks", store)
    with pytest.raises(DataError, match="its image"):
        write_known_masks(replace(few, records=tuple(wrong)), files, store, ground_truth=True)


def test_first_masks_are_refused_where_nothing_makes_them(dataset: Dataset, tmp_path: Path) -> None:
    random = {**OPTIONS, "model.weights": "none"}
    with pytest.raises(ConfigError, match="first masks need a tag classifier"):
        train(dataset, tmp_path / "run", options=random, first_masks=True, progress=False)
    assert not (tmp_path / "run").exists()


def test_an_interrupted_run_ends_like_one_that_was_not(
    dataset: Dataset, tmp_path: Path, kept: dict[str, object]
) -> None:
    out = tmp_path / "run"
    short = {**kept, "training.epochs": 5}
    train(dataset, out, options=short, make_masks=False, make_report=False, progress=False)
    five = Segmenter.from_pretrained(out).fingerprint()
    train(dataset, out, options=kept, resume=True, make_masks=False, make_report=False, progress=False)
    assert Segmenter.from_pretrained(out).fingerprint() != five
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, 13))


def test_ground_truth_trains_the_upper_bound(
    dataset: Dataset, scenes: Path, tmp_path: Path, kept: dict[str, object]
) -> None:
    options = {**kept, "training.supervision": "masks", "training.epochs": 40}
    segmenter = train(dataset, tmp_path / "run", options=options, make_masks=False, make_report=False, progress=False)
    segmenter.predict_folder(scenes / "train" / "images", tmp_path / "masks", progress=False)
    assert evaluate(tmp_path / "masks", scenes / "train" / "masks", scenes / "classes.txt").miou > 0.55


def test_kept_features_are_those_that_the_network_computes(dataset: Dataset, tmp_path: Path) -> None:
    network, store = store_of(dataset, tmp_path, **{"model.companions": [VIT]})
    start_tag_classifier(network, store, dataset.tags())
    _, config = network_and_config()
    backend = TorchBackend(network, dataset.classes, config)
    index = 5
    seen = resize_image(read_image(dataset.records[index].path), store.shapes[index].seen)
    [direct] = backend.run(seen[None])
    recognition, logits = network.heads(store.features(index))
    assert recognition.tag_logits[0].detach().numpy() == pytest.approx(direct.tag_logits, abs=0.05)
    assert logits[0].detach().numpy() == pytest.approx(direct.pixel_logits, abs=0.05)
    assert direct.affinity is not None and recognition.affinity is not None
    assert recognition.affinity[0].numpy() == pytest.approx(direct.affinity.blocks[0].matrix, abs=1e-3)


def test_several_devices_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the light decoder trains on one device, not 2"):
        train(dataset, tmp_path / "run", options=OPTIONS, devices=2, device="cpu", progress=False)


def test_samples_of_other_sizes_are_filled_with_what_is_ignored() -> None:
    def sample(height: int, width: int) -> FeatureBatch:
        return {
            "maps": torch.ones(3, height, width),
            "fine": None,
            "mask": torch.ones(4 * height, 4 * width, dtype=torch.uint8),
            "corrected": torch.tensor(False),
            "tags": torch.zeros(2, dtype=torch.int8),
            "index": torch.tensor(0),
        }

    batch = collate([sample(2, 3), sample(3, 2)])
    assert batch["maps"].shape == (2, 3, 3, 3) and batch["mask"].shape == (2, 12, 12)
    assert batch["maps"][0, :, 2].sum() == 0 and (batch["mask"][0, 8:] == 255).all()
    assert (batch["mask"][0, :8] == 1).all() and (batch["mask"][1, :, 8:] == 255).all()
