from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tag2mask.core.errors import DataError
from tag2mask.data import check_classes, load_dataset
from tag2mask.images.decode import image_size
from tag2mask.masks import read_mask, write_mask
from tests.helpers import bench_folder, draw_shapes, write_images, write_shapes, write_tags


def test_generated_dataset(tmp_path: Path) -> None:
    tiny = write_shapes(tmp_path, 8)
    dataset = load_dataset(tiny.images, tiny.tags, masks=tiny.masks, classes=tiny.class_file, verify=True, strict=True)
    assert dataset.problems == ()
    assert dataset.classes == ("disc", "square")
    np.testing.assert_array_equal(dataset.tags(), [[1, 0], [0, 1], [1, 1], [0, 0]] * 2)
    for record, tags in zip(dataset.records, dataset.tags(), strict=True):
        assert record.gt_mask is not None
        values = set(np.unique(read_mask(record.gt_mask)).tolist()) - {0}
        assert values == {k + 1 for k in range(2) if tags[k] == 1}
    assert check_classes(dataset, advised=4) == ()


def test_generated_shapes_are_where_their_mask_says() -> None:
    image, mask = draw_shapes(["disc", "square"], seed=3)
    saturation = image.max(axis=2).astype(int) - image.min(axis=2)
    assert (saturation[mask > 0] > 60).all()
    assert (saturation[mask == 0] == 0).all()


def test_order_of_classes(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.png", "b.png"])
    tags = write_tags(tmp_path / "tags.csv", {"a.png": "dog cat", "b.png": "ant"})
    assert load_dataset(images, tags).classes == ("ant", "cat", "dog")
    assert load_dataset(images, tags, classes=["dog", "cat", "ant", "zebra"]).classes == (
        ("dog", "cat", "ant", "zebra")
    )


def test_many_classes(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.png"])
    for number in (254, 255):
        tags = write_tags(tmp_path / "tags.csv", {"a.png": " ".join(f"c{k}" for k in range(number))})
        if number == 254:
            assert load_dataset(images, tags).tags().shape == (1, 254)
        else:
            with pytest.raises(DataError, match="255 classes; an 8-bit mask holds 254 beside background"):
                load_dataset(images, tags)


def test_unreadable_images(tmp_path: Path) -> None:
    names = ["a.png", "b.png", "empty.png", "text.png", "cut.png"]
    images = write_images(tmp_path / "images", names)
    (images / "empty.png").write_bytes(b"")
    (images / "text.png").write_text("hello")
    data = (images / "cut.png").read_bytes()
    (images / "cut.png").write_bytes(data[: len(data) - 60])
    tags = write_tags(tmp_path / "tags.csv", dict.fromkeys(names, "cat"))
    header = load_dataset(images, tags)
    assert [problem.file for problem in header.problems] == ["empty.png", "text.png"]
    assert header.problem_counts() == {"unreadable image": 2}
    whole = load_dataset(images, tags, verify=True)
    assert [record.name for record in whole.records] == ["a.png", "b.png"]
    assert whole.problem_counts() == {"unreadable image": 3}
    with pytest.raises(DataError, match=r"(?s)3 problems, and strict is on:.*empty\.png: the file is empty"):
        load_dataset(images, tags, verify=True, strict=True)
    bad = write_tags(tmp_path / "bad.csv", dict.fromkeys(["empty.png", "text.png"], "cat"))
    with pytest.raises(DataError, match=r"(?s)no usable image:\n  unreadable image: .*text\.png: not an image"):
        load_dataset(images, bad)


def test_images_that_would_write_the_same_mask(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.png", "a.jpg", "b.png"])
    both = write_tags(tmp_path / "tags.csv", {"a.png": "cat", "a.jpg": "cat", "b.png": "cat"})
    with pytest.raises(DataError, match=r"a\.png and a\.jpg would write the same mask a\.png; rename one"):
        load_dataset(images, both)
    one = write_tags(tmp_path / "tags.csv", {"a.png": "cat", "b.png": "cat"})
    assert len(load_dataset(images, one)) == 2


def test_linked_images(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.png"])
    (images / "b.png").symlink_to(write_images(tmp_path / "other", ["b.png"]) / "b.png")
    tags = write_tags(tmp_path / "tags.csv", {"a.png": "cat", "b.png": "cat"})
    dataset = load_dataset(images, tags)
    assert [record.name for record in dataset.records] == ["a.png"]
    assert "a link that leads out of the folder" in dataset.problems[0].message
    linked = tmp_path / "linked"
    linked.symlink_to(images)
    assert [record.name for record in load_dataset(linked, tags).records] == ["a.png"]


def test_masks(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["sub/ü.jpg", "b.png"])
    tags = write_tags(tmp_path / "tags.csv", {"sub/ü": "cat", "b": "cat"})
    masks = tmp_path / "masks"
    write_mask(masks / "sub" / "u\u0308.png", np.ones(image_size(images / "sub" / "ü.jpg"), np.uint8))
    dataset = load_dataset(images, tags, masks=masks)
    assert dataset.records[0].gt_mask is not None
    assert dataset.records[1].gt_mask is None
    (problem,) = dataset.problems
    assert (problem.kind, problem.level) == ("missing mask", "note")
    assert "1 images have no mask in" in problem.message
    with pytest.raises(DataError, match=r"no mask for any image; expected e\.g\. sub/ü\.png"):
        load_dataset(images, tags, masks=write_images(tmp_path / "m", ["x.png"]))
    with pytest.raises(DataError, match="none: no such folder"):
        load_dataset(images, tags, masks=tmp_path / "none")


def test_images_without_any_tags(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.png", "cat/b.png"])
    dataset = load_dataset(images, require_tags=False)
    assert (dataset.source, dataset.classes, len(dataset)) == ("images", (), 2)
    assert dataset.tags().shape == (2, 0)
    known = load_dataset(images, classes=["cat"], format="images", require_tags=False)
    np.testing.assert_array_equal(known.tags(), [[-1], [-1]])
    with pytest.raises(DataError, match=r"no tags for these images; give a table such as tags\.csv"):
        load_dataset(images)
    write_tags(tmp_path / "tags.csv", {"a.png": "cat"})
    with pytest.raises(DataError, match=r"did you mean .*tags\.csv as `tags`\?"):
        load_dataset(images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "cvs"}, r"format 'cvs': expected one of auto, csv.*did you mean 'csv'"),
        ({"format": "csv"}, "format 'csv' needs a table of tags"),
        ({"format": "voc"}, "not a VOC devkit"),
        ({"format": "images"}, "format 'images' has no tags"),
        ({"format": "folders", "tags": Path("tags.csv")}, "format 'folders' takes no table of tags"),
        ({"classes": "cat"}, "cat: no such file; expected class names"),
    ],
)
def test_options_that_make_no_sense(tmp_path: Path, options: dict[str, object], message: str) -> None:
    images = write_images(tmp_path / "images", ["a.png"])
    with pytest.raises(DataError, match=message):
        load_dataset(images, **options)  # type: ignore[arg-type]


def test_folders_of_nothing(tmp_path: Path) -> None:
    tags = write_tags(tmp_path / "tags.csv", {"a.png": "cat"})
    with pytest.raises(DataError, match="none: no such folder"):
        load_dataset(tmp_path / "none", tags)
    with pytest.raises(DataError, match="this is a file, a folder of images was expected"):
        load_dataset(tags, tags)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no image in this folder"):
        load_dataset(tmp_path / "empty")
    with pytest.raises(DataError, match=r"(?s)no usable image:\n  missing image: tags\.csv, line 2"):
        load_dataset(tmp_path / "empty", tags)


@pytest.mark.parametrize(
    ("name", "split", "number"),
    [("voc_animals", "train", 3131), ("voc_animals", "val", 223), ("steel_defects", "val", 170)],
)
def test_benchmarks(name: str, split: str, number: int) -> None:
    bench = bench_folder(name)
    if bench is None:
        pytest.skip(f"the benchmark folder {name} is not beside this repository")
    part = bench / split
    dataset = load_dataset(
        part / "images", part / "tags.csv", masks=part / "masks", classes=bench / "classes.txt", strict=True
    )
    assert len(dataset) == number
    assert dataset.problems == ()
    assert check_classes(dataset) == ()
