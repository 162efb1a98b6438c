"""An ONNX file with 8-bit weights and activations: smaller and faster, at a small loss of mIoU."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.core.extras import require
from tag2mask.core.files import atomic_path
from tag2mask.data import list_images
from tag2mask.images.decode import read_image, scaled_size
from tag2mask.inference.onnx_predictor import OnnxPredictor
from tag2mask.portable.onnx_metadata import INPUT, MULTIPLE, Metadata


def quantise(source: str | Path, path: str | Path, photographs: str | Path, *, limit: int = 32) -> Metadata:
    """Write an 8-bit form of an ONNX file.

    The convolutions' weights become int8, one scale a channel; their inputs uint8, with the range
    that they take on some photographs. Everything else stays in float32.

    Args:
        source: file of `export_onnx`.
        path: where to write; may be `source`.
        photographs: folder of photographs like those to come; no tags are needed.
        limit: look at so many, evenly spread over the folder.

    Raises:
        DataError: no readable photograph, or the file cannot be written.
        MissingExtraError: ONNX or ONNX Runtime is not installed.
    """
    require("onnx", "8-bit export", "onnx", "onnxruntime")
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    predictor = OnnxPredictor.load(source)
    samples = _samples(predictor, Path(photographs), limit)

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            batch = next(samples, None)
            return None if batch is None else {INPUT: batch}

    metadata = replace(predictor.metadata, precision="int8")
    root = logging.getLogger()
    level = root.level
    with TemporaryDirectory() as folder:
        prepared, small = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        root.setLevel(logging.ERROR)  # it advises, on the root logger, what was just done
        try:
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(small),
                Reader(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        finally:
            root.setLevel(level)
        model: Any = onnx.load(small)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, metadata.to_properties())
    with atomic_path(Path(path)) as temporary:
        onnx.save(model, temporary)
    return metadata


def _samples(predictor: OnnxPredictor, folder: Path, limit: int) -> Iterator[NDArray[np.uint8]]:
    """Batches (1, 3, H, W) of readable photographs, at the network's size."""
    found = list_images(folder)
    chosen = [found[index] for index in np.unique(np.linspace(0, len(found) - 1, min(limit, len(found))).astype(int))]
    batches = []
    for path, _ in chosen:
        try:
            image = read_image(path)
        except DataError:
            continue  # a gauge needs no every photograph; that there is one is checked below
        size = scaled_size((image.shape[0], image.shape[1]), predictor.config.data.image_size, multiple=MULTIPLE)
        resized = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
        batches.append(np.ascontiguousarray(resized.transpose(2, 0, 1)[None]))
    if not batches:
        raise DataError(f"--int8 {folder}: no readable photograph; give a folder of photographs like those to come")
    return iter(batches)
