"""The functions for CVAT: with its SDK and command line against a server that answers as CVAT does, and as nuclio."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.deploy import cvat
from tag2mask.deploy.cvat_function import write_function
from tag2mask.deploy.serving import Limits
from tag2mask.inference import Segmenter
from tag2mask.masks.rasterise import fill_edges
from tests.deploy.fake_cvat import FakeCvat, running_cvat
from tests.deploy.label_studio.helpers import CLASSES, ColourSegmenter, true_mask
from tests.deploy.serving.running import running
from tests.helpers import draw_shapes

cvataa = pytest.importorskip("cvat_sdk.auto_annotation", reason="CVAT's SDK is not installed")
from cvat_sdk import Client, Config  # noqa: E402
from cvat_sdk.masks import decode_mask  # noqa: E402

IMAGES = {"disc.png": ("disc",), "both.png": CLASSES, "none.png": ()}


def picture(tags: tuple[str, ...], seed: int = 0) -> Image.Image:
    return Image.fromarray(draw_shapes(tags, seed=seed)[0])


def context(**given: Any) -> Any:
    return types.SimpleNamespace(
        **({"frame_name": "a.png", "conf_threshold": None, "conv_mask_to_poly": False} | given)
    )


@pytest.fixture
def function() -> cvat.DetectionFunction:
    return cvat.DetectionFunction(cvat.LocalSource(ColourSegmenter()))


@pytest.fixture
def server() -> Iterator[FakeCvat]:
    images = {name: draw_shapes(tags)[0] for name, tags in IMAGES.items()}
    with running_cvat(images, ["square", "disc"]) as found:
        yield found


def mask_of(shapes: list[Any], names: dict[int, str], size: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    """Class indices of masks or polygons, as objects of the SDK or as JSON."""
    mask = np.zeros(size, np.uint8)
    for shape in shapes:
        kind = str(shape["type"])
        if kind == "mask":
            region = decode_mask(shape["points"], image_width=size[1], image_height=size[0])
        else:
            region = fill_edges(np.array(shape["points"]).reshape(-1, 2), size)
        mask[region] = CLASSES.index(names[shape["label_id"]]) + 1
    return mask


def test_masks_are_decoded_by_the_sdk(function: cvat.DetectionFunction) -> None:
    names = {label.id: label.name for label in function.spec.labels}
    assert [str(label.type) for label in function.spec.labels] == ["mask", "mask"]
    for tags in IMAGES.values():
        shapes = function.detect(context(), picture(tags))
        assert [names[shape.label_id] for shape in shapes] == list(tags)
        assert np.array_equal(mask_of(list(shapes), names), true_mask(tags))


@pytest.mark.parametrize("asked", [{"conv_mask_to_poly": True}, {}])
def test_polygons(asked: dict[str, bool]) -> None:
    shape: cvat.Shape = "mask" if asked else "polygon"
    function = cvat.DetectionFunction(cvat.LocalSource(ColourSegmenter()), shape, tolerance=0)
    shapes = function.detect(context(**asked), picture(CLASSES))
    assert {str(one.type) for one in shapes} == {"polygon"}
    names = {label.id: label.name for label in function.spec.labels}
    assert np.array_equal(mask_of(list(shapes), names), true_mask())


def test_the_threshold_is_of_the_probability_of_the_class(function: cvat.DetectionFunction) -> None:
    assert len(function.detect(context(conf_threshold=0.8), picture(CLASSES))) == 2
    assert function.detect(context(conf_threshold=0.95), picture(CLASSES)) == []


def test_a_task_is_annotated_by_the_sdk(function: cvat.DetectionFunction, server: FakeCvat, tmp_path: Path) -> None:
    with Client(server.url, config=Config(cache_dir=tmp_path)) as client:
        client.login(("user", "word"))
        cvataa.annotate_task(client, 1, function)
    [sent] = server.annotations
    names = {label["id"]: label["name"] for label in server.labels}
    for frame, tags in enumerate(IMAGES.values()):
        shapes = [shape for shape in sent["shapes"] if shape["frame"] == frame]
        assert all(shape["source"] == "auto" for shape in shapes)
        assert np.array_equal(mask_of(shapes, names), true_mask(tags))


def test_the_command_line_of_cvat_over_a_server_of_masks(server: FakeCvat, tmp_path: Path) -> None:
    with running(ColourSegmenter(), Limits(workers=1)) as port:
        words = ["--server-host", server.url, "--auth", "user:word", "task", "auto-annotate", "1"]
        words += ["--function-module", "tag2mask.deploy.cvat", "-p", f"url=str:http://127.0.0.1:{port}"]
        done = subprocess.run(
            [sys.executable, "-m", "cvat_cli", *words, "--conv-mask-to-poly", "-p", "tolerance=float:0"],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin", "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        )
    assert done.returncode == 0, done.stderr
    [sent] = server.annotations
    names = {label["id"]: label["name"] for label in server.labels}
    assert {shape["type"] for shape in sent["shapes"]} == {"polygon"}
    for frame, tags in enumerate(IMAGES.values()):
        shapes = [shape for shape in sent["shapes"] if shape["frame"] == frame]
        assert np.array_equal(mask_of(shapes, names), true_mask(tags))


def test_a_network_of_this_machine_and_one_that_is_served_find_the_same(trained: Path) -> None:
    local = cvat.create(model=str(trained))
    with running(Segmenter.from_pretrained(trained), Limits(workers=1)) as port:
        served = cvat.create(url=f"http://127.0.0.1:{port}/")
        assert served.spec == local.spec
        for seed in range(3):
            image = picture(CLASSES, seed)
            here, there = local.detect(context(), image), served.detect(context(), image)
            assert here and [(s.label_id, s.points) for s in here] == [(s.label_id, s.points) for s in there]


def test_parameters_that_cannot_be_used() -> None:
    for model, url in (("", ""), ("a", "http://localhost:1")):
        with pytest.raises(ConfigError, match="either `model`"):
            cvat.create(model, url)
    with pytest.raises(ConfigError, match="`shape`"):
        cvat.create(model="a", shape="box")
    with pytest.raises(ConfigError, match="`url`"):
        cvat.create(url="localhost:8000")
    with pytest.raises(ConfigError, match="is it running"):
        cvat.create(url="http://127.0.0.1:1")
    with pytest.raises(DataError, match="no"):
        cvat.create(model="nothing here")


def test_a_server_that_refuses_an_image(function: cvat.DetectionFunction) -> None:
    with running(ColourSegmenter(), Limits(workers=1, max_pixels=10)) as port:
        source = cvat.ServedSource(f"http://127.0.0.1:{port}")
        with pytest.raises(DataError, match=r"413.*pixels"):
            list(source.find(picture(CLASSES)))


# The serverless function.


@pytest.fixture(scope="module")
def folder(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    out = tmp_path_factory.mktemp("cvat")
    Segmenter.from_pretrained(trained).export_onnx(out / "shapes.onnx")
    return write_function(out / "shapes.onnx", out / "function", name="tag2mask-shapes")


@pytest.fixture
def nuclio(folder: Path) -> Any:
    """What nuclio does: import the handler, and call `init_context` once."""
    description = yaml.safe_load((folder / "function.yaml").read_text())
    module, handler = description["spec"]["handler"].split(":")
    spec = importlib.util.spec_from_file_location("cvat_main", folder / f"{module}.py")
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    here = types.SimpleNamespace(
        user_data=types.SimpleNamespace(),
        logger=types.SimpleNamespace(info=lambda text: None),
        Response=lambda **given: types.SimpleNamespace(**given),
    )
    loaded.init_context(here)
    return lambda body: getattr(loaded, handler)(here, types.SimpleNamespace(body=body))


def in_base64(image: Image.Image, kind: str = "JPEG") -> str:
    stream = io.BytesIO()
    image.save(stream, kind)
    return base64.b64encode(stream.getvalue()).decode()


def test_the_description_is_what_cvat_and_nuclio_read(folder: Path, trained: Path) -> None:
    description = yaml.safe_load((folder / "function.yaml").read_text())
    annotations = description["metadata"]["annotations"]
    assert annotations["type"] == "detector" and description["metadata"]["name"] == "tag2mask-shapes"
    labels = json.loads(annotations["spec"])  # cvat/apps/lambda_manager/views.py, LambdaFunction
    assert [(label["id"], label["name"], label["type"]) for label in labels] == [
        (1, "disc", "mask"),
        (2, "square", "mask"),
    ]
    [install] = [one["value"] for one in description["spec"]["build"]["directives"]["postCopy"]]
    assert "'tag2mask[onnx]==" in install
    assert {path.name for path in folder.iterdir()} == {"function.yaml", "main.py", "model.onnx"}


def test_answers_are_what_cvat_reads(nuclio: Any, folder: Path) -> None:
    segmenter = Segmenter.from_pretrained(folder / "model.onnx")
    for seed in range(4):
        image = Image.open(io.BytesIO(base64.b64decode(in_base64(picture(CLASSES, seed)))))
        answer = nuclio({"image": in_base64(picture(CLASSES, seed))})
        assert (answer.status_code, answer.content_type) == (200, "application/json")
        masks, polygons = np.zeros((48, 64), np.uint8), np.zeros((48, 64), np.uint8)
        for one in json.loads(answer.body):
            index = CLASSES.index(one["label"]) + 1
            *bits, left, top, right, bottom = one["mask"]  # LambdaJob._call_detector, parse_anno
            assert one["type"] == "mask" and set(bits) <= {0, 1} and 0 <= float(one["confidence"]) <= 1
            box = np.array(bits).reshape(bottom - top + 1, right - left + 1)
            masks[top : bottom + 1, left : right + 1][box == 1] = index
            polygons[fill_edges(np.array(one["points"]).reshape(-1, 2), (48, 64))] = index
        expected = segmenter.predict(image).mask
        assert expected.any() and np.array_equal(masks, expected)
        assert np.mean(polygons != expected) < 0.01


def test_a_threshold_and_a_body_as_text(nuclio: Any) -> None:
    body = {"image": in_base64(picture(("disc",))), "threshold": 0.0}
    assert json.loads(nuclio(json.dumps(body).encode()).body)
    assert json.loads(nuclio(body | {"threshold": 1.0}).body) == []


@pytest.mark.parametrize("body", [{}, {"image": 3}, {"image": "!!"}, {"image": "aGVsbG8="}, [], None])
def test_requests_without_an_image(nuclio: Any, body: Any) -> None:
    answer = nuclio(body)
    assert answer.status_code == 400 and "image" in answer.body


def test_functions_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    model = folder / "model.onnx"
    with pytest.raises(ConfigError, match="ONNX"):
        write_function(tmp_path, tmp_path / "out")
    with pytest.raises(ConfigError, match="`name`"):
        write_function(model, tmp_path / "out", name="Über Names")
    with pytest.raises(ConfigError, match="`wheel`"):
        write_function(model, tmp_path / "out", wheel=tmp_path / "tag2mask.whl")
    assert not (tmp_path / "out").exists()
    wheel = tmp_path / "tag2mask-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    out = write_function(model, tmp_path / "out", wheel=wheel)
    assert "/opt/nuclio/tag2mask-0.1.0-py3-none-any.whl[onnx]" in (out / "function.yaml").read_text()
    assert (out / wheel.name).read_bytes() == b"a wheel"
