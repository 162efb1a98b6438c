from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tag2mask.config.schema import Config, CrfConfig, PredictionConfig
from tag2mask.core.errors import ConfigError, DataError, WeightsError
from tag2mask.inference.predictor import Predictor, Request, choose_device
from tag2mask.models import TagSegmenter
from tests.helpers import draw_shapes


@pytest.fixture(scope="module")
def predictor(trained: Path) -> Predictor:
    return Predictor.load(trained)


def picture(seed: int = 3, size: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    return draw_shapes(("disc", "square"), size=size, seed=seed)[0]


def test_shapes_and_ranges(predictor: Predictor) -> None:
    prediction = predictor.predict(picture())
    assert prediction.mask.shape == (48, 64)
    assert prediction.mask.dtype == np.uint8
    assert prediction.probs.shape == (3, 48, 64)
    np.testing.assert_allclose(prediction.probs.sum(axis=0), 1, atol=1e-4)
    assert np.array_equal(prediction.mask, prediction.probs.argmax(axis=0))
    assert prediction.tag_probs.shape == (2,)
    assert (prediction.tag_probs >= 0).all()
    assert (prediction.tag_probs <= 1).all()


def test_tags_gate_the_classes(predictor: Predictor) -> None:
    assert set(np.unique(predictor.predict(picture(), ["disc"]).mask)) <= {0, 1}
    assert set(np.unique(predictor.predict(picture(), ["square"]).mask)) <= {0, 2}
    assert not predictor.predict(picture(), []).mask.any()


def test_the_gate_is_the_tag_probability(predictor: Predictor) -> None:
    tag_probs = predictor.predict(picture()).tag_probs
    none = PredictionConfig(gate=1.0)
    assert not predictor.predict(picture(), settings=none).probs[1:].any()
    between = PredictionConfig(gate=float((tag_probs.min() + tag_probs.max()) / 2))
    probs = predictor.predict(picture(), settings=between).probs[1:]
    assert [bool(channel.any()) for channel in probs] == (tag_probs >= between.gate).tolist()


def test_what_is_unknown_is_left_to_the_network(predictor: Predictor) -> None:
    everything = PredictionConfig(gate=0.0)
    assert predictor.predict(picture(), ["disc"], maybe=["square"], settings=everything).probs[2].any()
    nothing = PredictionConfig(gate=1.0)
    assert not predictor.predict(picture(), ["disc"], maybe=["square"], settings=nothing).probs[2].any()


def test_flip_makes_the_result_mirror_invariant(predictor: Predictor) -> None:
    settings = PredictionConfig(flip=True, gate=0.0, crf=CrfConfig(enabled=False), scales=(0.75, 1.0))
    image = picture(size=(64, 64))
    straight, *_ = predictor.score(Request(image), settings=settings)
    mirrored, *_ = predictor.score(Request(image[:, ::-1].copy()), settings=settings)
    np.testing.assert_allclose(straight, mirrored[:, :, ::-1], atol=1e-4)


def test_many_equals_one_by_one(predictor: Predictor) -> None:
    images = [picture(seed, (40 + seed, 60)) for seed in range(7)]
    many = list(predictor.predict_many((Request(image) for image in images), threads=3))
    for image, prediction in zip(images, many, strict=True):
        assert np.array_equal(predictor.predict(image).mask, prediction.mask)


def test_the_smallest_and_oddest_images(predictor: Predictor) -> None:
    for size in ((1, 1), (1, 200), (200, 2)):
        image = np.full((*size, 3), 128, dtype=np.uint8)
        assert predictor.predict(image).mask.shape == size


def test_steps_are_the_method_s(predictor: Predictor) -> None:
    steps = predictor.steps(picture(), ["square"])
    assert steps.classes == ("square",)
    assert steps.maps.shape == (1, 48, 64)
    assert steps.maps.min() == pytest.approx(0, abs=1e-6)
    assert steps.maps.max() == pytest.approx(1, abs=1e-6)
    assert steps.stack.shape == (2, 48, 64)
    assert set(np.unique(steps.thresholded(0.5))) == {0, 2}
    assert not predictor.steps(picture(), []).thresholded(0.5).any()


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (0, 8, 3)])
def test_arrays_that_are_no_image(predictor: Predictor, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="an image must be uint8 of shape"):
        predictor.predict(np.zeros(shape, dtype=np.uint8))


def test_unknown_tag(predictor: Predictor) -> None:
    with pytest.raises(DataError, match="unknown class 'cat'; this network knows: disc, square"):
        predictor.predict(picture(), ["cat"])


def test_a_damaged_run(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such run"):
        Predictor.load(tmp_path / "none")
    with pytest.raises(DataError, match="there is no trained network here; give the folder"):
        Predictor.load(tmp_path)
    (tmp_path / "model.yaml").write_text((trained / "model.yaml").read_text())
    weights = (trained / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(WeightsError, match="damaged"):
        Predictor.load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(weights)
    text = (trained / "model.yaml").read_text().replace("- square", "- square\n- third")
    (tmp_path / "model.yaml").write_text(text)
    with pytest.raises(WeightsError, match="do not belong to"):
        Predictor.load(tmp_path)


def test_devices() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    for name in ("toaster", "cuda:99"):
        with pytest.raises(ConfigError, match=f"--device {name}: not usable here .* try 'cpu'"):
            choose_device(name)


def test_a_network_can_be_used_without_a_folder() -> None:
    config = Config().override({"model.backbone": "test_resnet", "model.weights": "none", "data.image_size": 64})
    predictor = Predictor(TagSegmenter(config, 2), ["a", "b"], config, device="cpu")
    assert predictor.predict(picture()).mask.shape == (48, 64)


def test_the_prior_takes_its_share_in_the_scores(predictor: Predictor) -> None:
    def probs(weight: float) -> NDArray[np.float32]:
        settings = PredictionConfig(prior_weight=weight, crf=CrfConfig(enabled=False))
        return predictor.predict(picture(), ["disc"], settings=settings).probs

    np.testing.assert_allclose(probs(0.25), 0.75 * probs(0.0) + 0.25 * probs(1.0), atol=1e-5)
    assert np.abs(probs(1.0) - probs(0.0)).max() > 0.05
    assert not probs(1.0)[2].any()


def test_a_network_trained_on_human_masks_predicts_without_the_prior(predictor: Predictor) -> None:
    ceiling = Predictor(
        predictor.network, predictor.classes, predictor.config.override({"training.supervision": "masks"})
    )
    settings = PredictionConfig(prior_weight=1.0)
    without = predictor.predict(picture(), settings=PredictionConfig(prior_weight=0.0))
    np.testing.assert_array_equal(ceiling.predict(picture(), settings=settings).probs, without.probs)
