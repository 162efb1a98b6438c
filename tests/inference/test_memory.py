"""A bound on memory: what it changes, and what it does not."""

from __future__ import annotations

import csv
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.errors import ConfigError
from tag2mask.core.machine import usable_memory
from tag2mask.inference.memory import InWork, memory_bound
from tag2mask.inference.segmenter import Segmenter
from tag2mask.masks import read_mask
from tag2mask.method.memory import RESERVE, crf_bytes
from tests.helpers import draw_shapes

CHANNELS = 3


def large(seed: int) -> NDArray[np.uint8]:
    return np.kron(draw_shapes(["disc", "square"], seed=seed)[0], np.ones((20, 20, 1), np.uint8))


@pytest.fixture
def segmenter(trained: Path) -> Segmenter:
    return Segmenter.from_pretrained(trained)


def leaves(segmenter: Segmenter, crf_pixels: int, shape: tuple[int, int]) -> int:
    """`max_memory` with which the CRF of an image has so many pixels."""
    return segmenter.backend.own_bytes + RESERVE + 4 * shape[0] * shape[1] + crf_bytes(CHANNELS) * crf_pixels


def test_a_bound_makes_the_crf_smaller_and_the_mask_hardly_another(segmenter: Segmenter) -> None:
    image = large(3)
    shape = image.shape[:2]
    whole = segmenter.predict(image, ["disc", "square"])
    ample = segmenter.predict(image, ["disc", "square"], max_memory="64GiB")
    np.testing.assert_array_equal(ample.mask, whole.mask)
    bound = segmenter.predict(image, ["disc", "square"], max_memory=leaves(segmenter, 300_000, shape))
    assert bound.probs[0].size == pytest.approx(300_000, rel=0.01)
    assert whole.mask.any()
    assert (bound.mask == whole.mask).mean() > 0.98


def test_a_folder_within_a_bound(segmenter: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(3):
        Image.fromarray(large(number)).save(tmp_path / "images" / f"{number}.png")
    Image.new("RGB", (9000, 9000)).save(tmp_path / "images" / "huge.png")
    limit = leaves(segmenter, 300_000, (1200, 1280))
    outcome = segmenter.predict_folder(tmp_path / "images", tmp_path / "out", max_memory=limit, progress=False)
    assert outcome.written == 3
    [(name, reason)] = outcome.failures
    assert name == "huge.png"
    assert "an image of 9000 x 9000 pixels needs" in reason
    with (tmp_path / "out" / "failures.csv").open(encoding="utf-8", newline="") as stream:
        assert "huge.png" in {row[0] for row in csv.reader(stream)}
    for number in range(3):
        alone = segmenter.predict(tmp_path / "images" / f"{number}.png", max_memory=limit)
        np.testing.assert_array_equal(read_mask(tmp_path / "out" / f"{number}.png"), alone.mask)


def test_bounds_that_cannot_hold(segmenter: Segmenter) -> None:
    settings = segmenter.config.prediction
    with pytest.raises(ConfigError, match=r"`max_memory` 300 MiB: the network and its libraries take .* or more"):
        memory_bound(segmenter.backend, settings, "300MiB")
    with pytest.raises(ConfigError, match="with `prediction.tile=0` the network sees images whole"):
        memory_bound(segmenter.backend, settings.model_copy(update={"tile": 0}), "8GiB")
    assert not memory_bound(segmenter.backend, settings, None).limits_crf
    assert usable_memory() > 1 << 28


def test_results_come_in_order_as_soon_as_the_next_does_not_fit() -> None:
    work: InWork[int] = InWork(100, 3)
    for number, cost in enumerate((40, 50)):
        future: Future[int] = Future()
        future.set_result(number)
        work.add(cost, future)
    assert list(work.beside(10)) == []
    assert list(work.beside(11)) == [0]
    assert list(work.beside(1000)) == [1]
    assert list(work.rest()) == []
