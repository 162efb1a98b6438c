from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tag2mask.config.schema import Config, CrfConfig, PredictionConfig
from tag2mask.core.errors import ConfigError, DataError, WeightsError
from tag2mask.core.record import ImageRecord
from tag2mask.inference import Segmenter
from tag2mask.inference.backends.torch import TorchBackend, choose_device
from tag2mask.method.class_scores import thresholded_cam
from tag2mask.models.network import TagSegmenter
from tests.helpers import draw_shapes


@pytest.fixture(scope="module")
def segmenter(trained: Path) -> Segmenter:
    return Segmenter.from_pretrained(trained)


def scene(seed: int = 3, size: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    return draw_shapes(("disc", "square"), size=size, seed=seed)[0]


def test_shapes_and_ranges(segmenter: Segmenter) -> None:
    prediction = segmenter.predict(scene())
    assert prediction.mask.shape == (48, 64)
    assert prediction.mask.dtype == np.uint8
    assert prediction.probs.shape == (3, 48, 64)
    np.testing.assert_allclose(prediction.probs.sum(axis=0), 1, atol=1e-4)
    assert np.array_equal(prediction.mask, prediction.probs.argmax(axis=0))
    assert prediction.tag_probs.shape == (2,)
    assert (prediction.tag_probs >= 0).all()
    assert (prediction.tag_probs <= 1).all()
    assert prediction.classes == ("disc", "square")


def test_tags_gate_the_classes(segmenter: Segmenter) -> None:
    assert set(np.unique(segmenter.predict(scene(), ["disc"]).mask)) <= {0, 1}
    assert set(np.unique(segmenter.predict(scene(), ["square"]).mask)) <= {0, 2}
    assert not segmenter.predict(scene(), []).mask.any()


def test_a_text_is_one_tag(segmenter: Segmenter) -> None:
    assert np.array_equal(segmenter.predict(scene(), "disc").mask, segmenter.predict(scene(), ["disc"]).mask)


def test_a_generator_of_tags_is_taken_once(segmenter: Segmenter) -> None:
    """Tags also decide on the uncertainty: a second, empty pass over the generator gave another one."""
    expected = segmenter.predict(scene(), ["disc", "square"])
    found = segmenter.predict(scene(), (name for name in ("disc", "square")))
    assert np.array_equal(found.mask, expected.mask)
    assert found.uncertainty == expected.uncertainty
    plain = np.full((48, 64, 3), 120, np.uint8)
    assert segmenter.predict(plain, iter(["disc"])).uncertainty == segmenter.predict(plain, ["disc"]).uncertainty


def test_the_gate_is_the_tag_probability(segmenter: Segmenter) -> None:
    tag_probs = segmenter.predict(scene()).tag_probs
    none = PredictionConfig(gate=1.0)
    assert not segmenter.predict(scene(), settings=none).probs[1:].any()
    between = PredictionConfig(gate=float((tag_probs.min() + tag_probs.max()) / 2))
    probs = segmenter.predict(scene(), settings=between).probs[1:]
    assert [bool(channel.any()) for channel in probs] == (tag_probs >= between.gate).tolist()


def test_unknown_classes_are_left_to_the_network(segmenter: Segmenter) -> None:
    everything = PredictionConfig(gate=0.0)
    assert segmenter.predict(scene(), ["disc"], unknown=["square"], settings=everything).probs[2].any()
    nothing = PredictionConfig(gate=1.0)
    assert not segmenter.predict(scene(), ["disc"], unknown="square", settings=nothing).probs[2].any()


def test_with_flip_the_result_flips_with_the_image(segmenter: Segmenter) -> None:
    settings = PredictionConfig(flip=True, gate=0.0, crf=CrfConfig(enabled=False), scales=(0.75, 1.0))
    image = scene(size=(64, 64))
    straight = segmenter.predict(image, settings=settings).probs
    flipped = segmenter.predict(image[:, ::-1].copy(), settings=settings).probs
    np.testing.assert_allclose(straight, flipped[:, :, ::-1], atol=1e-4)


def test_many_equals_one_by_one(segmenter: Segmenter) -> None:
    images = [scene(seed, (40 + seed, 60)) for seed in range(7)]
    tags = [None, ["disc"], "square", ImageRecord("a.png", tags=frozenset({"disc"}), unknown=frozenset({"square"}))] * 2
    many = list(segmenter.predict_many(zip(images, tags, strict=False)))
    assert len(many) == 7
    for image, names, prediction in zip(images, tags, many, strict=False):
        known = (names.tags, names.unknown) if isinstance(names, ImageRecord) else (names, None)
        assert np.array_equal(segmenter.predict(image, known[0], unknown=known[1]).mask, prediction.mask)


def test_the_smallest_and_oddest_images(segmenter: Segmenter) -> None:
    for size in ((1, 1), (1, 200), (200, 2)):
        image = np.full((*size, 3), 128, dtype=np.uint8)
        assert segmenter.predict(image).mask.shape == size


def test_steps_of_the_method(segmenter: Segmenter) -> None:
    steps, positions = segmenter.steps(scene(), ["square"])
    assert positions.tolist() == [1]
    assert steps.maps.shape == (1, 48, 64)
    assert steps.maps.min() == pytest.approx(0, abs=1e-6)
    assert steps.maps.max() == pytest.approx(1, abs=1e-6)
    assert steps.scores.shape == (2, 48, 64)
    assert set(np.unique(thresholded_cam(steps, positions, 0.5))) == {0, 2}
    assert not thresholded_cam(*segmenter.steps(scene(), []), 0.5).any()


def test_the_evidence_can_be_finished_with_other_settings_of_the_crf(segmenter: Segmenter) -> None:
    image, settings = scene(), segmenter.config.prediction
    evidence = segmenter.evidence(image, ["disc"])
    assert np.array_equal(segmenter.finish(image, evidence, ["disc"]).mask, segmenter.predict(image, ["disc"]).mask)
    without = settings.model_copy(update={"crf": CrfConfig(enabled=False)})
    direct = segmenter.predict(image, ["disc"], settings=without)
    assert np.array_equal(segmenter.finish(image, evidence, ["disc"], settings=without).mask, direct.mask)


def test_every_kind_of_image_gives_the_same_mask(segmenter: Segmenter, tmp_path: Path) -> None:
    image = scene()
    expected = segmenter.predict(image, ["disc", "square"]).mask
    path = tmp_path / "scene.png"
    Image.fromarray(image).save(path)
    opaque = np.concatenate([image, np.full((48, 64, 1), 255, np.uint8)], axis=2)
    for one in (path, str(path), Image.open(path), opaque, torch.from_numpy(image).permute(2, 0, 1)):
        assert np.array_equal(segmenter.predict(one, ["disc", "square"]).mask, expected)


@pytest.mark.parametrize("shape", [(8,), (8, 8, 5), (0, 8, 3), (2, 8, 8, 3)])
def test_arrays_that_are_no_image(segmenter: Segmenter, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="is no image; expected"):
        segmenter.predict(np.zeros(shape, dtype=np.uint8))


def test_unknown_tag(segmenter: Segmenter) -> None:
    with pytest.raises(DataError, match="unknown class 'cat'; this network knows: disc, square"):
        segmenter.predict(scene(), ["cat"])


def test_a_damaged_run(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such run"):
        Segmenter.from_pretrained(tmp_path / "none")
    with pytest.raises(DataError, match="there is no trained network here; give the folder"):
        Segmenter.from_pretrained(tmp_path)
    (tmp_path / "model.yaml").write_text((trained / "model.yaml").read_text())
    weights = (trained / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(WeightsError, match="damaged"):
        Segmenter.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(weights)
    text = (trained / "model.yaml").read_text().replace("- square", "- square\n- third")
    (tmp_path / "model.yaml").write_text(text)
    with pytest.raises(WeightsError, match="do not belong to"):
        Segmenter.from_pretrained(tmp_path)


def test_there_and_back(segmenter: Segmenter, tmp_path: Path) -> None:
    folder = segmenter.save_pretrained(tmp_path / "saved")
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "model.yaml"}
    again = Segmenter.from_pretrained(folder)
    assert again.fingerprint() == segmenter.fingerprint()
    assert again.config == segmenter.config
    assert np.array_equal(again.predict(scene()).mask, segmenter.predict(scene()).mask)


def test_devices() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    for name in ("toaster", "cuda:99"):
        with pytest.raises(ConfigError, match=f"`device` {name}: cannot be used on this machine .* try 'cpu'"):
            choose_device(name)


def test_settings_of_prediction_alone_may_change(segmenter: Segmenter) -> None:
    assert segmenter.with_options(None) is segmenter
    changed = segmenter.with_options({"prediction.gate": 1.0})
    assert not changed.predict(scene()).mask.any()
    assert segmenter.config.prediction.gate != 1.0
    assert changed.fingerprint() != segmenter.fingerprint()
    with pytest.raises(ConfigError, match="takes settings of prediction alone"):
        segmenter.with_options({"masks.refresh": 2})


def test_a_network_can_be_used_without_a_folder() -> None:
    config = Config().override({"model.backbone": "test_resnet", "model.weights": "none", "data.image_size": 64})
    segmenter = Segmenter(TorchBackend(TagSegmenter(config, 2), ["a", "b"], config, device="cpu"))
    assert segmenter.predict(scene()).mask.shape == (48, 64)


def test_class_scores_take_their_share_in_the_probabilities(segmenter: Segmenter) -> None:
    def probs(weight: float) -> NDArray[np.float32]:
        settings = PredictionConfig(prior_weight=weight, crf=CrfConfig(enabled=False))
        return segmenter.predict(scene(), ["disc"], settings=settings).probs

    np.testing.assert_allclose(probs(0.25), 0.75 * probs(0.0) + 0.25 * probs(1.0), atol=1e-5)
    assert np.abs(probs(1.0) - probs(0.0)).max() > 0.05
    assert not probs(1.0)[2].any()


def test_a_network_trained_on_ground_truth_predicts_without_class_scores(segmenter: Segmenter) -> None:
    backend = segmenter.backend
    assert isinstance(backend, TorchBackend)
    config = segmenter.config.override({"training.supervision": "masks"})
    upper = Segmenter(TorchBackend(backend.network, segmenter.classes, config))
    without = segmenter.predict(scene(), settings=PredictionConfig(prior_weight=0.0))
    np.testing.assert_array_equal(
        upper.predict(scene(), settings=PredictionConfig(prior_weight=1.0)).probs, without.probs
    )
