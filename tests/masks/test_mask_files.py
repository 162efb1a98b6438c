"""Which mask belongs to which image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tag2mask.core.errors import DataError
from tag2mask.masks import write_mask
from tag2mask.masks.mask_files import MaskFiles, mask_files, paired


def files(folder: Path, *names: str) -> MaskFiles:
    for name in names:
        write_mask(folder / f"{name}.png", np.zeros((1, 1), np.uint8))
    return mask_files(folder)


def test_the_folder_of_an_export(tmp_path: Path) -> None:
    found = files(tmp_path, "SegmentationClass/a", "SegmentationClass/sub/b", "SegmentationObject/a")
    assert list(found.paths) == ["a", "sub/b"]
    assert found.notes == (f"{tmp_path}: the masks in SegmentationClass/ are read",)


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["a_mask", "b_mask"], ["a", "b"]),
        (["100_mask", "200_mask"], ["100_sat", "200_sat"]),
        (["mask_1", "mask_2"], ["image_1", "image_2"]),
        (["x/a_gtFine_labelIds", "x/b_gtFine_labelIds"], ["x/a_leftImg8bit", "x/b_leftImg8bit"]),
        (["a.jpg", "b.jpg"], ["a", "b"]),
        (["A", "B"], ["a", "b"]),
        (["cat/a", "cat/b"], ["a", "b"]),
        (["a", "b_L"], ["a", "b"]),
    ],
)
def test_names_that_differ_are_matched_and_said(tmp_path: Path, names: list[str], wanted: list[str]) -> None:
    masks = files(tmp_path, *names)
    found, notes = paired(wanted, masks)
    assert found == {want: masks.paths[name] for want, name in zip(wanted, names, strict=True)}
    assert len(notes) == 1
    assert f"{sum(w != n for w, n in zip(wanted, names, strict=True))} masks were matched by their names" in notes[0]


def test_a_name_that_may_mean_two_masks_has_none(tmp_path: Path) -> None:
    masks = files(tmp_path, "a_mask", "a_gt", "x/b", "y/b", "c")
    assert paired(["a", "b", "c"], masks) == ({"c": masks.paths["c"]}, [])
    assert paired(["c_sat", "c_image"], masks) == ({}, [])


def test_masks_beside_their_images(tmp_path: Path) -> None:
    masks = files(tmp_path, "a", "a_mask", "b", "b_mask")
    found, notes = paired(["a", "b"], masks)
    assert found == {"a": masks.paths["a_mask"], "b": masks.paths["b_mask"]}
    assert "2 files were taken for images" in notes[0]
    every, notes = paired(["a", "a_mask", "b", "b_mask"], masks)  # images of their own
    assert (every, notes) == (masks.paths, [])


def test_a_folder_without_masks_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "b.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"no PNG mask in this folder, but 2 files \.jpg such as a\.jpg, and JPEG"):
        mask_files(tmp_path).check("ground truth")
    (tmp_path / "c.zip").write_bytes(b"x")
    with pytest.raises(DataError, match=r"c\.zip: this is a file; unpack it, and give the folder of masks"):
        mask_files(tmp_path / "c.zip")
    (tmp_path / "c.png").symlink_to(tmp_path / "none")
    with pytest.raises(DataError, match=r"c\.png: a broken link"):
        mask_files(tmp_path).check("ground truth")
