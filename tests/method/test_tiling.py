from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from tag2mask import blocks as blocks_module
from tag2mask import large
from tag2mask import predictor as predictor_module
from tag2mask.api import predict, train
from tag2mask.config.schema import PredictionConfig
from tag2mask.core.errors import ConfigError
from tag2mask.inference.predictor import Predictor
from tag2mask.masks import read_confidence, read_mask
from tag2mask.method.blocks import blocks, crf_size, mask_at, values_at
from tag2mask.method.large import stack_grid
from tag2mask.method.tiles import tiles_of, window_logits
from tests.conftest import TINY_OPTIONS
from tests.helpers import TinyCollection, draw_shapes


@pytest.fixture(scope="module")
def surface_run(shapes: TinyCollection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose masks come from what stands out."""
    out = tmp_path_factory.mktemp("surfaces") / "run"
    deep = ("masks.soft_prior", "masks.soft_threshold")  # of no effect here
    options = {name: value for name, value in TINY_OPTIONS.items() if name not in deep}
    options |= {"training.epochs": 6, "model.contrast_stages": [0, 1]}
    return train(shapes.images, shapes.tags, classes=shapes.class_file, out=out, options=options, make_masks=False).run


def crowd(rows: int, columns: int) -> NDArray[np.uint8]:
    """Scenes side by side, 96 pixels each."""
    scenes = [draw_shapes(("disc", "square"), size=(96, 96), seed=seed)[0] for seed in range(rows * columns)]
    return np.concatenate([np.concatenate(scenes[row * columns : (row + 1) * columns], axis=1) for row in range(rows)])


@pytest.mark.parametrize("size", [(32, 32), (96, 64), (640, 1024), (1056, 3200)])
@pytest.mark.parametrize("side", [64, 500, 1024])
def test_tiles_cover_the_image_and_overlap(size: tuple[int, int], side: int) -> None:
    covered = np.zeros(size, dtype=int)
    for tile in tiles_of(size, side):
        assert tile.rows.start % 32 == tile.columns.start % 32 == 0
        assert max(tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start) <= side
        covered[tile] += 1
    assert covered.min() >= 1
    assert (covered.max() > 1) == (max(size) > side // 32 * 32)


def test_blocks_tile_the_grid() -> None:
    covered = np.zeros((301, 1000), dtype=int)
    for block in blocks((301, 1000), 128, 20):
        covered[block.core] += 1
        assert np.zeros((301, 1000))[block.outer][block.inner].shape == np.zeros((301, 1000))[block.core].shape
    assert (covered == 1).all()


def test_values_at_a_block_are_those_of_the_whole() -> None:
    maps = np.random.default_rng(0).random((3, 13, 17), dtype=np.float32)
    whole = F.interpolate(torch.from_numpy(maps)[None], (100, 211), mode="bilinear", align_corners=False)[0].numpy()
    part = values_at(maps, (100, 211), slice(20, 77), slice(100, 211))
    np.testing.assert_allclose(part, whole[:, 20:77, 100:211], atol=1e-5)


def test_the_mask_of_coarse_probabilities() -> None:
    probs = np.random.default_rng(0).random((4, 30, 40), dtype=np.float32)
    probs[2] = 0
    whole = F.interpolate(torch.from_numpy(probs)[None], (700, 800), mode="bilinear", align_corners=False)[0].numpy()
    assert (mask_at(probs, (700, 800)) == whole.argmax(axis=0)).mean() > 0.9999
    np.testing.assert_array_equal(mask_at(probs, (30, 40)), probs.argmax(axis=0))


def test_the_crf_has_a_limit_but_not_below_what_the_network_sees() -> None:
    assert crf_size((1500, 2000), (240, 320)) == (1500, 2000)
    height, width = crf_size((9000, 12000), (240, 320))
    assert height * width == pytest.approx(4e6, rel=0.01)
    assert crf_size((9000, 12000), (4500, 6000)) == (4500, 6000)
    assert crf_size((9000, 12000), (12000, 16000)) == (9000, 12000)
    assert stack_grid((9000, 12000), 2, 6) == (9000 // 8, 12000 // 8)
    assert stack_grid((240, 320), 2, 6) == (120, 160)


def test_windows_pool_as_the_average_where_the_image_is_small() -> None:
    cams = torch.rand(2, 3, 9, 14)
    bias = torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(window_logits(cams, bias, 20), cams.mean(dim=(2, 3)) + bias)
    torch.testing.assert_close(window_logits(cams, bias, 1), cams.amax(dim=(2, 3)) + bias)
    by_hand = F.avg_pool2d(cams, 4, stride=1).amax(dim=(2, 3)) + bias
    torch.testing.assert_close(window_logits(cams, bias, 4), by_hand)


@pytest.mark.parametrize("surfaces", [False, True])
def test_tiles_give_the_mask_of_the_whole(trained: Path, surface_run: Path, surfaces: bool) -> None:
    predictor = Predictor.load(surface_run if surfaces else trained)
    image = crowd(4, 6)
    settings = PredictionConfig(image_size=0, tile=0, gate=0.0)
    whole = predictor.predict(image, settings=settings)
    tiled = predictor.predict(image, settings=settings.model_copy(update={"tile": 256}))
    assert whole.mask.any()
    np.testing.assert_allclose(tiled.tag_probs, whole.tag_probs, atol=0.02)
    assert (tiled.mask == whole.mask).mean() > 0.99


def test_blocks_give_the_mask_of_the_whole(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor.load(trained)
    image = crowd(3, 4)
    settings = PredictionConfig(image_size=0, gate=0.0)
    whole = predictor.predict(image, settings=settings)
    for module in (blocks_module, large, predictor_module):
        monkeypatch.setattr(module, "CRF_PIXELS", 20_000)
    monkeypatch.setattr(large, "_CORE", 128)
    pieces = predictor.predict(image, settings=settings)
    assert pieces.mask.shape == image.shape[:2]
    assert (pieces.mask == whole.mask).mean() > 0.99
    assert pieces.probs[0].size == pytest.approx(20_000, rel=0.02)
    np.testing.assert_allclose(pieces.probs.sum(axis=0), 1, atol=1e-3)
    assert pieces.doubt == pytest.approx(whole.doubt)


def test_the_crf_of_a_large_photograph_is_made_smaller(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor.load(trained)
    image = np.kron(crowd(1, 2), np.ones((3, 3, 1), np.uint8))
    whole = predictor.predict(image, ["disc", "square"])
    monkeypatch.setattr(blocks_module, "CRF_PIXELS", 40_000)
    small = predictor.predict(image, ["disc", "square"])
    assert whole.probs.shape[1:] == image.shape[:2]
    assert small.probs[0].size == pytest.approx(40_000, rel=0.02)
    assert small.mask.shape == image.shape[:2]
    assert (small.mask == whole.mask).mean() > 0.95


def test_large_images_from_the_command(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.fromarray(crowd(2, 4)).save(tmp_path / "photos/wide.png")
    options = {"prediction.image_size": 0, "prediction.tile": 128}
    predict(trained, tmp_path / "photos", out=tmp_path / "out", confidence=tmp_path / "sure", options=options)
    assert read_mask(tmp_path / "out/wide.png").shape == (192, 384)
    assert read_confidence(tmp_path / "sure/wide.png").shape == (192, 384)
    with pytest.raises(ConfigError, match=r"made; .*--overwrite"):  # other settings
        predict(trained, tmp_path / "photos", out=tmp_path / "out")
    with pytest.raises(ConfigError, match=r"model\.backbone"):
        predict(trained, tmp_path / "photos", out=tmp_path / "new", options={"model.backbone": "resnet50"})
