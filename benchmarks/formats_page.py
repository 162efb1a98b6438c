"""Writes docs/formats.md: each format with what is read, what is written, and whether a round trip is exact.

    python benchmarks/formats_page.py

"Exact" is the result of the tests named in `ROWS`, which this command runs: masks are written, read back by the tool of
the format (or by its written rule, where the tool cannot be installed) and compared pixel by pixel.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "formats.md"

_EXPORT, _OBJECTS = "tests/masks/test_export.py::", "tests/masks/formats/test_objects.py::"
_READERS = "tests/data/readers/"

Row = tuple[str, str, str, str, str, tuple[str, ...]]
ROWS: tuple[Row, ...] = (
    ("COCO JSON", "coco", "coco", "exact", "pycocotools, Datumaro",
     (f"{_EXPORT}test_coco_run_lengths_are_exact", f"{_EXPORT}test_datumaro_reads_coco")),
    ("COCO JSON, polygons", "coco", "coco", "IoU of 0.98 or more; exact with `--tolerance 0`", "pycocotools",
     (f"{_EXPORT}test_coco_polygons",)),
    ("COCO JSON, boxes", "coco", "coco-boxes", "boxes exact", "its rule", (f"{_OBJECTS}test_boxes",)),
    ("CVAT for images 1.1", "cvat", "cvat", "exact", "Datumaro", (f"{_EXPORT}test_datumaro_reads_cvat",)),
    ("CVAT segmentation mask 1.1, PASCAL VOC", "voc", "voc", "exact, 255 too", "Datumaro",
     (f"{_EXPORT}test_datumaro_reads_voc",)),
    ("Label Studio", "label-studio", "label-studio", "exact", "label-studio-sdk",
     (f"{_EXPORT}test_label_studio_decodes_its_brush",)),
    ("YOLO segments", "yolo", "yolo", "IoU of 0.98 or more; exact with `--tolerance 0`", "Ultralytics' rule",
     (f"{_EXPORT}test_yolo_labels_by_the_rule_of_ultralytics",)),
    ("YOLO boxes", "yolo", "yolo-boxes", "boxes exact", "its rule", (f"{_OBJECTS}test_boxes",)),
    ("labelme", "labelme", "labelme", "exact", "its rule", (f"{_OBJECTS}test_labelme",)),
    ("Supervisely", "supervisely", "supervisely", "exact", "its rule", (f"{_OBJECTS}test_supervisely",)),
    ("Kaggle's run lengths", "csv", "kaggle", "exact", "its rule", (f"{_OBJECTS}test_kaggle_run_lengths",)),
    ("MMSegmentation, ADE20K's layout", "", "mmseg", "exact, 255 too", "Pillow", (f"{_OBJECTS}test_folders_of_png",)),
    ("FiftyOne", "fiftyone", "fiftyone", "exact, 255 too", "Pillow", (f"{_OBJECTS}test_folders_of_png",)),
    ("Hugging Face `imagefolder`", "jsonl", "huggingface", "exact, 255 too", "Pillow",
     (f"{_OBJECTS}test_folders_of_png",)),
    ("GeoTIFF", "", "geotiff", "exact, 255 too", "rasterio", ("tests/masks/test_geotiff.py::test_export",)),
    ("Hugging Face `datasets`, Parquet", "parquet", "", "", "", (f"{_READERS}test_parquet_folder.py",)),
    ("CSV, lists, Open Images, RetinaNet, Excel", "csv", "", "", "",
     (f"{_READERS}test_tables.py", f"{_READERS}test_workbook.py")),
    ("JSON Lines, SageMaker, Vertex AI, Azure ML", "jsonl", "", "", "", (f"{_READERS}test_json_tools.py",)),
    ("Labelbox", "labelbox", "", "", "", (f"{_READERS}test_labelbox_json.py",)),
    ("VoTT", "vott", "", "", "", (f"{_READERS}test_tool_json.py",)),
    ("VIA", "via", "", "", "", (f"{_READERS}test_tool_json.py",)),
    ("Datumaro", "datumaro", "", "", "", (f"{_READERS}test_tool_json.py",)),
    ("other JSON", "json", "", "", "", (f"{_READERS}test_plain_json.py",)),
    ("folders of classes", "folders", "", "", "", (f"{_READERS}test_class_folders.py",)),
    ("folders of splits", "yolo", "", "", "", (f"{_READERS}test_yolo_folders.py",)),
    ("texts beside images", "txt", "", "", "", (f"{_READERS}test_beside.py",)),
)  # fmt: skip
"""Format, `--format`, `--to`, how exact, read back by, and the tests that show it."""

_HEAD = """# Formats

Made by `python benchmarks/formats_page.py`, which runs the tests of each row. How each is used:
[in](own-data.md), [out](export.md).

In, all of them give tags: coordinates and pixels are not read, except of [masks](own-data.md#masks-of-other-tools) and
of COCO given as `--corrected`. A round trip is a mask written, read back by what the last column names, and compared
pixel by pixel.

| format | in, `--format` | out, `--to` | round trip | read back by |
|---|---|---|---|---|
"""


def results(tests: Sequence[str]) -> dict[str, set[str]]:
    """How the tests of each name ended: `passed`, `failed`, `skipped`."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *tests]
        subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
        found: dict[str, set[str]] = {}
        for case in ElementTree.parse(report).iter("testcase"):
            ends = {child.tag for child in case} & {"failure", "error", "skipped"}
            end = "skipped" if ends == {"skipped"} else "failed" if ends else "passed"
            file = case.get("classname", "").replace(".", "/") + ".py"
            for name in (file, f"{file}::{case.get('name', '').partition('[')[0]}"):
                found.setdefault(name, set()).add(end)
    return found


def page(found: dict[str, set[str]]) -> str:
    """The page, from the results of `results`."""
    lines = []
    for name, inside, out, exact, reader, tests in ROWS:
        ends = set[str]().union(*(found.get(test, {"missing"}) for test in tests))
        if "failed" in ends or "missing" in ends:
            raise SystemExit(f"{name}: {', '.join(tests)}: {', '.join(sorted(ends))}")
        cells = [f"`{word}`" if word else "" for word in (inside, out)]
        exact = "not compared here: run `make tools`" if "skipped" in ends and exact else exact
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {exact} | {reader} |\n")
    return _HEAD + "".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(results(sorted({test for *_, tests in ROWS for test in tests}))), encoding="utf-8")
