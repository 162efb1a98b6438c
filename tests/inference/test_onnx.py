"""The ONNX file against the network on torch, and prediction where there is no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tag2mask.config.schema import CrfConfig, PredictionConfig
from tag2mask.core.errors import ConfigError, DataError, WeightsError
from tag2mask.inference import Segmenter
from tag2mask.inference.backends.onnx import OnnxBackend
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.masks import read_mask
from tag2mask.models import TagSegmenter
from tests.helpers import TinyDataset, draw_shapes, write_image

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from tag2mask.portable.quantise import quantise  # noqa: E402

SIZES = ((48, 64), (64, 64), (37, 91), (120, 30), (1, 1), (1, 200))
NO_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('torch', 'torchvision', 'timm', 'lightning', 'torchmetrics', 'safetensors'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name.split('.')[0])
sys.meta_path.insert(0, Absent())
from tag2mask.cli import main
main()
"""


@pytest.fixture(scope="module")
def on_torch(trained: Path) -> Segmenter:
    return Segmenter.from_pretrained(trained, device="cpu")


@pytest.fixture(scope="module")
def exported(on_torch: Segmenter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "shapes.onnx"
    on_torch.export_onnx(path)
    return path


@pytest.fixture(scope="module")
def portable(exported: Path) -> Segmenter:
    return Segmenter.from_pretrained(exported)


def test_the_same_masks_as_on_torch(on_torch: Segmenter, portable: Segmenter) -> None:
    equal = []
    for size in SIZES:
        image = np.full((*size, 3), 90, np.uint8)
        if min(size) > 12:
            image = draw_shapes(("disc", "square"), size=size, seed=5)[0]
        for tags, unknown in ((None, None), (["square"], None), (["disc"], ["square"]), ([], None)):
            expected, found = (one.predict(image, tags, unknown=unknown) for one in (on_torch, portable))
            np.testing.assert_allclose(found.tag_probs, expected.tag_probs, atol=1e-4)
            np.testing.assert_allclose(found.uncertainty, expected.uncertainty, atol=1e-3)
            equal.append((found.mask == expected.mask).ravel())
    assert np.concatenate(equal).mean() >= 0.9999


def test_the_same_outputs_of_the_network(on_torch: Segmenter, portable: Segmenter) -> None:
    image = draw_shapes(("disc", "square"), size=(64, 64), seed=5)[0]
    [expected], [found] = (one.backend.run(image[None]) for one in (on_torch, portable))
    assert expected.cams is not None
    assert found.cams is not None
    for name in ("tag_logits", "pixel_logits", "cams"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-4)
    assert len(found.energies) == len(expected.energies) == 1
    np.testing.assert_allclose(found.energies[0], expected.energies[0], rtol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        PredictionConfig(prior_weight=0.0, flip=False, scales=(1.0,)),
        PredictionConfig(prior_weight=1.0, scales=(0.75, 1.5), gate=0.0),
        PredictionConfig(gate=1.0, crf=CrfConfig(enabled=False)),
    ],
)
def test_settings_may_change_after_the_export(
    on_torch: Segmenter, portable: Segmenter, settings: PredictionConfig
) -> None:
    image = draw_shapes(("disc",), size=(60, 80), seed=9)[0]
    expected, found = (one.predict(image, settings=settings).probs for one in (on_torch, portable))
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        {"model.contrast_stages": [0, 1], "masks.soft_prior": 0.6, "masks.soft_threshold": "auto"},
        {"paper.shared_stages": 2, "paper.cam_channels": 16, "masks.prior_layers": [0, -1]},
        {"training.supervision": "masks"},
    ],
)
def test_other_networks(on_torch: Segmenter, tmp_path: Path, options: dict[str, object]) -> None:
    config = on_torch.config.override(options)
    other = Segmenter(TorchBackend(TagSegmenter(config, 2), ["disc", "square"], config, device="cpu"))
    metadata = other.export_onnx(tmp_path / "other.onnx")
    assert (metadata.contrast_channels > 0) == ("model.contrast_stages" in options)
    portable = Segmenter.from_pretrained(tmp_path / "other.onnx")
    image = draw_shapes(("disc",), size=(64, 64), seed=9)[0]
    settings = PredictionConfig(scales=(1.0,), crf=CrfConfig(enabled=False))
    expected, found = (one.predict(image, ["disc", "square"], settings=settings).probs for one in (other, portable))
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_the_file_says_what_it_is(exported: Path, on_torch: Segmenter) -> None:
    backend = on_torch.backend
    assert isinstance(backend, TorchBackend)
    model = onnx.load(exported)
    onnx.checker.check_model(model, full_check=True)
    properties = {one.key: json.loads(one.value) for one in model.metadata_props if one.key.startswith("tag2mask.")}
    assert properties["tag2mask.classes"] == ["disc", "square"]
    assert properties["tag2mask.opset"] == next(one.version for one in model.opset_import if one.domain == "")
    assert properties["tag2mask.prediction"] == on_torch.config.prediction.model_dump(mode="json")
    assert properties["tag2mask.preprocessing"]["mean"] == list(backend.network.backbone.preprocessing.mean)
    assert Segmenter.from_pretrained(exported).config == on_torch.config


def test_the_command_line_without_torch(
    exported: Path, portable: Segmenter, shapes: TinyDataset, tmp_path: Path
) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-c", NO_TORCH, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    for index in range(3):
        write_image(tmp_path / "in" / f"{index}.png", draw_shapes(("disc", "square"), seed=index)[0])
    done = run("predict", str(exported), str(tmp_path / "in"), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    for index in range(3):
        expected = portable.predict(draw_shapes(("disc", "square"), seed=index)[0]).mask
        assert np.array_equal(read_mask(tmp_path / "out" / f"{index}.png"), expected)
    again = run("train", str(shapes.images), "--tags", str(shapes.tags), "--out", str(tmp_path / "run"))
    assert again.returncode == 1
    assert "pip install 'tag2mask[train]'" in again.stderr
    folder = run("predict", str(tmp_path), str(tmp_path / "in"), "--out", str(tmp_path / "out"))
    assert folder.returncode == 1
    assert "pip install 'tag2mask[train]'" in folder.stderr


def test_eight_bits(exported: Path, portable: Segmenter, shapes: TinyDataset, tmp_path: Path) -> None:
    metadata = quantise(exported, tmp_path / "int8.onnx", shapes.images, limit=8)
    assert metadata.precision == "int8"
    small = Segmenter.from_pretrained(tmp_path / "int8.onnx")
    assert isinstance(small.backend, OnnxBackend)
    assert small.backend.metadata == metadata
    assert small.fingerprint() != portable.fingerprint()
    types = {one.op_type for one in onnx.load(tmp_path / "int8.onnx").graph.node}
    assert "QuantizeLinear" in types
    image = draw_shapes(("disc", "square"), seed=5)[0]
    assert np.mean(small.predict(image).mask == portable.predict(image).mask) > 0.95
    with pytest.raises(DataError, match="no image in this folder"):
        (tmp_path / "empty").mkdir()
        quantise(exported, tmp_path / "no.onnx", tmp_path / "empty")


def test_files_that_are_no_network(exported: Path, on_torch: Segmenter, portable: Segmenter, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read it"):
        Segmenter.from_pretrained(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(WeightsError, match="ONNX Runtime cannot load it"):
        Segmenter.from_pretrained(tmp_path / "text.onnx")
    model = onnx.load(exported)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(WeightsError, match="not from tag2mask; write one with `tag2mask export-model`"):
        Segmenter.from_pretrained(tmp_path / "foreign.onnx")
    onnx.helper.set_model_props(model, {"tag2mask.format_version": "1"})
    onnx.save(model, tmp_path / "damaged.onnx")
    with pytest.raises(WeightsError, match="its metadata is damaged"):
        Segmenter.from_pretrained(tmp_path / "damaged.onnx")
    with pytest.raises(ConfigError, match=r"must end in \.onnx"):
        on_torch.export_onnx(tmp_path / "model.bin")
    with pytest.raises(ConfigError, match="was loaded from an ONNX file"):
        portable.save_pretrained(tmp_path / "run")
    with pytest.raises(ConfigError, match="an ONNX file runs on the CPU"):
        Segmenter.from_pretrained(exported, device="cuda")
