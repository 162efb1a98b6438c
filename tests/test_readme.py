"""README.md: short, with small images, and followed from the first command to the last."""

from __future__ import annotations

import functools
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tag2mask
from tag2mask.masks import read_mask
from tests.helpers import TinyDataset
from tests.pages import ROOT, WHOLE, Follower, without_serving

README = ROOT / "README.md"
MOST_LINES = 100
MOST_BYTES = 250_000


def test_it_is_short_and_its_images_are_small() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) < MOST_LINES
    images = [ROOT / name for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)]
    assert len(images) >= 4
    for path in images:
        assert path.stat().st_size < MOST_BYTES, f"{path}: run `make screenshots`"
        with Image.open(path) as image:
            assert min(image.size) > 400


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_it_is_followed(
    shapes: TinyDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every command and every line of Python, with small settings; `make` and `pip` are checked, not run."""
    pytest.importorskip("uvicorn")
    shutil.copytree(shapes.images, tmp_path / "photos")
    shutil.copytree(shapes.masks, tmp_path / "gt")
    shutil.copytree(shapes.images, tmp_path / "new")
    shutil.copy(shapes.tags, tmp_path / "tags.csv")
    with Image.open(tmp_path / "new" / "shape_000.png") as image:
        image.convert("RGB").save(tmp_path / "new.jpg")
    monkeypatch.chdir(tmp_path)
    small = functools.partial(tag2mask.train, options={**WHOLE, "training.epochs": 1}, make_report=False)
    monkeypatch.setattr(tag2mask, "train", small)
    served = without_serving(monkeypatch)
    Follower(monkeypatch, capfd).follow("../README.md")
    assert served() == 1
    assert len(list((tmp_path / "runs/mine/masks").glob("*.png"))) == 48
    assert len(list((tmp_path / "see").glob("shape_*"))) == 48
    assert set(np.unique(read_mask(tmp_path / "new.png"))) <= {0, 1, 2}
    assert (tmp_path / "model.onnx").is_file()
