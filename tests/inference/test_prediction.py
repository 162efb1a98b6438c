"""What a prediction can do."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tag2mask.inference import Prediction
from tag2mask.masks import read_mask
from tag2mask.method.uncertainty import Uncertainty


@pytest.fixture
def prediction() -> Prediction:
    """A cat upper left and a dog lower right, on 20 x 30 pixels; no bird."""
    mask = np.zeros((20, 30), np.uint8)
    mask[2:8, 3:12], mask[10:18, 15:28] = 1, 3
    probs = np.full((4, 20, 30), 0.1, np.float32)
    np.put_along_axis(probs, mask[None].astype(int), 0.7, axis=0)
    image = np.full((20, 30, 3), 200, np.uint8)
    return Prediction(mask, probs, np.zeros(3, np.float32), ("cat", "bird", "dog"), Uncertainty(), image)


def test_found_and_saved(prediction: Prediction, tmp_path: Path) -> None:
    assert prediction.found == ("cat", "dog")
    prediction.save(tmp_path / "new" / "mask.png")
    assert np.array_equal(read_mask(tmp_path / "new" / "mask.png"), prediction.mask)


def test_overlay(prediction: Prediction) -> None:
    bare = prediction.overlay(legend=False)
    assert bare.shape == prediction.image.shape
    assert (bare[0, 0] == 200).all()
    assert (bare[5, 6] != 200).any()
    assert prediction.overlay().shape[0] > 20


def test_a_notebook_shows_it(prediction: Prediction) -> None:
    shown = Image.open(io.BytesIO(prediction._repr_png_()))
    assert np.array_equal(np.asarray(shown), prediction.overlay())


def test_detections(prediction: Prediction) -> None:
    pytest.importorskip("supervision")
    found: Any = prediction.to_detections()
    assert found.class_id.tolist() == [1, 3]
    assert found.data["class_name"].tolist() == ["cat", "dog"]
    assert np.array_equal(found.mask[1], prediction.mask == 3)
    assert found.xyxy.astype(int).tolist() == [[3, 2, 11, 7], [15, 10, 27, 17]]
    np.testing.assert_allclose(found.confidence, 0.7, atol=1e-5)
    empty = Prediction(
        np.zeros_like(prediction.mask), prediction.probs, prediction.tag_probs, prediction.classes, Uncertainty(),
        prediction.image,
    )  # fmt: skip
    assert len(empty.to_detections()) == 0


def test_detections_of_connected_parts(prediction: Prediction) -> None:
    pytest.importorskip("supervision")
    prediction.mask[12:14, 2:5] = 1
    prediction.mask[0, 0] = 3
    found: Any = prediction.to_detections(instances=True, min_area=2)
    assert found.class_id.tolist() == [1, 1, 3]
    assert found.xyxy.astype(int).tolist() == [[3, 2, 11, 7], [2, 12, 4, 13], [15, 10, 27, 17]]
    assert len(found.confidence) == 3
    assert len(prediction.to_detections(min_area=1000)) == 0


def test_tv_tensor(prediction: Prediction) -> None:
    from torchvision.tv_tensors import Mask

    tensor = prediction.to_tv_tensor()
    assert isinstance(tensor, Mask)
    assert np.array_equal(tensor.numpy(), prediction.mask)
