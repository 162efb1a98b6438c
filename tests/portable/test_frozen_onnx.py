"""A light decoder on frozen backbones as an ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tag2mask.config import Config
from tag2mask.inference.backends.onnx import OnnxBackend
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.models import FrozenSegmenter, build_network
from tag2mask.portable.onnx_export import export_onnx
from tests.models.test_frozen import SMALL, VIT

CLASSES = ("a", "b", "c")


@pytest.mark.parametrize(("companions", "stages"), [([], ()), ([VIT | {"scale": 0.714}], ()), ([], (0, 1, 2))])
def test_both_backends_give_the_same_outputs_at_any_size(
    companions: list[object], stages: tuple[int, ...], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    config = Config().override(
        SMALL | {"model.companions": companions, "model.contrast_stages": list(stages), "training.precision": "32-true"}
    )
    network = build_network(config, len(CLASSES))
    assert isinstance(network, FrozenSegmenter)
    torch.nn.init.normal_(network.recognition.classifier.weight)
    export_onnx(network, CLASSES, config, tmp_path / "network.onnx")
    exported, original = OnnxBackend.load(tmp_path / "network.onnx"), TorchBackend(network, CLASSES, config)
    for height, width in ((128, 96), (64, 160)):
        images = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
        for ours, theirs in zip(original.run(images), exported.run(images), strict=True):
            np.testing.assert_allclose(ours.tag_logits, theirs.tag_logits, atol=1e-4)
            np.testing.assert_allclose(ours.pixel_logits, theirs.pixel_logits, atol=1e-4)
            assert ours.cams is not None and theirs.cams is not None
            np.testing.assert_allclose(ours.cams, theirs.cams, atol=1e-3)
            np.testing.assert_allclose(ours.energies[0], theirs.energies[0], rtol=1e-3)
            assert (ours.contrast_logits is None) == (theirs.contrast_logits is None) == (not stages)
            if ours.contrast_logits is not None and theirs.contrast_logits is not None:
                np.testing.assert_allclose(ours.contrast_logits, theirs.contrast_logits, atol=1e-4)
                assert ours.contrast_prior is not None and theirs.contrast_prior is not None
                np.testing.assert_allclose(ours.contrast_prior, theirs.contrast_prior, atol=1e-4)
            assert (ours.affinity is None) == (theirs.affinity is None) == (not companions)
            if ours.affinity is not None and theirs.affinity is not None:
                np.testing.assert_allclose(ours.affinity.blocks[0].matrix, theirs.affinity.blocks[0].matrix, atol=1e-5)
