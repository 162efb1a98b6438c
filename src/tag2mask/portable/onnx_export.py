"""A run's trained network as an ONNX file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tag2mask.core.errors import ConfigError
from tag2mask.core.extras import require
from tag2mask.core.files import atomic_path
from tag2mask.inference.predictor import Predictor
from tag2mask.models import Recognition, TagSegmenter, contrast
from tag2mask.portable.onnx_metadata import INPUT, Metadata
from tag2mask.training.transforms import normalise

OPSET = 18


def export_onnx(run: str | Path | Predictor, path: str | Path) -> Metadata:
    """Write a run's network as one ONNX file of any batch and image size, with its classes and settings inside.

    Args:
        run: folder of a run, or a loaded network.
        path: the file, ending in .onnx.

    Raises:
        ConfigError: `path` does not end in .onnx.
        DataError: the folder holds no trained network, or the file cannot be written.
        MissingExtraError: torch or ONNX is not installed.
    """
    path = Path(path)
    if path.suffix.lower() != ".onnx":
        raise ConfigError(f"--onnx {path}: the name must end in .onnx, as ONNX files do")
    require("onnx", "export to ONNX", "onnx", "onnxscript")
    predictor = run if isinstance(run, Predictor) else Predictor.load(run, device="cpu")
    network = predictor.network.cpu().to(memory_format=torch.contiguous_format).eval()
    layers = predictor.config.masks.prior_layers
    graph = _Graph(network, layers if predictor.config.training.supervision == "tags" else None).eval()
    example = torch.zeros(2, 3, 96, 128, dtype=torch.uint8)
    sizes = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    with torch.inference_mode():
        names = list(graph.outputs(example))
    preprocessing = network.backbone.preprocessing
    metadata = Metadata(predictor.classes, predictor.config, preprocessing.mean, preprocessing.std, OPSET)
    with _quiet(), torch.no_grad():
        program: Any = torch.onnx.export(
            graph,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=names,
            dynamic_shapes=(sizes,),
            verbose=False,
        )
    program.model.metadata_props.update(metadata.to_properties())
    predictor.network.to(predictor.device, memory_format=torch.channels_last)
    with atomic_path(path) as temporary:
        program.save(temporary, external_data=False)
    return metadata


class _Graph(nn.Module):
    """Both streams on uint8 images, and what the stack of class maps is made from."""

    def __init__(self, network: TagSegmenter, prior_layers: Sequence[int] | None):
        super().__init__()
        self.network = network
        self.prior_layers = prior_layers

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """The outputs by name."""
        network = self.network
        batch = normalise(images, network.backbone.preprocessing)
        features = network.backbone(batch)
        own = features if network.own_backbone is None else network.own_backbone(batch)
        recognition: Recognition = network.recognition(features)
        result = {"tag_logits": recognition.tag_logits, "pixel_logits": network.segmentation(own[-1])}
        if self.prior_layers is None:
            return result
        if network.contrast is not None:
            logits, prior = self._contrast(features)
            return {**result, "contrast_logits": logits, "contrast_prior": prior}
        energies = [recognition.features[layer].abs().sum(dim=1, keepdim=True) for layer in self.prior_layers]
        return {**result, "cams": recognition.cams, **{f"energy_{k}": energy for k, energy in enumerate(energies)}}

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map images (B, 3, H, W) uint8 to the outputs, in the order of `outputs`."""
        return tuple(self.outputs(images).values())

    def _contrast(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """What `ContrastHead` computes of whole photographs, in operators that ONNX has."""
        network = self.network
        assert network.contrast is not None
        coarsest = max(network.backbone.strides[stage] for stage in network.contrast_stages)
        pooled = []
        for stage in network.contrast_stages:
            feature, stride = features[stage], network.backbone.strides[stage]
            while stride < coarsest:  # ceil_mode: the size as the exporter knows it of the next stage
                feature, stride = F.avg_pool2d(feature, 2, ceil_mode=True), 2 * stride
            pooled.append(feature)
        joined = _without_edge(torch.cat(pooled, dim=1))
        ordered = joined.flatten(2).sort(dim=2).values
        median = ordered[:, :, (ordered.shape[2] - 1) // 2, None, None]
        first = network.contrast.first
        prior = 1 - F.cosine_similarity(joined[:, :first], median[:, :first], dim=1)
        logits = network.contrast.classifier(network.contrast.scale(joined - median))
        return logits, prior.clamp_min(0)


def _without_edge(maps: Tensor, edge: int = contrast._EDGE) -> Tensor:
    """As in `tag2mask.models.contrast`, but whether the maps are large enough is asked in the graph."""
    inner = F.pad(maps[..., edge:-edge, edge:-edge], (edge, edge, edge, edge), mode="replicate")
    rows, columns = (torch.ones_like(line).sum() for line in (maps[0, 0, :, 0], maps[0, 0, 0]))
    return torch.where(torch.minimum(rows, columns) > 4 * edge, inner, maps)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporter says of its own inner life to itself."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
