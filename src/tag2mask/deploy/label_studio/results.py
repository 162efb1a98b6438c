"""From a prediction to what Label Studio shows: brush strokes or polygons, and choices."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from tag2mask.deploy.label_studio.interface import Control, Interface, Shapes
from tag2mask.inference import Prediction
from tag2mask.masks.formats.label_studio import brush_result, polygon_results
from tag2mask.masks.polygons import TOLERANCE
from tag2mask.masks.run_lengths import class_regions


def prediction_of(
    prediction: Prediction,
    interface: Interface,
    *,
    shapes: Shapes = "auto",
    tolerance: float = TOLERANCE,
    model_version: str,
) -> dict[str, Any]:
    """An element of `results`, as https://labelstud.io/guide/predictions describes it.

    The score is that of the mask as a whole, 1 minus its uncertainty: sorted by it, the least certain come first.
    """
    results: list[dict[str, Any]] = []
    control = interface.control_of_masks(shapes)
    if control is not None:
        for index, region in class_regions(prediction.mask, len(prediction.classes)):
            label = control.label_of(prediction.classes[index - 1])
            names = {"from_name": control.name, "to_name": control.to_name}
            if label is None:
                continue
            if control.kind == "brushlabels":
                results.append(brush_result(region, label, **names))
            else:
                results += polygon_results(region, label, **names, tolerance=tolerance)
    results += [chosen for one in interface.controls if (chosen := _choice(one, prediction)) is not None]
    for result in results:
        result["id"] = secrets.token_hex(5)
    score = round(1 - float(prediction.uncertainty.total), 4)
    return {"result": results, "score": score, "model_version": model_version}


def chosen_tags(results: object, interface: Interface) -> list[str] | None:
    """Names that were chosen for the image as a whole in a list of results; None where nothing was chosen."""
    names: list[str] = []
    for result in results if isinstance(results, list) else ():
        value = result.get("value") if isinstance(result, Mapping) else None
        choices = value.get("choices") if isinstance(value, Mapping) else None
        if isinstance(choices, list):
            names += [choice for choice in choices if isinstance(choice, str)]
    aliases = {name: label for one in interface.controls if one.kind == "choices" for name, label in one.labels.items()}
    return [aliases.get(name, name) for name in names] or None


def _choice(control: Control, prediction: Prediction) -> dict[str, Any] | None:
    """The classes that have pixels, as a choice, where the interface asks for one."""
    if control.kind != "choices":
        return None
    probs = dict(zip(prediction.classes, prediction.tag_probs.tolist(), strict=True))
    found = sorted(prediction.found, key=lambda name: -probs[name])
    labels = [label for name in found if (label := control.label_of(name)) is not None]
    if not labels:
        return None
    value = {"choices": labels[:1] if control.is_single else labels}
    return {"from_name": control.name, "to_name": control.to_name, "type": "choices", "value": value}
