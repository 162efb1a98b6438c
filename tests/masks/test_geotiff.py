"""Masks as GeoTIFF: they lie where their images lie, and say what the classes are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.images.geo import open_tiff, quietly_opened
from tag2mask.masks import write_mask
from tag2mask.masks.export_folder import export_masks
from tag2mask.masks.geotiff import CLASS_NAMES, mask_writer, write_geotiff
from tag2mask.masks.label_map import write_label_map

rasterio: Any = pytest.importorskip("rasterio", reason="needs rasterio: pip install 'tag2mask[geo]'")

SIZE = (40, 50)
CLASSES = ("field", "water")


def georeferenced(path: Path, values: NDArray[Any] | None = None, **options: Any) -> Path:
    """A GeoTIFF of bands (B, H, W) in Sweden, 10 metres a pixel."""
    if values is None:
        values = np.random.default_rng(0).integers(1, 255, (3, *SIZE), dtype=np.uint8)
    place = {"crs": "EPSG:3006", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 6_500_000)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with quietly_opened(
        rasterio, path, "w", driver="GTiff", dtype=values.dtype.name, count=len(values), height=values.shape[1],
        width=values.shape[2], **(place | options),
    ) as target:  # fmt: skip
        target.write(values)
    return path


def drawn() -> NDArray[np.uint8]:
    mask = np.zeros(SIZE, np.uint8)
    mask[5:20, 5:30] = 1
    mask[25:, 20:] = 2
    return mask


def test_a_mask_lies_where_its_image_does(tmp_path: Path) -> None:
    image = georeferenced(tmp_path / "a.tif")
    write_geotiff(tmp_path / "out/a.tif", drawn(), CLASSES, image=image)
    with open_tiff(image, "") as source, open_tiff(tmp_path / "out/a.tif", "") as mask:
        assert (mask.crs, mask.transform) == (source.crs, source.transform)
        assert mask.bounds == source.bounds
        np.testing.assert_array_equal(mask.read(1), drawn())
        assert mask.nodata == 255
        assert json.loads(mask.tags()[CLASS_NAMES]) == ["background", *CLASSES]
        assert mask.tags()["CLASS_2"] == "water"
        assert mask.colormap(1)[1][:3] == (128, 0, 0)


def test_pixels_without_a_value_are_undecided(tmp_path: Path) -> None:
    values = np.ones((1, *SIZE), np.float32)
    values[0, :3], values[0, 3:5] = np.nan, -9999
    image = georeferenced(tmp_path / "a.tif", values, nodata=-9999)
    write_geotiff(tmp_path / "out.tif", drawn(), CLASSES, image=image)
    with open_tiff(tmp_path / "out.tif", "") as mask:
        assert (mask.read(1)[:5] == 255).all() and (mask.read(1)[5:] == drawn()[5:]).all()


def test_ground_control_points_are_kept(tmp_path: Path) -> None:
    corners = ((0, 0), (0, 50), (40, 0), (40, 50))
    points = [rasterio.control.GroundControlPoint(row, column, column, row) for row, column in corners]
    image = georeferenced(tmp_path / "a.tif", transform=None, crs="EPSG:4326", gcps=points)
    write_geotiff(tmp_path / "out.tif", drawn(), CLASSES, image=image)
    with open_tiff(tmp_path / "out.tif", "") as mask:
        assert len(mask.gcps[0]) == 4 and mask.gcps[1].to_epsg() == 4326


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_an_image_that_lies_nowhere(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(drawn()).save(tmp_path / f"a.{suffix}")
    with pytest.raises(DataError, match=rf"a\.{suffix}: this image does not say where it lies \(no coordinate"):
        write_geotiff(tmp_path / "out.tif", drawn(), CLASSES, image=tmp_path / f"a.{suffix}")
    assert not (tmp_path / "out.tif").exists()
    write_geotiff(tmp_path / "out.tif", drawn(), CLASSES, image=tmp_path / f"a.{suffix}", need_crs=False)
    with open_tiff(tmp_path / "out.tif", "") as mask:
        np.testing.assert_array_equal(mask.read(1), drawn())


def test_another_size_is_an_error(tmp_path: Path) -> None:
    image = georeferenced(tmp_path / "a.tif")
    with pytest.raises(DataError, match="its mask is 40 x 49"):
        write_geotiff(tmp_path / "out.tif", drawn()[:, 1:], CLASSES, image=image)
    with pytest.raises(KeyError), mask_writer(tmp_path / "out.tif", CLASSES, shape=SIZE, image=image):
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_export(tmp_path: Path) -> None:
    images, masks = tmp_path / "images", tmp_path / "masks"
    georeferenced(images / "north/a.tif")
    Image.new("RGB", SIZE[::-1]).save(images / "b.png")
    for name in ("north/a.png", "b.png"):
        write_mask(masks / name, drawn(), classes=2)
    write_label_map(masks, CLASSES)
    outcome = export_masks(masks, out=tmp_path / "out", to="geotiff", images=images, progress=False)
    assert outcome.written == 1 and "does not say where it lies" in outcome.failures[0][1]
    with open_tiff(tmp_path / "out/masks/north/a.tif", "") as mask:
        assert mask.crs.to_epsg() == 3006
        np.testing.assert_array_equal(mask.read(1), drawn())
    assert (tmp_path / "out/classes.txt").read_text() == "field\nwater\n"
    with pytest.raises(DataError, match="give the folder of the images as `images`"):
        export_masks(masks, out=tmp_path / "other", to="geotiff", progress=False)
