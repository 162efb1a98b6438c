"""Kinds of backbones as ONNX files, against the network on PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tag2mask.config.schema import Config
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.models import build_network

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from tag2mask.inference.backends.onnx import OnnxBackend  # noqa: E402
from tag2mask.portable.onnx_export import export_onnx  # noqa: E402


@pytest.mark.parametrize(
    ("name", "args", "multiple"),
    [
        ("test_vit", {}, 16),
        ("test_vit", {"patch_size": 14, "img_size": 154}, 14),
        ("test_mambaout", {}, 32),
        ("test_coatnet", {}, 32),
    ],
    ids=["tokens", "patches of 14", "channels last", "one size"],
)
def test_the_file_gives_what_the_network_gives(name: str, args: dict[str, int], multiple: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = {"model.backbone": name, "model.backbone_args": args, "model.weights": "none"}
    config = Config().override({**model, "training.precision": "32-true"})
    network = build_network(config, 2, pretrained=False)
    metadata = export_onnx(network, ["disc", "square"], config, tmp_path / "m.onnx")
    assert metadata.input_multiple == multiple
    torch_backend = TorchBackend(network, ["disc", "square"], config, device="cpu")
    assert torch_backend.input_multiple == multiple
    portable = OnnxBackend.load(tmp_path / "m.onnx")
    rng = np.random.default_rng(0)
    for rows, columns in ((2, 3), (9, 5)):
        images = rng.integers(0, 256, (2, rows * multiple, columns * multiple, 3), dtype=np.uint8)
        for expected, found in zip(torch_backend.run(images), portable.run(images), strict=True):
            assert expected.cams is not None
            for attribute in ("tag_logits", "pixel_logits", "cams"):
                one, other = getattr(found, attribute), getattr(expected, attribute)
                assert one.shape == other.shape
                np.testing.assert_allclose(one, other, atol=1e-4 * max(1, np.abs(other).max()))
