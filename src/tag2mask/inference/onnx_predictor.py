"""Image, with or without tags, to mask, from an ONNX file: ONNX Runtime, NumPy, OpenCV and the CRF."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.config.schema import PredictionConfig
from tag2mask.core.errors import ConfigError, DataError, WeightsError
from tag2mask.core.extras import require
from tag2mask.core.machine import usable_cores
from tag2mask.images.decode import scaled_size
from tag2mask.inference.prediction import MaskMaker, Request, Scores, check_image, seen_side
from tag2mask.method.gate import gated_softmax
from tag2mask.method.maps_old import contrast_stack, deep_stack, resize_maps
from tag2mask.method.refine import foreground_first
from tag2mask.method.uncertainty import doubt_of
from tag2mask.portable.onnx_metadata import INPUT, MULTIPLE, Metadata

Array = NDArray[np.float32]


class OnnxPredictor(MaskMaker):
    """A trained network in ONNX with its classes and settings; the same masks as `Predictor` in 32 bit.

    Attributes:
        classes: names, without background; class index k is `classes[k - 1]`.
        config: the configuration of its run.
        metadata: everything that its file says of itself.
    """

    def __init__(self, session: Any, metadata: Metadata, digest: str):
        """Take an open `onnxruntime.InferenceSession`; `load` is the usual way."""
        self.session = session
        self.metadata = metadata
        self.classes = metadata.classes
        self.config = metadata.config
        self._digest = digest
        self._names = [output.name for output in session.get_outputs()]
        self._energies = [name for name in self._names if name.startswith("energy_")]

    @classmethod
    def load(cls, path: str | Path, *, threads: int | None = None) -> OnnxPredictor:
        """Open a file that `tag2mask export-model` wrote.

        Args:
            path: the file.
            threads: of the network; None takes every core that the process may use.

        Raises:
            DataError: there is no such file.
            WeightsError: it is damaged, or not from tag2mask.
            MissingExtraError: ONNX Runtime is not installed.
        """
        path = Path(path)
        ort: Any = require("onnx", "prediction from an ONNX file", "onnxruntime")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(
                f"{path}: cannot read it ({error.strerror}); write it with `tag2mask export-model`"
            ) from None
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or usable_cores()
        options.log_severity_level = 3
        try:
            # From memory: a file that refers to data elsewhere on the disk is refused.
            session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors share no base but this
            reason = str(error).splitlines()[0][:200]
            raise WeightsError(f"{path}: ONNX Runtime cannot load it ({reason}); export the network again") from None
        metadata = Metadata.from_properties(session.get_modelmeta().custom_metadata_map, source=str(path))
        return cls(session, metadata, hashlib.sha256(content).hexdigest())

    def fingerprint(self) -> str:
        """Digest of the file and the settings: masks with the same one come from the same network."""
        settings = self.config.prediction.model_dump_json()
        return hashlib.sha256(f"{self._digest} {settings}".encode()).hexdigest()

    def score(
        self, request: Request, *, settings: PredictionConfig | None = None, size: tuple[int, int] | None = None
    ) -> Scores:
        """Scores before the dense CRF; see `MaskMaker.score`."""
        settings = settings or self.config.prediction
        check_image(request.image)
        shape = (request.image.shape[0], request.image.shape[1])
        target = size or shape
        side = self._side(shape, settings)
        size = scaled_size(shape, side, multiple=MULTIPLE)
        passes = []
        for scale in settings.scales:
            scaled = scaled_size(shape, side * scale, multiple=MULTIPLE)
            passes.append(self._run(request.image, scaled, flip=settings.flip))
        tag_logits = np.mean([one["tag_logits"].mean(axis=0) for one in passes], axis=0)
        tag_probs: Array = (1 / (1 + np.exp(-tag_logits))).astype(np.float32)
        kept = np.flatnonzero(self._allowed(request, tag_probs, settings.gate))
        channels = np.concatenate([[0], kept + 1])
        grid = (size[0] // 8, size[1] // 8)
        sides = [[resize_maps(one, grid) for one in p["pixel_logits"]] for p in passes]
        logits = [_unflip(maps) for maps in sides]
        turned = [maps if side == 0 else maps[:, :, ::-1] for both in sides for side, maps in enumerate(both)]
        views = [gated_softmax(maps, channels, settings.reassign) for maps in turned]
        coarse: Array | None = None
        some = gated_softmax(resize_maps(np.mean(logits, axis=0), target), channels, settings.reassign)
        if settings.prior_weight and len(self._names) > 2 and self.config.training.supervision == "tags":
            stride = self.config.masks.stride
            stacks = [self._stack(one, kept, (size[0] // stride, size[1] // stride)) for one in passes]
            stack = np.mean(stacks, axis=0)
            some += np.float32(settings.prior_weight) * (resize_maps(stack, target) - some)
            coarse = np.stack([cv2.resize(one, grid[::-1], interpolation=cv2.INTER_AREA) for one in stack])
        probs = np.zeros((len(self.classes) + 1, *target), dtype=np.float32)
        probs[channels] = foreground_first(some, power=settings.share_power)
        return Scores(probs, tag_probs, doubt_of(views, coarse, self._tag_doubt(tag_probs, request)))

    def _side(self, shape: tuple[int, int], settings: PredictionConfig) -> int:
        """Long side at which the network sees an image (H, W); larger than in training only on torch, in tiles."""
        side = seen_side(shape, settings, self.config)
        if side > self.config.data.image_size:
            raise ConfigError(
                f"prediction.image_size: {side} is larger than in training ({self.config.data.image_size}); "
                "ONNX files have no tiles: predict from the run's folder"
            )
        return side

    def _run(self, image: NDArray[np.uint8], size: tuple[int, int], *, flip: bool) -> dict[str, Array]:
        """The graph's outputs for the photograph at `size`, with its mirror image second."""
        resized = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
        planes = resized.transpose(2, 0, 1)
        batch = np.stack([planes, planes[:, :, ::-1]] if flip else [planes])
        return dict(zip(self._names, self.session.run(None, {INPUT: batch}), strict=True))

    def _stack(self, outputs: dict[str, Array], kept: NDArray[np.intp], size: tuple[int, int]) -> Array:
        """The stack (K + 1, *size) of the allowed classes, averaged over the mirror image."""
        config = self.config.masks
        stacks = []
        for index in range(len(outputs["tag_logits"])):
            if "contrast_prior" in outputs:
                logits, prior = outputs["contrast_logits"][index, kept], outputs["contrast_prior"][index]
                stacks.append(contrast_stack(logits, prior, size, config))
            else:
                energies = [outputs[name][index, 0] for name in self._energies]
                stacks.append(deep_stack(outputs["cams"][index, kept], energies, size, config))
        return _unflip(stacks)

    def _allowed(self, request: Request, tag_probs: Array, gate: float) -> NDArray[np.bool_]:
        allowed: NDArray[np.bool_] = tag_probs >= np.float32(gate)
        if request.tags is None:
            return allowed
        return (allowed & self._which(request.maybe)) | self._which(request.tags)


def _unflip(maps: list[Array]) -> Array:
    """Average the maps (K, h, w) of an image with those of its mirror image, if there are two."""
    if len(maps) == 1:
        return maps[0]
    result: Array = (maps[0] + maps[1][:, :, ::-1]) / np.float32(2)
    return result
