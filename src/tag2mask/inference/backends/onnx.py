"""The network on ONNX Runtime: no PyTorch needed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError, WeightsError
from tag2mask.core.extras import require
from tag2mask.core.machine import usable_cores
from tag2mask.method.affinity import Affinity
from tag2mask.method.output import Array, NetworkOutput
from tag2mask.portable.onnx_metadata import AFFINITY, CONTRAST_FEATURES, INPUT, MEDIAN, SHARES, Metadata

_LIBRARIES = 330 << 20  # bytes of a process with ONNX Runtime, NumPy, OpenCV and Numba


class OnnxBackend:
    """A network in an ONNX file; see `Backend`.

    Attributes:
        metadata: everything that its file says of itself.
    """

    def __init__(self, session: Any, metadata: Metadata, digest: str, *, size: int = 0):
        """Take an open `onnxruntime.InferenceSession` of a file of `size` bytes; `load` is the usual way."""
        self.session = session
        self.metadata = metadata
        self.classes = metadata.classes
        self.config = metadata.config
        self.input_multiple = metadata.input_multiple
        self._digest = digest
        self._names = [output.name for output in session.get_outputs()]
        self._takes_median = MEDIAN in {one.name for one in session.get_inputs()}
        self._gives_contrast = "contrast_prior" in self._names
        self.has_contrast = self._gives_contrast and not self.config.model.frozen
        self.own_bytes = _LIBRARIES + 3 * size

    @classmethod
    def load(cls, path: Path, *, threads: int | None = None) -> OnnxBackend:
        """Open a file that `export_onnx` wrote.

        Args:
            path: the file.
            threads: of the network; None: every core that the process may use.

        Raises:
            DataError: there is no such file.
            WeightsError: it is damaged, or not from tag2mask.
            MissingExtraError: ONNX Runtime is not installed.
        """
        ort: Any = require("onnx", "prediction from an ONNX file", "onnxruntime")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot read it ({error.strerror}); export the network to this file") from None
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
        return cls(session, metadata, hashlib.sha256(content).hexdigest(), size=len(content))

    def run(self, images: NDArray[np.uint8], *, median: Array | None = None) -> list[NetworkOutput]:
        """Run the network on images (B, H, W, 3) uint8 RGB; see `Backend.run`."""
        outputs = self._run(images, median)
        energies = [outputs[name] for name in self._names if name.startswith("energy_")]
        return [
            NetworkOutput(
                outputs["tag_logits"][k],
                outputs["pixel_logits"][k],
                outputs["cams"][k] if "cams" in outputs else None,
                tuple(energy[k, 0] for energy in energies),
                outputs["contrast_logits"][k] if self._gives_contrast else None,
                outputs["contrast_prior"][k] if self._gives_contrast else None,
                Affinity.whole(outputs[AFFINITY][k]) if AFFINITY in outputs else None,
                outputs[SHARES][k] if SHARES in outputs else None,
            )
            for k in range(len(images))
        ]

    def contrast_features(self, images: NDArray[np.uint8]) -> Array:
        """Features (B, D, h, w) that the contrast head compares; see `Backend.contrast_features`."""
        if not self._takes_median:
            raise WeightsError(
                "this ONNX file cannot look at an image in tiles; export the network again with this version"
            )
        features: Array = self._run(images, None)[CONTRAST_FEATURES]
        return features

    def fingerprint(self) -> str:
        """SHA-256 of file and settings; see `Backend.fingerprint`."""
        settings = self.config.prediction.model_dump_json()
        return hashlib.sha256(f"{self._digest} {settings}".encode()).hexdigest()

    def _run(self, images: NDArray[np.uint8], median: Array | None) -> dict[str, Array]:
        """The graph's outputs by name."""
        feed: dict[str, NDArray[Any]] = {INPUT: np.ascontiguousarray(images.transpose(0, 3, 1, 2))}
        if self._takes_median:
            feed[MEDIAN] = self.metadata.median_input(median)
        return dict(zip(self._names, self.session.run(None, feed), strict=True))
