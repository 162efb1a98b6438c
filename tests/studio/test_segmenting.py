"""A network that answers again about the same images gives what `Segmenter.predict` gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tag2mask.inference import Segmenter
from tag2mask.studio.segmenting import Choice, Segmenting, open_image
from tests.helpers import draw_shapes, write_image


def test_large_images_are_scaled_down(tmp_path: Path) -> None:
    Image.new("RGB", (320, 40)).save(tmp_path / "wide.png")
    assert open_image(tmp_path / "wide.png", side=160).pixels.shape == (20, 160, 3)


@pytest.mark.parametrize("image_size", [0, 96])
def test_the_mask_is_that_of_predict_at_any_size(trained: Path, tmp_path: Path, image_size: int) -> None:
    """The deviations of the CRF follow the size at which the network sees the image, not that of training."""
    segmenter = Segmenter.from_pretrained(trained).with_options({"prediction.image_size": image_size})
    segmenting = Segmenting(segmenter)
    noise = np.random.default_rng(0).integers(0, 256, (144, 192, 3))  # so that the CRF has something to change
    pixels = (0.3 * draw_shapes(("disc", "square"), size=(144, 192), seed=3)[0] + 0.7 * noise).astype(np.uint8)
    image = open_image(write_image(tmp_path / "large.png", pixels), side=1000)
    settings = segmenter.config.prediction
    for tags in (None, (), ("disc", "square")):
        mask = segmenting.predict(image, Choice(tags, settings.gate, settings.crf)).mask
        np.testing.assert_array_equal(mask, segmenter.predict(pixels, tags).mask)
    off = settings.crf.model_copy(update={"enabled": False})
    before = segmenting.without_crf(image, Choice(tags, settings.gate, settings.crf))
    np.testing.assert_array_equal(segmenting.predict(image, Choice(tags, settings.gate, off)).mask, before)
    wider = settings.crf.model_copy(update={"bilateral_xy": 2 * settings.crf.bilateral_xy})
    changed = segmenting.predict(image, Choice(tags, settings.gate, wider))  # from remembered evidence
    expected = segmenter.predict(pixels, tags, settings=settings.model_copy(update={"crf": wider}))
    np.testing.assert_array_equal(changed.mask, expected.mask)
    assert (changed.mask != mask).any()
