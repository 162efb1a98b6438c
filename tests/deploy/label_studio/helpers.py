"""A network that finds discs and squares by their colours, and requests as Label Studio sends them."""

from __future__ import annotations

import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tag2mask.config.schema import PredictionConfig
from tag2mask.inference import Prediction, Segmenter
from tag2mask.inference.inputs import ImageInput, as_rgb
from tag2mask.inference.tag_states import Tags, tag_states
from tag2mask.method.uncertainty import Uncertainty
from tests.deploy.serving.running import SlowBackend
from tests.helpers import draw_shapes

CLASSES = ("disc", "square")
TOOLS = Path(os.environ.get("TAG2MASK_TOOLS_PYTHON", Path(__file__).parents[3] / ".tools-venv/bin/python"))

LABELS = '<Label value="disc"/><Label value="square" background="green"/>'
BRUSH = (
    f'<View><Image name="img" value="$photo"/><BrushLabels name="brush" toName="img">{LABELS}</BrushLabels>'
    '<Choices name="what" toName="img" choice="multiple">'
    '<Choice value="disc"/><Choice value="square"/></Choices></View>'
)
POLYGON = (
    '<View><Image name="img" value="$photo"/>'
    f'<PolygonLabels name="outline" toName="img">{LABELS}</PolygonLabels></View>'
)


class ColourSegmenter(Segmenter):
    """Finds red discs and blue squares, exactly."""

    def __init__(self) -> None:
        super().__init__(_ColourBackend(), threads=1)

    def predict(
        self,
        image: ImageInput,
        tags: Tags = None,
        *,
        unknown: Tags = None,
        settings: PredictionConfig | None = None,
        max_memory: int | str | None = None,
    ) -> Prediction:
        pixels = as_rgb(image)
        present, _ = tag_states(self.classes, tags, unknown)
        red, blue = pixels[:, :, 0].astype(int), pixels[:, :, 2].astype(int)
        mask = np.zeros(pixels.shape[:2], np.uint8)
        mask[red - blue > 80] = 1
        mask[blue - red > 80] = 2
        if present is not None:
            mask[~np.isin(mask, 1 + np.flatnonzero(present))] = 0
        probs = np.stack([mask == k for k in range(3)]).astype(np.float32)
        tag_probs = np.array([0.9 * (mask == k).any() for k in (1, 2)], np.float32)
        return Prediction(mask, probs, tag_probs, self.classes, Uncertainty(0.3, 0.0, 0.0), pixels)


class _ColourBackend(SlowBackend):
    classes: tuple[str, ...] = CLASSES

    def fingerprint(self) -> str:
        return "0123456789abcdef"


def image_bytes(tags: tuple[str, ...] = CLASSES, *, seed: int = 0, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(draw_shapes(tags, seed=seed)[0]).save(stream, kind)
    return stream.getvalue()


def true_mask(tags: tuple[str, ...] = CLASSES, *, seed: int = 0) -> NDArray[np.uint8]:
    return draw_shapes(tags, seed=seed)[1]


def predict_body(addresses: list[str], config: str = BRUSH, context: Any = None) -> dict[str, Any]:
    """As `make_predictions` in label_studio/ml/api_connector.py sends it, with a task of `TaskSimpleSerializer`."""
    tasks: list[dict[str, Any]] = [
        {
            "id": number,
            "data": {"photo": address},
            "meta": {},
            "created_at": "2026-01-05T09:12:03.611Z",
            "updated_at": "2026-01-05T09:12:03.611Z",
            "is_labeled": False,
            "overlap": 1,
            "inner_id": number,
            "total_annotations": 0,
            "cancelled_annotations": 0,
            "total_predictions": 0,
            "comment_count": 0,
            "file_upload": None,
            "project": 3,
            "annotations": [],
            "predictions": [],
        }
        for number, address in enumerate(addresses, start=1)
    ]
    return {
        "tasks": tasks,
        "model_version": "undefined",
        "project": "3.1736068323",
        "label_config": config,
        "params": {"login": None, "password": None, "context": context},
    }


def setup_body(config: str = BRUSH) -> dict[str, Any]:
    """As `setup` in label_studio/ml/api_connector.py sends it."""
    return {
        "project": "3.1736068323",
        "schema": config,
        "hostname": "http://attacker.example",
        "access_token": "c9524eca2db027d71d4f1d2cb5b1a5e3d6b72183",
        "extra_params": None,
    }


def webhook_body(
    address: str, result: list[dict[str, Any]], config: str = BRUSH, *, number: int = 1, **annotation: Any
) -> dict[str, Any]:
    """As label_studio/webhooks/utils.py sends it when somebody submits: `AnnotationWebhookSerializer` and so on."""
    return {
        "action": "ANNOTATION_CREATED",
        "annotation": {
            "id": number,
            "result": result,
            "was_cancelled": False,
            "ground_truth": False,
            "lead_time": 7.3,
            "result_count": len(result),
            "completed_by": 1,
            "task": number,
            "project": 3,
            "parent_prediction": None,
        }
        | annotation,
        "project": {"id": 3, "title": "Shapes", "label_config": config, "task_number": 4, "created_by": {"id": 1}},
        "task": {"id": number, "data": {"photo": address}, "project": 3, "is_labeled": True, "file_upload": None},
    }


def sdk_says(**given: Any) -> dict[str, Any]:
    """The answer of `sdk_checks`."""
    if not TOOLS.is_file():
        pytest.skip("label-studio-sdk is not there: run `make tools`")
    given = {"config": BRUSH, "predictions": [], "strokes": [], "regions": []} | given
    program = Path(__file__).with_name("sdk_checks.py")
    done = subprocess.run(
        [TOOLS, program], input=json.dumps(given), capture_output=True, text=True, check=False, env={"PATH": "/usr/bin"}
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
