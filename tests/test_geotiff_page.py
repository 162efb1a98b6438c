"""docs/geotiff.md, followed in a folder of georeferenced images."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from tag2mask.images.geo import open_tiff
from tests.helpers import TinyDataset
from tests.pages import Follower

pytest.importorskip("rasterio", reason="needs rasterio: pip install 'tag2mask[geo]'")


@pytest.mark.thorough
def test_the_page(
    shapes: TinyDataset,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from tag2mask.images.decode import read_image
    from tests.masks.test_geotiff import georeferenced

    rows = {}
    with shapes.tags.open(encoding="utf-8", newline="") as stream:
        tags = {row["image"]: row["tags"] for row in csv.DictReader(stream)}
    for number, path in enumerate(sorted(shapes.images.iterdir())[:12]):
        name = "north.tif" if number == 0 else f"scene{number}.tif"
        bands = np.moveaxis(read_image(path)[:, :, [0, 2, 1, 0]].astype(np.uint16) * 16, 2, 0)
        georeferenced(tmp_path / "scenes" / name, bands)
        rows[name] = tags[path.name]
    with (tmp_path / "scenes.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["image", "tags"], *rows.items()])
    shutil.copytree(trained, tmp_path / "runs/mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAG2MASK_MAX_PIXELS", "100000")
    follower = Follower(monkeypatch, capfd)
    follower.follow("geotiff.md")
    assert follower.ran == 8
    with open_tiff(tmp_path / "masks/north.tif", "") as mask, open_tiff(tmp_path / "scenes/north.tif", "") as image:
        assert (mask.crs, mask.transform, mask.shape) == (image.crs, image.transform, image.shape)
