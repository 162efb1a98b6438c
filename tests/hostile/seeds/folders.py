"""Datasets that are folders: classes by folder, YOLO, VOC, Hugging Face's metadata, Parquet."""

from __future__ import annotations

import io
import json
from pathlib import Path

from tests.hostile.seeds.seed import NAMES, TAGS, Account, Seed, load, photos

_VOC = ("2007_01", "2007_02", "2007_03")


def _devkit() -> dict[str, bytes]:
    files = photos((f"{name}.jpg" for name in _VOC), "set/JPEGImages")
    for name, tags in zip(_VOC, TAGS, strict=False):
        objects = "".join(f"<object><name>{tag}</name><difficult>0</difficult></object>" for tag in tags)
        text = f"<annotation><filename>{name}.jpg</filename>{objects}</annotation>"
        files[f"set/Annotations/{name}.xml"] = text.encode()
    files["set/ImageSets/Segmentation/train.txt"] = "".join(f"{name}\n" for name in _VOC[:2]).encode()
    files["set/ImageSets/Segmentation/val.txt"] = f"{_VOC[2]}\n".encode()
    return files


def _read_voc(root: Path) -> Account:
    return load(root / "set", expected=[f"{name}.jpg" for name in _VOC])


def _image_folder() -> dict[str, bytes]:
    rows = ({"file_name": name, "tags": list(tags)} for name, tags in zip(NAMES, TAGS, strict=True))
    return {**photos(folder="set"), "set/metadata.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode()}


def _class_folders() -> dict[str, bytes]:
    return photos(("cat/a.jpg", "cat/b.jpg", "dog/c.jpg", "dog/d.jpg"), "set")


def _split_folders() -> dict[str, bytes]:
    return photos(("train/cat/a.jpg", "train/dog/b.jpg", "val/cat/c.jpg", "val/dog/d.jpg"), "set")


def _parquet() -> dict[str, bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = [{"bytes": content, "path": name} for name, content in photos(folder="x").items()]
    table = pa.table({"image": images, "tags": [list(tags) for tags in TAGS]})
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return {"set/train.parquet": stream.getvalue()}


def _read_parquet(root: Path) -> Account:
    account = load(root / "set", expected=(), unpack=root / "out")
    # Images have the number of their row as name, whatever their suffix.
    rows = frozenset(f"row {row}" for row in range(len(NAMES)))
    said = [problem.file for problem in account.problems if problem.file and Path(problem.file).stem.isdigit()]
    read = frozenset(f"row {int(Path(name).stem)}" for name in [*account.records, *said])
    return Account(rows, read, account.problems)


SEEDS: dict[str, Seed] = {
    "voc: annotation": Seed(_devkit, f"set/Annotations/{_VOC[0]}.xml", _read_voc),
    "voc: split": Seed(_devkit, "set/ImageSets/Segmentation/train.txt", _read_voc),
    "hugging face folder": Seed(_image_folder, "set/metadata.jsonl", lambda root: load(root / "set")),
    "class folders": Seed(_class_folders, "set/cat/a.jpg", lambda root: load(root / "set", verify=True)),
    "split folders": Seed(_split_folders, "set/val/dog/d.jpg", lambda root: load(root / "set", verify=True)),
    "parquet": Seed(_parquet, "set/train.parquet", _read_parquet),
}
