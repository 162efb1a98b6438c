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

from tag2mask.core.errors import DataError
from tag2mask.core.extras import require
from tag2mask.core.files import atomic_path
from tag2mask.images.cache import whole_reader
from tag2mask.images.folder import list_images
from tag2mask.images.resize import resize_image, scaled_size
from tag2mask.portable.onnx_metadata import INPUT, MEDIAN, Metadata

_log = logging.getLogger(__name__)


def quantise(source: str | Path, path: str | Path, images: str | Path, *, limit: int = 32) -> Metadata:
    """Write an 8-bit form of an ONNX file.

    The convolutions' weights become int8, one scale a channel; their inputs uint8, with the range that they take on
    calibration images. Everything else stays in float32.

    Args:
        source: file of `export_onnx`.
        path: where to write; may be `source`.
        images: folder of calibration images, like those to come; no tags are needed.
        limit: use so many of them, evenly spread over the folder.

    Raises:
        DataError: no readable image, or the file cannot be written.
        MissingExtraError: ONNX or ONNX Runtime is not installed.
    """
    require("onnx", "8-bit export", "onnx", "onnxruntime")
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    metadata = _metadata(onnx.load(str(source), load_external_data=False), str(source))
    samples = _samples(metadata, Path(images), limit)

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, NDArray[Any]] | None:
            return next(samples, None)

    quantised = replace(metadata, precision="int8")
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
    onnx.helper.set_model_props(model, quantised.to_properties())
    with atomic_path(Path(path)) as temporary:
        onnx.save(model, temporary)
    return quantised


def _metadata(model: Any, source: str) -> Metadata:
    return Metadata.from_properties({one.key: one.value for one in model.metadata_props}, source=source)


def _samples(metadata: Metadata, folder: Path, limit: int) -> Iterator[dict[str, NDArray[Any]]]:
    """Inputs of the graph from readable images, at the network's size."""
    read = whole_reader(metadata.config)
    found = list_images(folder)
    chosen = [found[index] for index in np.unique(np.linspace(0, len(found) - 1, min(limit, len(found))).astype(int))]
    inputs: list[dict[str, NDArray[Any]]] = []
    for path, _ in chosen:
        try:
            image = read(path)
        except DataError as error:  # calibration does not need every image; that there is one is checked below
            _log.warning("%s; left out of the calibration", error)
            continue
        shape = (image.shape[0], image.shape[1])
        size = scaled_size(shape, metadata.config.data.image_size, multiple=metadata.input_multiple)
        feed: dict[str, NDArray[Any]] = {
            INPUT: np.ascontiguousarray(resize_image(image, size).transpose(2, 0, 1)[None])
        }
        if metadata.contrast_channels:
            feed[MEDIAN] = metadata.median_input(None)
        inputs.append(feed)
    if not inputs:
        raise DataError(f"{folder}: no readable image; give a folder of images like those to come")
    return iter(inputs)
