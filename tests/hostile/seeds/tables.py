"""Tables of tags: CSV in its layouts, lists without a header, JSON Lines of several tools, texts beside images."""

from __future__ import annotations

import io
import json
from typing import Any

from tests.hostile.seeds.seed import NAMES, TAGS, Seed, beside_images, load, photos


def _rows(header: str, line: str) -> str:
    """A table with one line an image; `{name}`, `{tags}`, `{cat}`, `{dog}` are replaced."""
    lines = [
        line.format(name=name, tags=" ".join(tags), cat=int("cat" in tags), dog=int("dog" in tags))
        for name, tags in zip(NAMES, TAGS, strict=True)
    ]
    return "\n".join([header, *lines]) + "\n"


def _row_a_tag(header: str, line: str) -> str:
    """A table with one line for each tag of an image; `{name}` and `{tag}` are replaced."""
    lines = [line.format(name=name, tag=tag) for name, tags in zip(NAMES, TAGS, strict=True) for tag in tags]
    return "\n".join([*([header] if header else []), *lines]) + "\n"


def _states() -> str:
    rows = [
        f"{name},{tag},{int(tag in tags)}" for name, tags in zip(NAMES, TAGS, strict=True) for tag in ("cat", "dog")
    ]
    return "\n".join(["ImageID,LabelName,Confidence", *rows]) + "\n"


def _pixels() -> str:
    rows = [
        f"{name}_{tag},{'1 3' if tag in tags else ''}"
        for name, tags in zip(NAMES, TAGS, strict=True)
        for tag in ("cat", "dog")
    ]
    return "\n".join(["Image_Label,EncodedPixels", *rows]) + "\n"


def _lists() -> str:
    return "".join(["image,tags\n", *(f'{name},"{list(tags)}"\n' for name, tags in zip(NAMES, TAGS, strict=True))])


def _lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def _sage_maker() -> str:
    names = {"0": "cat", "1": "dog"}
    return _lines(
        *(
            {
                "source-ref": f"s3://bucket/{name}",
                "job": [0, 1][: len(tags)],
                "job-metadata": {"class-map": names, "type": "groundtruth/image-classification-multilabel"},
            }
            for name, tags in zip(NAMES, TAGS, strict=True)
        )
    )


def _vertex() -> str:
    return _lines(
        *(
            {
                "imageGcsUri": f"gs://bucket/{name}",
                "classificationAnnotations": [{"displayName": tag} for tag in tags],
                "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": "training"},
            }
            for name, tags in zip(NAMES, TAGS, strict=True)
        )
    )


def _metadata() -> dict[str, bytes]:
    return {**photos(folder="set/train"), "set/train/metadata.csv": _rows("file_name,tags", "{name},{tags}").encode()}


def _texts() -> dict[str, bytes]:
    texts = {
        f"set/{name.replace('.jpg', '.txt')}": ", ".join(tags).encode() for name, tags in zip(NAMES, TAGS, strict=True)
    }
    return {**photos(folder="set"), **texts}


def _workbook() -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.worksheets[0])
    sheet = book.create_sheet("tags")
    for row in [("image", "tags"), *((name, " ".join(tags)) for name, tags in zip(NAMES, TAGS, strict=True))]:
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


SEEDS: dict[str, Seed] = {
    "csv: workbook": beside_images("tags.xlsx", _workbook),
    "csv: tags": beside_images("tags.csv", lambda: _rows("image,tags", "{name},{tags}")),
    "csv: a column a class": beside_images("tags.csv", lambda: _rows("image,cat,dog", "{name},{cat},{dog}")),
    "csv: semicolons, quotes": beside_images("tags.csv", lambda: _rows("image;tags;split", '"{name}";"{tags}";train')),
    "csv: UTF-16": beside_images("tags.csv", lambda: _rows("image,tags", "{name},{tags}").encode("utf-16")),
    "csv: row numbers, addresses": beside_images(
        "tags.csv", lambda: _rows(",image_url,tags", "7,https://example.org/x/{name}?signature=1,{tags}")
    ),
    "csv: lists as text": beside_images("tags.csv", _lists),
    "csv: a row a box": beside_images(
        "tags.csv", lambda: _row_a_tag("filename,width,height,class,xmin,ymin,xmax,ymax", "{name},16,12,{tag},1,2,3,4")
    ),
    "csv: boxes without a header": beside_images("tags.csv", lambda: _row_a_tag("", "images/{name},1,2,3,4,{tag}")),
    "csv: a row a tag, present or absent": beside_images("tags.csv", _states),
    "csv: run lengths of image and class": beside_images("tags.csv", _pixels),
    "csv: choices of label studio": beside_images(
        "tags.csv",
        lambda: _row_a_tag("image,id,choice", '/data/upload/3/0a1b2c3d-{name},1,"{{""choices"":[""{tag}""]}}"'),
    ),
    "list: image and label": beside_images("train.txt", lambda: _rows("", "{name} {dog}").lstrip(), classes=["a", "b"]),
    "list: 1 and 0 a class": beside_images("train.txt", lambda: _rows("", "{name}\t{cat},{dog},0").lstrip()),
    "json lines: sagemaker": beside_images("output.jsonl", _sage_maker),
    "json lines: vertex": beside_images("import.jsonl", _vertex),
    "hugging face folder: csv": Seed(_metadata, "set/train/metadata.csv", lambda root: load(root / "set")),
    "txt: beside images": Seed(_texts, "set/p0.txt", lambda root: load(root / "set")),
}
