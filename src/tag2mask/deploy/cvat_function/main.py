"""The serverless function: nuclio calls `init_context` once and `handler` for every image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.deploy.cvat import LocalSource, image_of_request, serverless_shapes
from tag2mask.inference import Segmenter

MODEL = Path(__file__).with_name("model.onnx")


def init_context(context: Any) -> None:
    """Load the network, and compile the dense CRF before the first image comes."""
    context.logger.info(f"loading {MODEL}")
    context.user_data.source = LocalSource(Segmenter.from_pretrained(MODEL))
    list(context.user_data.source.find(Image.fromarray(np.zeros((64, 64, 3), np.uint8))))
    context.logger.info("ready")


def handler(context: Any, event: Any) -> Any:
    """Answer a request of CVAT."""
    body = event.body
    if isinstance(body, bytes | str):
        body = json.loads(body)
    try:
        image = image_of_request(body)
        shapes = serverless_shapes(context.user_data.source, image, float(body.get("threshold") or 0))
    except DataError as error:
        return context.Response(body=str(error), headers={}, content_type="text/plain", status_code=400)
    return context.Response(body=json.dumps(shapes), headers={}, content_type="application/json", status_code=200)
