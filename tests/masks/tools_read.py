"""Reads exports with Datumaro and label-studio-sdk, in their own environment (`make tools`); run as a program.

Arguments: `datumaro FORMAT FOLDER OUT.npz` or `label-studio TASKS.json OUT.npz`. OUT holds a bool region per
`NAME|CLASS`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def datumaro(format: str, folder: str) -> dict[str, NDArray[np.bool_]]:
    from datumaro.components.annotation import AnnotationType
    from datumaro.components.dataset import Dataset

    dataset = Dataset.import_from(folder, format)
    names = [category.name for category in dataset.categories()[AnnotationType.label].items]
    found: dict[str, NDArray[np.bool_]] = {}
    for item in dataset:
        found[f"{item.id}|"] = np.zeros(0, bool)
        for annotation in item.annotations:
            if annotation.type != AnnotationType.mask:
                continue
            region = np.asarray(annotation.image).astype(bool)
            key = f"{item.id}|{names[annotation.label]}"
            found[key] = found[key] | region if key in found else region
    return found


def label_studio(path: str) -> dict[str, NDArray[np.bool_]]:
    from label_studio_sdk.converter.brush import decode_rle

    found: dict[str, NDArray[np.bool_]] = {}
    with Path(path).open(encoding="utf-8") as stream:
        tasks = json.load(stream)
    for task in tasks:
        for result in task["predictions"][0]["result"]:
            size = result["original_height"], result["original_width"], 4
            picture = decode_rle(result["value"]["rle"]).reshape(size)
            assert set(np.unique(picture)) <= {0, 255} and (picture == picture[:, :, :1]).all()
            found[f"{task['data']['image']}|{result['value']['brushlabels'][0]}"] = picture[:, :, 3] > 0
    return found


if __name__ == "__main__":
    tool, *words, out = sys.argv[1:]
    found: dict[str, Any] = {**(datumaro(*words) if tool == "datumaro" else label_studio(*words))}
    np.savez(out, **found)
