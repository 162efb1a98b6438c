"""docs/tour.ipynb, cell by cell, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "tour.ipynb"


@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
def test_the_tour_runs(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:  # the same steps on fewer scenes
        cell.source = cell.source.replace("train=200, val=40", "train=48, val=6").replace('epochs": 14', 'epochs": 2')
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "tour/run/report.html").is_file()
    assert len(list((tmp_path / "tour/second/masks").rglob("*.png"))) == 48
    said = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert "48 images" in said
    assert said.count("over 6 images") == 2
    pictures = [output for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    assert sum("image/png" in output["data"] for output in pictures) == 2
