"""docs/tour.ipynb, cell by cell, in a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers import draw_shapes

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "tour.ipynb"


def executed(folder: Path, replaced: Mapping[str, str]) -> Any:
    """The notebook after all of its cells ran, with parts of its text replaced, each of which must be there."""
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    text = "".join(cell.source for cell in notebook.cells)
    assert all(old in text for old in replaced)
    for cell in notebook.cells:
        for old, new in replaced.items():
            cell.source = cell.source.replace(old, new)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def said(notebook: Any) -> str:
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))


def check(notebook: Any, folder: Path, *, images: int, held_out: int) -> None:
    """Both trainings have their masks, both networks their scores, both sheets are shown."""
    assert (folder / "tour/run/report.html").is_file()
    assert len(list((folder / "tour/second/masks").rglob("*.png"))) == images
    assert f"{images} images" in said(notebook)
    assert said(notebook).count(f"over {held_out} images") == 3
    shown = [output for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    assert sum("image/png" in output["data"] for output in shown) == 2


@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
def test_the_tour_runs(tmp_path: Path) -> None:
    few = {
        "train=200, val=40": "train=48, val=6",
        'epochs": 14': 'epochs": 2',
        'SOURCE = "pets"\n': 'SOURCE = "scenes"\n',
    }
    check(executed(tmp_path, few), tmp_path, images=48, held_out=6)


@pytest.mark.thorough
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
def test_the_tour_runs_on_images_that_were_downloaded(tmp_path: Path) -> None:
    """The images' place has a few drawn ones, as torchvision would have left them there."""
    root = tmp_path / "tour" / "oxford-iiit-pet"
    for part in ("images", "annotations/trimaps"):
        (root / part).mkdir(parents=True)
    lines = []
    for number in range(54):
        species = 1 + number % 2
        image, mask = draw_shapes((("disc", "square")[species - 1],), size=(96, 128), seed=number)
        Image.fromarray(image).save(root / "images" / f"breed_{number}.jpg")
        trimap = np.where(mask > 0, 1, 2).astype(np.uint8)
        Image.fromarray(trimap).save(root / "annotations/trimaps" / f"breed_{number}.png")
        lines.append(f"breed_{number} 1 {species} 1")
    (root / "annotations/trainval.txt").write_text("\n".join(lines))
    small = '{"training.epochs": 2, "model.weights": "none", "data.image_size": 96, "data.crop_size": 64}'
    few = {"count=300, held_out=60": "count=48, held_out=6", '{"training.epochs": 8}': small}
    check(executed(tmp_path, few), tmp_path, images=48, held_out=6)
