from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tag2mask.config.schema import CrfConfig
from tag2mask.core.errors import DataError
from tag2mask.inference.predictor import Predictor
from tag2mask.masks import read_mask
from tag2mask.models.checkpoint import RunFolder
from tag2mask.studio.workbench import FORMATS, SIDE, Choice, Workbench
from tests.helpers import TinyCollection


@pytest.fixture(scope="module")
def bench(trained: Path) -> Workbench:
    return Workbench(Predictor.load(trained), RunFolder(trained))


def first(shapes: TinyCollection) -> Path:
    return sorted(shapes.images.iterdir())[0]


def test_painting_there_and_back(bench: Workbench, shapes: TinyCollection) -> None:
    photo = bench.open(first(shapes))
    size = (photo.image.shape[0], photo.image.shape[1])
    mask = np.random.default_rng(0).integers(0, 3, size).astype(np.uint8)
    np.testing.assert_array_equal(bench.unpacked(bench.packed(photo, mask), size), mask)


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
def test_what_a_stranger_sends_is_refused(bench: Workbench, text: str) -> None:
    with pytest.raises(DataError, match="open it again"):
        bench.unpacked(text, (2, 2))


def test_large_photographs_are_made_smaller(bench: Workbench, tmp_path: Path) -> None:
    Image.new("RGB", (2 * SIDE, 400)).save(tmp_path / "wide.png")
    photo = bench.open(tmp_path / "wide.png")
    assert photo.image.shape == (200, SIDE, 3)
    assert bench.photo(photo.key) is photo
    with pytest.raises(DataError, match="open it again"):
        bench.photo("unknown")


def test_the_mask_is_the_predictors(bench: Workbench, shapes: TinyCollection) -> None:
    photo = bench.open(first(shapes))
    settings = bench.predictor.config.prediction
    for tags in (None, ("disc",), ()):
        view = bench.look(photo, Choice(tags, settings.gate, settings.crf))
        np.testing.assert_array_equal(view.mask, bench.predictor.predict(photo.image, tags).mask)
    off = bench.look(photo, Choice(("disc",), settings.gate, CrfConfig(enabled=False)))
    np.testing.assert_array_equal(off.mask, off.before)
    captions = [caption for _, caption in bench.pictures(photo, off)]
    assert captions == ["class map: disc", "foreground prior", "background", "before the CRF", "after the CRF"]


@pytest.mark.parametrize("kind", FORMATS.values())
def test_every_format(bench: Workbench, shapes: TinyCollection, tmp_path: Path, kind: str) -> None:
    photo = bench.open(first(shapes))
    mask = np.zeros(photo.image.shape[:2], np.uint8)
    mask[10:30, 10:30] = 2
    out = bench.export(photo, mask, kind, tmp_path)
    if out.suffix == ".zip":
        assert zipfile.ZipFile(out).testzip() is None
    elif out.suffix == ".png":
        np.testing.assert_array_equal(read_mask(out), mask)
    else:
        assert "square" in out.read_text()


def test_only_photographs_of_the_run_are_kept(bench: Workbench, trained: Path) -> None:
    with pytest.raises(DataError, match="download this mask"):
        bench.keep("../../evil.png", np.zeros((4, 4), np.uint8))
    assert Workbench(bench.predictor).queue() == []
    assert len(bench.queue()) == 48
