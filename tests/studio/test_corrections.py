"""What kept masks have brought: which runs are compared on which images."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tag2mask import evaluate
from tag2mask.masks import read_mask, write_mask
from tag2mask.studio.corrections import Comparison, Corrections
from tag2mask.studio.masks_of import MasksOf
from tag2mask.studio.opening import open_project
from tag2mask.studio.project import Project
from tests.helpers import TinyDataset
from tests.studio.runs import add_run, copy_images

NAMES = ("shape_001.png", "shape_002.png", "shape_006.png")


@pytest.fixture
def project(shapes: TinyDataset, tmp_path: Path) -> Iterator[Project]:
    with open_project(copy_images(shapes, tmp_path / "images"), tags=shapes.tags) as found:
        yield found


@pytest.fixture
def corrections(project: Project) -> Iterator[Corrections]:
    found = Corrections(MasksOf(project, device="cpu"))
    yield found
    found.close()


def keep(project: Project, shapes: TinyDataset, *names: str) -> None:
    for name in names:
        write_mask(project.corrected / name, read_mask(shapes.masks / name))


def ready(corrections: Corrections) -> Comparison:
    for _ in range(600):
        found = corrections.compare()
        if found.state != "computing":
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def test_nothing_to_compare(project: Project, corrections: Corrections, shapes: TinyDataset, trained: Path) -> None:
    assert (corrections.compare().state, corrections.compare().note) == ("none", "no mask was kept yet")
    keep(project, shapes, *NAMES)
    found = corrections.compare()
    assert (found.state, found.corrected, found.note) == ("none", 3, "no run has been trained yet")


def test_a_run_that_has_not_learned_from_them(
    project: Project, corrections: Corrections, shapes: TinyDataset, trained: Path, tmp_path: Path
) -> None:
    """The same number as `evaluate` gives for the masks that the run wrote."""
    run = add_run(project.home, trained)
    keep(project, shapes, *NAMES)
    found = ready(corrections)
    for name in NAMES:
        (tmp_path / "masks").mkdir(exist_ok=True)
        shutil.copy(run / "masks" / name, tmp_path / "masks")
    expected = evaluate(tmp_path / "masks", project.corrected, shapes.classes).miou
    assert found.before == pytest.approx(expected)
    assert (found.after, found.gain, found.compared) == (None, None, 3)
    low, high = found.intervals["before"]
    assert low <= expected <= high
    assert "people chose these images" in found.note
    write_mask(project.corrected / NAMES[0], np.zeros((48, 64), np.uint8))  # kept again, otherwise
    again = ready(corrections)
    assert again.before is not None
    assert again.before < expected


def test_before_and_after_on_the_same_images(
    project: Project, corrections: Corrections, shapes: TinyDataset, trained: Path
) -> None:
    """Of the run that learned, its network is asked: its files of these images are copies of what people painted."""
    before = add_run(project.home, trained, 1)
    after = add_run(project.home, trained, 2)
    keep(project, shapes, *NAMES, "shape_009.png")
    for name in NAMES:
        write_mask(before / "masks" / name, np.zeros((48, 64), np.uint8))
        write_mask(after / "masks" / name, read_mask(shapes.masks / name))
        write_mask(after / "studio" / "corrected" / name, read_mask(shapes.masks / name))
    found = ready(corrections)
    assert (found.state, found.corrected, found.compared) == ("ready", 4, 3)
    assert found.before is not None
    assert found.after is not None
    assert found.gain is not None
    assert found.before < found.after < 1
    assert 0 < found.gain[0] <= found.after - found.before <= found.gain[1]
    assert "run-1 and run-2 against 3 kept masks" in found.note
    assert "learned from these very masks" in found.note
    assert "run-1 scores high where these masks began as its own" in found.note


def test_a_mask_that_cannot_be_read_is_said(
    project: Project, corrections: Corrections, shapes: TinyDataset, trained: Path
) -> None:
    run = add_run(project.home, trained)
    keep(project, shapes, *NAMES)
    (run / "masks" / NAMES[1]).write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    found = ready(corrections)
    assert (found.state, found.compared) == ("ready", 2)
    assert "left out, for they cannot be read: 1" in found.note
