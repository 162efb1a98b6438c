"""What is done to a dataset before training, and what the log says of it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.data import Dataset, Problem, load_dataset, log_problems, prepare_for_training
from tag2mask.masks import write_mask
from tests.helpers import write_images, write_tags


def loaded(tmp_path: Path, splits: str = "train train train val", **options: object) -> Dataset:
    names = [f"{k}.png" for k in range(len(splits.split()))]
    images = write_images(tmp_path / "images", names)
    rows = {name: f"cat,{split}" for name, split in zip(names, splits.split(), strict=True)}
    text = "image,tags,split\n" + "".join(f"{name},{row}\n" for name, row in rows.items())
    (tmp_path / "tags.csv").write_text(text)
    return load_dataset(images, tmp_path / "tags.csv", **options)  # type: ignore[arg-type]


def test_the_split_train_is_chosen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tag2mask")
    dataset = loaded(tmp_path)
    assert [record.name for record in prepare_for_training(dataset).records] == ["0.png", "1.png", "2.png"]
    assert "training on 'train'" in caplog.text
    caplog.clear()
    assert len(prepare_for_training(dataset.subset(split="train"))) == 3
    assert "training on" not in caplog.text
    assert len(prepare_for_training(loaded(tmp_path, "a a val val", split="val"))) == 2


@pytest.mark.parametrize("word", ["Train", "TRAINING", "seg_train", "train_set"])
def test_the_split_train_in_other_words(tmp_path: Path, word: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tag2mask")
    read = loaded(tmp_path, "train train Test val")
    spelt = [replace(one, split=word if one.split == "train" else one.split) for one in read.records]
    dataset = prepare_for_training(replace(read, records=tuple(spelt)))
    assert [record.name for record in dataset.records] == ["0.png", "1.png"]
    assert f"training on '{word}'" in caplog.text
    assert len(loaded(tmp_path, f"{word} {word} Test val", split="train")) == 2


def test_limit_counts_images_that_can_be_decoded(tmp_path: Path) -> None:
    dataset = loaded(tmp_path, "train train train train")
    (tmp_path / "images" / "1.png").write_bytes((tmp_path / "images" / "1.png").read_bytes()[:-60])
    assert len(dataset) == 4  # the header can be read
    chosen = prepare_for_training(dataset, limit=3)
    assert sorted(record.name for record in chosen.records) == ["0.png", "2.png", "3.png"]
    assert chosen.problem_counts() == {"unreadable image": 1, "few images": 1}
    with pytest.raises(DataError, match=r"(?s)1 problems, and strict is on:.*1\.png: the image is truncated"):
        prepare_for_training(dataset, strict=True)
    assert len(prepare_for_training(dataset, verify=False)) == 4
    with pytest.raises(DataError, match="classes with fewer than 2 images: 'cat' \\(1\\)"):
        prepare_for_training(dataset, limit=1)


def test_each_kind_is_logged_with_its_count_and_three_examples(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tag2mask")
    rows = [Problem("bad row", f"line {k}: no name") for k in range(5)]
    log_problems([Problem("few images", "class 'cat' is in 3 images", level="note"), *rows])
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "bad row: 5\n  line 0: no name\n  line 1: no name\n  line 2: no name\n  and 2 more"),
        ("INFO", "few images: 1\n  class 'cat' is in 3 images"),
    ]


def test_dataset_load_takes_texts_as_paths(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", ["a.png", "b.png", "c.png"])
    masks = tmp_path / "masks"
    for record in ("a.png", "b.png", "c.png"):
        with Image.open(images / record) as image:
            write_mask(masks / record, np.ones((image.height, image.width), np.uint8))
    tags = write_tags(tmp_path / "tags.csv", {"a": "dog", "b": "cat dog", "c": "none"})
    (tmp_path / "classes.txt").write_text("dog\ncat\n")
    dataset = Dataset.load(str(images), str(tags), classes=str(tmp_path / "classes.txt"), masks=str(masks), limit=2)
    assert dataset.classes == ("dog", "cat")
    assert len(dataset) == 2
    assert all(record.gt_mask is not None for record in dataset.records)
    assert dataset == load_dataset(images, tags, classes=["dog", "cat"], masks=masks).subset(first=2)
    assert all(record.where.startswith("tags.csv, line ") for record in dataset.records)
