"""Files of annotations: COCO, Label Studio, CVAT, JSON Lines."""

from __future__ import annotations

import json

from tests.hostile.seeds.seed import NAMES, TAGS, Seed, beside_images


def _coco() -> str:
    document = {
        "images": [{"id": i, "file_name": name, "width": 16, "height": 12} for i, name in enumerate(NAMES)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": 10 * i + k, "image_id": i, "category_id": 1 + (tag == "dog"), "bbox": [1, 2, 3, 4]}
            for i, both in enumerate(TAGS)
            for k, tag in enumerate(both)
        ],
    }
    return json.dumps(document)


def _studio() -> str:
    tasks = [
        {
            "id": i,
            "data": {"image": f"/data/upload/1/{name}"},
            "annotations": [
                {"result": [{"type": "choices", "from_name": "t", "to_name": "i", "value": {"choices": list(tags)}}]}
            ],
        }
        for i, (name, tags) in enumerate(zip(NAMES, TAGS, strict=True))
    ]
    return json.dumps(tasks)


def _cvat() -> str:
    images = "".join(
        f'<image id="{i}" name="{name}" width="16" height="12">'
        + "".join(f'<tag label="{tag}" source="manual"></tag>' for tag in tags)
        + "</image>"
        for i, (name, tags) in enumerate(zip(NAMES, TAGS, strict=True))
    )
    labels = "".join(f"<label><name>{name}</name></label>" for name in ("cat", "dog"))
    meta = f"<meta><task><labels>{labels}</labels></task></meta>"
    return f'<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>{meta}{images}</annotations>'


def _lines() -> str:
    rows = ({"image": name, "tags": list(tags)} for name, tags in zip(NAMES, TAGS, strict=True))
    return "".join(json.dumps(row) + "\n" for row in rows)


SEEDS: dict[str, Seed] = {
    "coco": beside_images("instances.json", _coco),
    "label studio": beside_images("project.json", _studio),
    "cvat": beside_images("annotations.xml", _cvat),
    "json lines": beside_images("tags.jsonl", _lines),
}
