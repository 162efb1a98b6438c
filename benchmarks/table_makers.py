"""Tables of tags of every format that holds many images in one file, made with any number of rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

CLASSES = ("cat", "dog", "red panda", "car", "tree", "sky", "road", "sea", "bird", "cow")

Row = tuple[str, tuple[str, ...]]
"""Name of an image and its tags."""


def rows_of(count: int) -> list[Row]:
    """Names in folders of a thousand, each with one or two tags."""
    return [
        (f"d{i // 1000:03d}/img {i:06d}.jpg", (CLASSES[i % 10], CLASSES[i * 7 % 10])[: 1 + (i % 3 > 0 and i % 10 > 0)])
        for i in range(count)
    ]


def _csv(cells: Iterator[Sequence[Any]] | Sequence[Sequence[Any]], delimiter: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(cells)
    return out.getvalue()


def _lines(records: Iterator[Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def _tags(rows: list[Row]) -> str:
    return _csv([("image", "tags"), *((name, ", ".join(tags)) for name, tags in rows)])


def _wide(rows: list[Row]) -> str:
    return _csv([("image", *CLASSES), *((name, *(int(one in tags) for one in CLASSES)) for name, tags in rows)])


def _boxes(rows: list[Row]) -> str:
    header = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")
    return _csv([header, *((name, 64, 48, tag, 1, 2, 30, 40) for name, tags in rows for tag in tags)])


def _headerless(rows: list[Row]) -> str:
    return _csv([(name, 1, 2, 30, 40, tag) for name, tags in rows for tag in tags])


def _open_images(rows: list[Row]) -> str:
    stems = [(name.rpartition("/")[2].removesuffix(".jpg"), tags) for name, tags in rows]
    header = ("ImageID", "Source", "LabelName", "Confidence")
    cells = ((stem, "verification", tag, int(tag == tags[0])) for stem, tags in stems for tag in tags)
    return _csv([header, *cells])


def _absolute(rows: list[Row]) -> str:
    return _csv(
        [("image", "label"), *((f"C:\\data\\photos\\{name}".replace("/", "\\"), tags[0]) for name, tags in rows)]
    )


def _list(rows: list[Row]) -> str:
    return "".join(f"{name.replace(' ', '_')} {CLASSES.index(tags[0])}\n" for name, tags in rows)


def _multi_hot(rows: list[Row]) -> str:
    return "".join(f"{name}\t{','.join(str(int(one in tags)) for one in CLASSES)}\n" for name, tags in rows)


def _kaggle(rows: list[Row]) -> str:
    return _csv(
        [("ImageId", "ClassId", "EncodedPixels"), *((name, tag, "1 20") for name, tags in rows for tag in tags)]
    )


def _studio_csv(rows: list[Row]) -> str:
    cells = (
        (f"/data/upload/1/1a2b3c4d-{name}", i, json.dumps({"choices": tags})) for i, (name, tags) in enumerate(rows)
    )
    return _csv([("image", "id", "choice"), *cells])


def _json_lines(rows: list[Row]) -> str:
    return _lines({"image": name, "tags": tags} for name, tags in rows)


def _sage_maker(rows: list[Row]) -> str:
    def record(name: str, tags: tuple[str, ...]) -> dict[str, Any]:
        numbers = [CLASSES.index(tag) for tag in tags]
        names = {str(number): CLASSES[number] for number in numbers}
        about = {"class-map": names, "type": "groundtruth/image-classification-multilabel", "human-annotated": "yes"}
        return {"source-ref": f"s3://bucket/{name}", "job": numbers, "job-metadata": about}

    return _lines(record(*row) for row in rows)


def _vertex(rows: list[Row]) -> str:
    return _lines(
        {"imageGcsUri": f"gs://b/{name}", "classificationAnnotations": [{"displayName": tag} for tag in tags]}
        for name, tags in rows
    )


def _azure(rows: list[Row]) -> str:
    return _lines({"image_url": f"azureml://datastores/x/paths/{name}", "label": list(tags)} for name, tags in rows)


def _labelbox(rows: list[Row]) -> str:
    def record(name: str, tags: tuple[str, ...]) -> dict[str, Any]:
        objects = [{"name": tag, "bounding_box": {"top": 1, "left": 2, "height": 3, "width": 4}} for tag in tags]
        labels = [{"annotations": {"objects": objects, "classifications": []}}]
        return {"data_row": {"external_id": name}, "projects": {"p": {"labels": labels}}}

    return _lines(record(*row) for row in rows)


def _coco(rows: list[Row]) -> str:
    return json.dumps(
        {
            "images": [{"id": i, "file_name": name, "width": 64, "height": 48} for i, (name, _) in enumerate(rows)],
            "categories": [{"id": i, "name": name} for i, name in enumerate(CLASSES)],
            "annotations": [
                {"id": 2 * i + k, "image_id": i, "category_id": CLASSES.index(tag), "bbox": [1, 2, 3, 4], "iscrowd": 0}
                for i, (_, tags) in enumerate(rows)
                for k, tag in enumerate(tags)
            ],
        }
    )


def _panoptic(rows: list[Row]) -> str:
    return json.dumps(
        {
            "images": [{"id": i, "file_name": name} for i, (name, _) in enumerate(rows)],
            "categories": [{"id": i, "name": name, "isthing": 1} for i, name in enumerate(CLASSES)],
            "annotations": [
                {
                    "image_id": i,
                    "segments_info": [{"id": k, "category_id": CLASSES.index(t)} for k, t in enumerate(tags)],
                }
                for i, (_, tags) in enumerate(rows)
            ],
        }
    )


def _studio(rows: list[Row]) -> str:
    def task(name: str, tags: tuple[str, ...]) -> dict[str, Any]:
        result = [{"type": "choices", "from_name": "c", "to_name": "i", "value": {"choices": tags}}]
        return {"data": {"image": f"/data/local-files/?d={name}"}, "annotations": [{"result": result}]}

    return json.dumps([task(*row) for row in rows])


def _studio_min(rows: list[Row]) -> str:
    return json.dumps(
        [{"image": f"/data/upload/1/{name}", "id": i, "choice": {"choices": t}} for i, (name, t) in enumerate(rows)]
    )


def _cvat(rows: list[Row]) -> str:
    labels = "".join(f"<label><name>{name}</name></label>" for name in CLASSES)
    images = "".join(
        f'<image id="{i}" name="{name}" width="64" height="48">'
        + "".join(f'<box label="{t}" xtl="1" ytl="2" xbr="3" ybr="4" occluded="0"></box>' for t in tags)
        + "</image>\n"
        for i, (name, tags) in enumerate(rows)
    )
    return (
        f"<annotations><version>1.1</version><meta><task><labels>{labels}</labels></task></meta>{images}</annotations>"
    )


def _fiftyone(rows: list[Row]) -> str:
    labels = {name.removesuffix(".jpg"): [CLASSES.index(tag) for tag in tags] for name, tags in rows}
    return json.dumps({"classes": CLASSES, "labels": labels})


def _samples(rows: list[Row]) -> str:
    def sample(name: str, tags: tuple[str, ...]) -> dict[str, Any]:
        detections = [{"_cls": "Detection", "label": tag, "bounding_box": [0, 0, 1, 1]} for tag in tags]
        return {"filepath": f"data/{name}", "ground_truth": {"_cls": "Detections", "detections": detections}}

    return json.dumps({"samples": [sample(*row) for row in rows]})


def _vott(rows: list[Row]) -> str:
    assets = {
        str(i): {"asset": {"name": name, "state": 2}, "regions": [{"tags": [tag]} for tag in tags]}
        for i, (name, tags) in enumerate(rows)
    }
    return json.dumps({"name": "x", "tags": [{"name": name} for name in CLASSES], "assets": assets})


def _via(rows: list[Row]) -> str:
    return json.dumps(
        {
            f"{name}7": {
                "filename": name,
                "size": 7,
                "regions": [{"shape_attributes": {"name": "rect"}, "region_attributes": {"type": t}} for t in tags],
                "file_attributes": {},
            }
            for name, tags in rows
        }
    )


def _datumaro(rows: list[Row]) -> str:
    items = [
        {
            "id": name.removesuffix(".jpg"),
            "annotations": [{"type": "label", "label_id": CLASSES.index(tag)} for tag in tags],
            "image": {"path": name},
        }
        for name, tags in rows
    ]
    names = [{"name": name} for name in CLASSES]
    return json.dumps({"info": {}, "categories": {"label": {"labels": names}}, "items": items})


def _object(rows: list[Row]) -> str:
    return json.dumps(dict(rows))


def _records(rows: list[Row]) -> str:
    return json.dumps(
        [{"file": name, "annotations": [{"label": t, "coordinates": {}} for t in tags]} for name, tags in rows]
    )


TABLES: dict[str, tuple[str, Callable[[list[Row]], str]]] = {
    "CSV, a column of tags": ("tags.csv", _tags),
    "CSV, a column per class": ("wide.csv", _wide),
    "CSV, a line a box": ("boxes.csv", _boxes),
    "CSV without header (RetinaNet)": ("annotations.csv", _headerless),
    "CSV, absolute paths": ("absolute.csv", _absolute),
    "Open Images": ("labels.csv", _open_images),
    "Kaggle run lengths": ("train.csv", _kaggle),
    "Label Studio, CSV": ("export.csv", _studio_csv),
    "list of paths and numbers, `_` for spaces": ("train.txt", _list),
    "multi-hot list": ("hot.txt", _multi_hot),
    "JSON Lines": ("tags.jsonl", _json_lines),
    "SageMaker manifest": ("output.manifest", _sage_maker),
    "Vertex AI": ("import.jsonl", _vertex),
    "Azure ML": ("azure.jsonl", _azure),
    "Labelbox": ("labelbox.ndjson", _labelbox),
    "COCO": ("instances.json", _coco),
    "COCO panoptic": ("panoptic.json", _panoptic),
    "Label Studio, JSON": ("project.json", _studio),
    "Label Studio, JSON-MIN": ("min.json", _studio_min),
    "CVAT": ("annotations.xml", _cvat),
    "FiftyOne, labels": ("labels.json", _fiftyone),
    "FiftyOne, samples": ("samples.json", _samples),
    "VoTT": ("vott.json", _vott),
    "VIA": ("via.json", _via),
    "Datumaro": ("datumaro.json", _datumaro),
    "JSON object": ("object.json", _object),
    "JSON records": ("records.json", _records),
    "Excel": ("tags.xlsx", _tags),
}
"""File name and content of each format; of Excel the content is that of the CSV."""


def write_table(folder: Path, name: str, rows: list[Row]) -> Path:
    """Write one of `TABLES` into a folder."""
    file, make = TABLES[name]
    path = folder / file
    text = make(rows)
    if path.suffix == ".xlsx":
        from openpyxl import Workbook

        book = Workbook(write_only=True)
        sheet = book.create_sheet("tags")
        for cells in csv.reader(io.StringIO(text)):
            sheet.append(cells)
        book.save(path)
    else:
        path.write_text(text)
    return path
