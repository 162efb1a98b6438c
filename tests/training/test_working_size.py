"""The working size: larger for what is small in large images, unchanged for what is large or has no finer pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tag2mask.config import Config
from tag2mask.config.load import on_preset
from tag2mask.data import Dataset
from tag2mask.demo import BACKBONE, demo_weights
from tag2mask.training.working_size import (
    MOST_PIXELS,
    SizeSigns,
    WorkingSize,
    candidates,
    choose_working_size,
    judge_sizes,
)


def marked(folder: Path, *, side: int, mark: int, count: int = 48) -> Dataset:
    """Grey noise of `side` pixels; in two images of three a dark or a bright square of `mark` pixels."""
    folder.mkdir()
    rows = ["image,tags"]
    for number in range(count):
        rng = np.random.default_rng(number)
        image = rng.normal(130, 8, (side, side))
        kind = number % 3
        top, left = rng.integers(12, side - mark - 12, 2)
        if kind < 2:
            image[top : top + mark, left : left + mark] += (-70, 80)[kind]
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).convert("RGB").save(folder / f"{number:03}.png")
        rows.append(f"{number:03}.png,{('dark', 'bright', 'none')[kind]}")
    (folder / "tags.csv").write_text("\n".join(rows) + "\n")
    return Dataset.load(folder, folder / "tags.csv")


def surfaces(image_size: int = 64) -> Config:
    model = {"backbone": BACKBONE, "weights": str(demo_weights())}
    return on_preset("frozen-surfaces", {"data": {"image_size": image_size}, "model": model})


def test_small_dots_on_large_images_ask_for_a_larger_size(tmp_path: Path) -> None:
    chosen = choose_working_size(marked(tmp_path / "dots", side=256, mark=5), surfaces())
    assert chosen.image_size in (96, 128)
    assert f"{(chosen.image_size / 64) ** 2:.1f} times" in chosen.reason
    assert [one.size for one in chosen.signs] == [64, 96, 128]


def test_large_blobs_on_large_images_do_not(tmp_path: Path) -> None:
    chosen = choose_working_size(marked(tmp_path / "blobs", side=256, mark=90), surfaces())
    assert chosen.image_size == 64
    assert "no sign that a larger size pays" in chosen.reason


def test_small_images_have_nothing_finer_to_show(tmp_path: Path) -> None:
    chosen = choose_working_size(marked(tmp_path / "small", side=56, mark=3), surfaces())
    assert chosen == WorkingSize(64, chosen.reason)
    assert "56 pixels themselves" in chosen.reason


def test_tags_that_cannot_be_told_leave_the_size(tmp_path: Path) -> None:
    dataset = marked(tmp_path / "dots", side=256, mark=5, count=24)
    (tmp_path / "tags.csv").write_text("image,tags\n" + "".join(f"{one.name},flaw\n" for one in dataset.records))
    chosen = choose_working_size(Dataset.load(tmp_path / "dots", tmp_path / "tags.csv"), surfaces())
    assert chosen.image_size == 64
    assert "tags cannot tell" in chosen.reason


def test_damaged_images_are_left_out(tmp_path: Path) -> None:
    dataset = marked(tmp_path / "dots", side=256, mark=5)
    for record in dataset.records[:3]:
        record.path.write_bytes(record.path.read_bytes()[:200])
    assert choose_working_size(dataset, surfaces()).image_size > 64


@pytest.mark.parametrize(
    ("usual", "native", "images", "sizes"),
    [
        (256, 1024, 240, (384, 512)),
        (256, 200, 800, ()),
        (448, 500, 3000, (640,)),
        (448, 4000, 100, (672, 896)),
        (800, 4000, 100, (1024,)),
        (256, 1024, MOST_PIXELS // 256**2, ()),
    ],
)
def test_sizes_that_are_tried(usual: int, native: int, images: int, sizes: tuple[int, ...]) -> None:
    assert candidates(usual, native, images)[0] == sizes


def signs(*values: tuple[int, float | None, float, float | None]) -> tuple[SizeSigns, ...]:
    return tuple(SizeSigns(size, auc, error, (size / 4) ** 2, share) for size, auc, error, share in values)


@pytest.mark.parametrize(
    ("measured", "size"),
    [
        (signs((256, 0.70, 0, None), (384, 0.77, 0.02, None), (512, 0.78, 0.02, None)), 384),
        (signs((256, 0.70, 0, None), (384, 0.71, 0.02, None), (512, 0.78, 0.02, None)), 512),
        (signs((256, 0.70, 0, None), (512, 0.78, 0.05, None)), 256),
        (signs((256, 0.96, 0, 0.01), (384, 0.97, 0.01, 0.002), (512, 0.98, 0.01, 0.001)), 384),
        (signs((256, 0.98, 0, 0.02), (512, 0.99, 0.01, 0.01)), 256),
        (signs((256, 0.55, 0, 0.01), (512, 0.56, 0.01, 0.001)), 256),
        (signs((256, None, 0, 0.01), (512, None, 0, 0.001)), 256),
    ],
    ids=["gain", "gain of the largest", "noise", "few cells", "many cells", "not recognised", "no tags"],
)
def test_what_was_measured_decides(measured: tuple[SizeSigns, ...], size: int) -> None:
    assert judge_sizes(measured).image_size == size
