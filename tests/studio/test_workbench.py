from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tag2mask.config.schema import CrfConfig
from tag2mask.core.errors import DataError
from tag2mask.inference import Segmenter
from tag2mask.masks import read_mask
from tag2mask.models.checkpoint import RunFolder
from tag2mask.studio.workbench import FORMATS, SIDE, Choice, Workbench
from tests.helpers import TinyDataset, draw_shapes, write_image


@pytest.fixture(scope="module")
def bench(trained: Path) -> Workbench:
    return Workbench(Segmenter.from_pretrained(trained), RunFolder(trained))


def first_image(shapes: TinyDataset) -> Path:
    return sorted(shapes.images.iterdir())[0]


def test_painted_masks_round_trip(bench: Workbench, shapes: TinyDataset) -> None:
    image = bench.open(first_image(shapes))
    size = (image.pixels.shape[0], image.pixels.shape[1])
    mask = np.random.default_rng(0).integers(0, 3, size).astype(np.uint8)
    np.testing.assert_array_equal(bench.unpacked(bench.packed(image, mask), size), mask)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "null", "{}", "[" * 100_000, '{"width": 2, "height": 2, "runs": [[4, 0]], "x": NaN'),
        *(
            json.dumps({"width": 2, "height": 2, "runs": runs})
            for runs in ([[3, 0]], [[4, 9]], [[-4, 0], [8, 0]], [[4, -1]], [4, 0, 1], [[2**70, 0]], "abc", [["4", {}]])
        ),
        json.dumps({"width": 4, "height": 1, "runs": [[4, 0]]}),
    ],
)
def test_invalid_masks_are_refused(bench: Workbench, text: str) -> None:
    with pytest.raises(DataError, match="open it again"):
        bench.unpacked(text, (2, 2))


def test_large_images_are_scaled_down(bench: Workbench, tmp_path: Path) -> None:
    Image.new("RGB", (2 * SIDE, 400)).save(tmp_path / "wide.png")
    image = bench.open(tmp_path / "wide.png")
    assert image.pixels.shape == (200, SIDE, 3)
    assert bench.opened(image.key) is image
    with pytest.raises(DataError, match="open it again"):
        bench.opened("unknown")


def test_the_mask_is_that_of_predict(bench: Workbench, shapes: TinyDataset) -> None:
    image = bench.open(first_image(shapes))
    settings = bench.segmenter.config.prediction
    for tags in (None, ("disc",), ()):
        view = bench.segment(image, Choice(tags, settings.gate, settings.crf))
        np.testing.assert_array_equal(view.mask, bench.segmenter.predict(image.pixels, tags).mask)
    off = bench.segment(image, Choice(("disc",), settings.gate, CrfConfig(enabled=False)))
    np.testing.assert_array_equal(off.mask, off.before)
    captions = [caption for _, caption in bench.step_drawings(image, off)]
    assert captions == ["class map: disc", "foreground prior", "background", "before the CRF", "after the CRF"]


@pytest.mark.parametrize("image_size", [0, 96])
def test_the_mask_is_that_of_predict_at_any_size(trained: Path, tmp_path: Path, image_size: int) -> None:
    """The deviations of the CRF follow the size at which the network sees the image, not that of training."""
    segmenter = Segmenter.from_pretrained(trained).with_options({"prediction.image_size": image_size})
    bench = Workbench(segmenter)
    noise = np.random.default_rng(0).integers(0, 256, (144, 192, 3))  # so that the CRF has something to change
    pixels = (0.3 * draw_shapes(("disc", "square"), size=(144, 192), seed=3)[0] + 0.7 * noise).astype(np.uint8)
    image = bench.open(write_image(tmp_path / "large.png", pixels))
    settings = segmenter.config.prediction
    for tags in (None, ("disc", "square")):
        view = bench.segment(image, Choice(tags, settings.gate, settings.crf))
        np.testing.assert_array_equal(view.mask, segmenter.predict(pixels, tags).mask)
    wider = settings.crf.model_copy(update={"bilateral_xy": 2 * settings.crf.bilateral_xy})
    changed = bench.segment(image, Choice(("disc", "square"), settings.gate, wider))  # from remembered evidence
    expected = segmenter.predict(pixels, ("disc", "square"), settings=settings.model_copy(update={"crf": wider}))
    np.testing.assert_array_equal(changed.mask, expected.mask)
    assert (changed.mask != view.mask).any()


@pytest.mark.parametrize("to", FORMATS.values())
def test_every_format(bench: Workbench, shapes: TinyDataset, tmp_path: Path, to: str) -> None:
    image = bench.open(first_image(shapes))
    mask = np.zeros(image.pixels.shape[:2], np.uint8)
    mask[10:30, 10:30] = 2
    out = bench.export(image, mask, to, tmp_path)
    if out.suffix == ".zip":
        assert zipfile.ZipFile(out).testzip() is None
    elif out.suffix == ".png":
        np.testing.assert_array_equal(read_mask(out), mask)
    else:
        assert "square" in out.read_text()


def test_only_masks_of_the_run_are_kept(bench: Workbench, trained: Path) -> None:
    with pytest.raises(DataError, match="download this mask"):
        bench.keep("../../evil.png", np.zeros((4, 4), np.uint8))
    assert Workbench(bench.segmenter).queue() == []
    assert len(bench.queue()) == 48
