"""Tiles for the network and blocks for the dense CRF, against the whole image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tag2mask.config.schema import PredictionConfig
from tag2mask.core.errors import ConfigError
from tag2mask.data import Dataset
from tag2mask.inference import Segmenter
from tag2mask.masks import read_confidence, read_mask
from tag2mask.method import tiling
from tag2mask.method.evidence import scores_grid
from tag2mask.method.output import NetworkOutput
from tag2mask.method.resize import resize_maps, resize_window
from tag2mask.method.tiling import blocks_of, crf_size, stitch, tiles_of, windowed_tag_logits
from tag2mask.training.train import train
from tests.conftest import TINY_OPTIONS
from tests.helpers import TinyDataset, draw_shapes


@pytest.fixture(scope="module")
def surface_run(shapes: TinyDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose pseudo masks come from a contrast head."""
    out = tmp_path_factory.mktemp("surfaces") / "run"
    deep = ("masks.soft_prior", "masks.soft_threshold")  # of no effect here
    options = {name: value for name, value in TINY_OPTIONS.items() if name not in deep}
    options |= {"training.epochs": 6, "model.contrast_stages": [0, 1]}
    dataset = Dataset.load(shapes.images, shapes.tags, classes=shapes.class_file)
    train(dataset, out, options=options, make_masks=False, progress=False)
    return out


def crowd(rows: int, columns: int) -> NDArray[np.uint8]:
    """Scenes side by side, 96 pixels each."""
    scenes = [draw_shapes(("disc", "square"), size=(96, 96), seed=seed)[0] for seed in range(rows * columns)]
    return np.concatenate([np.concatenate(scenes[row * columns : (row + 1) * columns], axis=1) for row in range(rows)])


def output_of(rng: np.random.Generator, size: tuple[int, int], bias: float = -4.0) -> NetworkOutput:
    """An output on an image of a size, at stride 16, whose tag logits are the mean of its maps plus a bias."""
    grid = (size[0] // 16, size[1] // 16)
    cams = rng.normal(size=(2, *grid)).astype(np.float32)
    logits = cams.mean(axis=(1, 2)) + np.float32(bias)
    return NetworkOutput(
        logits, rng.normal(size=(3, *grid)).astype(np.float32), cams, (rng.random(grid, dtype=np.float32),)
    )


@pytest.mark.parametrize("size", [(32, 32), (96, 64), (640, 1024), (1056, 3200)])
@pytest.mark.parametrize("side", [64, 500, 1024])
def test_tiles_cover_the_image_and_overlap(size: tuple[int, int], side: int) -> None:
    covered = np.zeros(size, dtype=int)
    for tile in tiles_of(size, side, 32):
        assert tile.rows.start % 32 == tile.columns.start % 32 == 0
        assert max(tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start) <= side
        covered[tile] += 1
    assert covered.min() >= 1
    assert (covered.max() > 1) == (max(size) > side // 32 * 32 and max(size) > side)


def test_stitched_parts_of_an_output_are_the_output() -> None:
    """What each tile cuts out of the whole comes back, for every map; so do the tag logits with their bias."""
    size = (192, 320)
    whole = output_of(np.random.default_rng(0), size)
    assert whole.cams is not None
    tiles = tiles_of(size, 128, 32)
    assert len(tiles) > 3
    parts = []
    for tile in tiles:
        rows, columns = (slice(part.start // 16, part.stop // 16) for part in tile)
        cams = whole.cams[:, rows, columns]
        parts.append(
            NetworkOutput(
                cams.mean(axis=(1, 2)) + np.float32(-4.0),
                whole.pixel_logits[:, rows, columns],
                cams,
                (whole.energies[0][rows, columns],),
            )
        )
    stitched = stitch(parts, tiles, size)
    assert stitched.cams is not None
    np.testing.assert_allclose(stitched.cams, whole.cams, atol=1e-5)
    np.testing.assert_allclose(stitched.pixel_logits, whole.pixel_logits, atol=1e-5)
    np.testing.assert_allclose(stitched.energies[0], whole.energies[0], atol=1e-5)
    np.testing.assert_allclose(stitched.tag_logits, whole.tag_logits, atol=1e-4)


def test_tiles_keep_the_bias_of_the_tag_classifier(trained: Path) -> None:
    """Weights 0 and bias -4: the probability is 0.018 whatever the image, whole or in tiles, at any size."""
    segmenter = Segmenter.from_pretrained(trained)
    network = segmenter.backend.network  # type: ignore[attr-defined]
    network.recognition.classifier.weight.data.zero_()
    network.recognition.classifier.bias.data.fill_(-4.0)
    expected = 1 / (1 + np.exp(4.0))
    for options in ({"tile": 0}, {"tile": 64}, {"tile": 64, "image_size": 128}, {"tile": 64, "image_size": 0}):
        settings = segmenter.config.prediction.model_copy(update=options)
        found = segmenter.predict(crowd(1, 2), settings=settings).tag_probs
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_blocks_tile_the_grid() -> None:
    covered = np.zeros((301, 1000), dtype=int)
    for block in blocks_of((301, 1000), 128, 20):
        covered[block.core] += 1
        assert np.zeros((301, 1000))[block.outer][block.inner].shape == np.zeros((301, 1000))[block.core].shape
    assert (covered == 1).all()


def test_a_resized_window_is_that_of_the_resized_whole() -> None:
    maps = np.random.default_rng(0).random((3, 13, 17), dtype=np.float32)
    part = resize_window(maps, (100, 211), slice(20, 77), slice(100, 211))
    np.testing.assert_allclose(part, resize_maps(maps, (100, 211))[:, 20:77, 100:211], atol=1e-5)


def test_the_crf_has_a_limit_but_not_below_what_the_network_sees() -> None:
    assert crf_size((1500, 2000), (240, 320)) == (1500, 2000)
    height, width = crf_size((9000, 12000), (240, 320))
    assert height * width == pytest.approx(4e6, rel=0.01)
    assert crf_size((9000, 12000), (4500, 6000)) == (4500, 6000)
    assert crf_size((9000, 12000), (12000, 16000)) == (9000, 12000)
    assert scores_grid((9000, 12000), 2, 6) == (9000 // 8, 12000 // 8)
    assert scores_grid((240, 320), 2, 6) == (120, 160)


def test_windows_pool_as_the_mean_where_the_image_is_small() -> None:
    output = output_of(np.random.default_rng(1), (144, 224), bias=2.0)
    assert output.cams is not None
    np.testing.assert_allclose(windowed_tag_logits(output, 20), output.tag_logits, atol=1e-5)
    np.testing.assert_allclose(windowed_tag_logits(output, 1), output.cams.max(axis=(1, 2)) + 2.0, atol=1e-5)
    windows = np.lib.stride_tricks.sliding_window_view(output.cams, (4, 4), axis=(1, 2))
    by_hand = windows.mean(axis=(3, 4)).max(axis=(1, 2)) + 2.0
    np.testing.assert_allclose(windowed_tag_logits(output, 4), by_hand, atol=1e-5)


@pytest.mark.parametrize("surfaces", [False, True])
def test_tiles_give_the_mask_of_the_whole(trained: Path, surface_run: Path, surfaces: bool) -> None:
    segmenter = Segmenter.from_pretrained(surface_run if surfaces else trained)
    image = crowd(4, 6)
    settings = PredictionConfig(image_size=0, tile=0, gate=0.0)
    whole = segmenter.predict(image, settings=settings)
    tiled = segmenter.predict(image, settings=settings.model_copy(update={"tile": 256}))
    assert whole.mask.any()
    np.testing.assert_allclose(tiled.tag_probs, whole.tag_probs, atol=0.02)
    assert (tiled.mask == whole.mask).mean() > 0.99


@pytest.mark.parametrize("surfaces", [False, pytest.param(True, marks=pytest.mark.thorough)])
def test_tiles_on_onnx_runtime_give_the_mask_of_torch(
    trained: Path, surface_run: Path, tmp_path: Path, surfaces: bool
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    on_torch = Segmenter.from_pretrained(surface_run if surfaces else trained)
    on_torch.export_onnx(tmp_path / "model.onnx")
    on_onnx = Segmenter.from_pretrained(tmp_path / "model.onnx")
    settings = PredictionConfig(image_size=0, tile=256, gate=0.0)
    expected, found = (one.predict(crowd(3, 4), settings=settings) for one in (on_torch, on_onnx))
    assert expected.mask.any()
    np.testing.assert_allclose(found.tag_probs, expected.tag_probs, atol=1e-3)
    assert (found.mask == expected.mask).mean() > 0.999


def test_blocks_give_the_mask_of_the_whole(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = Segmenter.from_pretrained(trained)
    image = crowd(3, 4)
    settings = PredictionConfig(image_size=0, gate=0.0)
    whole = segmenter.predict(image, settings=settings)
    monkeypatch.setattr(tiling, "CRF_PIXELS", 20_000)
    monkeypatch.setattr(tiling, "BLOCK_SIDE", 128)
    pieces = segmenter.predict(image, settings=settings)
    assert pieces.mask.shape == image.shape[:2]
    assert (pieces.mask == whole.mask).mean() > 0.99
    assert pieces.probs[0].size == pytest.approx(20_000, rel=0.02)
    np.testing.assert_allclose(pieces.probs.sum(axis=0), 1, atol=1e-3)
    assert pieces.uncertainty == pytest.approx(whole.uncertainty)


def test_the_crf_of_a_large_image_works_on_a_smaller_one(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = Segmenter.from_pretrained(trained)
    image = np.kron(crowd(1, 2), np.ones((3, 3, 1), np.uint8))
    whole = segmenter.predict(image, ["disc", "square"])
    monkeypatch.setattr(tiling, "CRF_PIXELS", 40_000)
    small = segmenter.predict(image, ["disc", "square"])
    assert whole.probs.shape[1:] == image.shape[:2]
    assert small.probs[0].size == pytest.approx(40_000, rel=0.02)
    assert small.mask.shape == image.shape[:2]
    assert (small.mask == whole.mask).mean() > 0.95


def test_large_images_in_a_folder(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(crowd(2, 4)).save(tmp_path / "images/wide.png")
    segmenter = Segmenter.from_pretrained(trained)
    options = {"prediction.image_size": 0, "prediction.tile": 128}
    segmenter.predict_folder(tmp_path / "images", tmp_path / "out", confidence=tmp_path / "sure", options=options)
    assert read_mask(tmp_path / "out/wide.png").shape == (192, 384)
    assert read_confidence(tmp_path / "sure/wide.png").shape == (192, 384)
    with pytest.raises(ConfigError, match=r"other weights or settings made; .*`overwrite=True`"):
        segmenter.predict_folder(tmp_path / "images", tmp_path / "out")
    with pytest.raises(ConfigError, match=r"model\.backbone"):
        segmenter.predict_folder(tmp_path / "images", tmp_path / "new", options={"model.backbone": "resnet50"})
