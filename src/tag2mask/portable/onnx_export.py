"""A trained network as an ONNX file."""

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

from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError
from tag2mask.core.extras import require
from tag2mask.core.files import atomic_path
from tag2mask.models import contrast
from tag2mask.models.build import SegmentationNetwork
from tag2mask.models.frozen import FrozenSegmenter
from tag2mask.models.inputs import normalise
from tag2mask.portable.onnx_metadata import AFFINITY, CONTRAST_FEATURES, INPUT, MEDIAN, SHARES, Metadata

OPSET = 18


def export_onnx(network: SegmentationNetwork, classes: Sequence[str], config: Config, path: Path) -> Metadata:
    """Write a network as one ONNX file of any batch and image size, with its classes and settings inside.

    Args:
        network: the trained network; it comes back where and as it was.
        classes: names, without background.
        config: the configuration of its run.
        path: the file, ending in .onnx.

    Raises:
        ConfigError: `path` does not end in .onnx, or the backbone cannot be exported.
        DataError: the file cannot be written.
        MissingExtraError: ONNX is not installed.
    """
    if path.suffix.lower() != ".onnx":
        raise ConfigError(f"{path}: the name must end in .onnx, as ONNX files do")
    require("onnx", "export to ONNX", "onnx", "onnxscript")
    device, was_training = next(network.parameters()).device, network.training
    network = network.cpu().to(memory_format=torch.contiguous_format).eval()
    channels = 0 if network.contrast is None else network.contrast.channels
    try:
        program = _exported(network, config, channels)
    finally:
        network.to(device, memory_format=torch.channels_last).train(was_training)  # type: ignore[call-overload]
    preprocessing = network.backbone.preprocessing
    metadata = Metadata(
        tuple(classes),
        config,
        preprocessing.mean,
        preprocessing.std,
        network.backbone.input_multiple,
        OPSET,
        contrast_channels=channels if config.training.supervision == "tags" else 0,
    )
    program.model.metadata_props.update(metadata.to_properties())
    with atomic_path(path) as temporary:
        program.save(temporary, external_data=False)
    return metadata


def _exported(network: SegmentationNetwork, config: Config, contrast_channels: int) -> Any:
    """The ONNX program of a network on the CPU."""
    from_tags = config.training.supervision == "tags"
    graph = _Graph(network, config.masks.prior_layers if from_tags else None).eval()
    inputs: tuple[Tensor, ...] = (torch.zeros(2, 3, *_example_size(network), dtype=torch.uint8),)
    names = [INPUT]
    sizes = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    shapes: tuple[Any, ...] = (sizes,)
    if from_tags and contrast_channels:
        inputs, names, shapes = (*inputs, torch.zeros(1, contrast_channels)), [*names, MEDIAN], (sizes, None)
    with torch.inference_mode():
        outputs = list(graph.outputs(*inputs))
    try:
        with _quiet(), torch.no_grad():
            return torch.onnx.export(
                graph,
                inputs,
                dynamo=True,
                opset_version=OPSET,
                input_names=names,
                output_names=outputs,
                dynamic_shapes=shapes,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise ConfigError(
            f"backbone '{config.model.backbone}' cannot be exported to ONNX for images of any size ({reason}); "
            "predict with the folder of the run, or train with a backbone that can (docs/backbones.md)"
        ) from error


def _example_size(network: SegmentationNetwork) -> tuple[int, int]:
    """Height and width, unlike each other, of images that the network takes."""
    multiple, smallest = network.backbone.input_multiple, network.backbone.smallest_input
    height = max(-(-96 // multiple), -(-smallest // multiple)) * multiple
    return height, max(height + multiple, -(-128 // multiple) * multiple)


class _Graph(nn.Module):
    """Both heads on uint8 images, and what class scores are made from."""

    def __init__(self, network: SegmentationNetwork, prior_layers: Sequence[int] | None):
        super().__init__()
        self.network = network
        self.prior_layers = prior_layers

    def outputs(self, images: Tensor, median: Tensor | None = None) -> dict[str, Tensor]:
        """The outputs by name."""
        network = self.network
        batch = normalise(images, network.backbone.preprocessing)
        if isinstance(network, FrozenSegmenter):
            return self._frozen(network, batch)
        features = network.backbone(batch)
        own = features if network.own_backbone is None else network.own_backbone(batch)
        recognition = network.recognition(features)
        outputs = {
            "tag_logits": recognition.tag_logits,
            "pixel_logits": network.segmentation(own[-1]),
            "cams": recognition.cams,
        }
        if self.prior_layers is None:
            return outputs
        if network.contrast is not None:
            assert median is not None
            return outputs | self._contrast(features, median)
        energies = [recognition.features[layer].abs().sum(dim=1, keepdim=True) for layer in self.prior_layers]
        return outputs | {f"energy_{k}": energy for k, energy in enumerate(energies)}

    def forward(self, images: Tensor, median: Tensor | None = None) -> tuple[Tensor, ...]:
        """Map images (B, 3, H, W) uint8, and the median (1, D), to the outputs, in the order of `outputs`."""
        return tuple(self.outputs(images, median).values())

    def _frozen(self, network: FrozenSegmenter, batch: Tensor) -> dict[str, Tensor]:
        """The outputs of a light decoder on frozen backbones."""
        recognition, pixel_logits = network.both(batch)
        outputs = {"tag_logits": recognition.tag_logits, "pixel_logits": pixel_logits, "cams": recognition.cams}
        if self.prior_layers is None:
            return outputs
        outputs["energy_0"] = recognition.features[-1]
        if recognition.contrast is not None:
            outputs |= {"contrast_logits": recognition.contrast.logits, "contrast_prior": recognition.contrast.prior}
        if recognition.share_logits is not None:
            outputs[SHARES] = recognition.share_logits
        if recognition.affinity is not None:
            outputs[AFFINITY] = recognition.affinity
        return outputs

    def _contrast(self, features: Sequence[Tensor], given: Tensor) -> dict[str, Tensor]:
        """What `ContrastHead` computes of whole images, in operators that ONNX has."""
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
        own = ordered[:, :, (ordered.shape[2] - 1) // 2]
        median = torch.where(torch.isnan(given), own, given)[:, :, None, None]
        first = network.contrast.first
        prior = 1 - F.cosine_similarity(joined[:, :first], median[:, :first], dim=1)
        logits = network.contrast.classifier(network.contrast.scale(joined - median))
        return {"contrast_logits": logits, "contrast_prior": prior.clamp_min(0), CONTRAST_FEATURES: joined}


def _without_edge(maps: Tensor) -> Tensor:
    """As in `tag2mask.models.contrast`, but the graph decides whether the maps are large enough."""
    rows, columns = (torch.ones_like(line).sum() for line in (maps[0, 0, :, 0], maps[0, 0, 0]))
    return torch.where(torch.minimum(rows, columns) > 4 * contrast.EDGE, contrast.replicate_edge(maps), maps)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's notes on its own progress."""
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
