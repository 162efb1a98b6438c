"""A run to a hub on loopback and back, with the client that everybody uses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from tag2mask.config.load import load_yaml
from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.evaluation.folders import evaluate
from tag2mask.inference import Segmenter
from tag2mask.masks import read_mask
from tag2mask.portable.hub import _check_settings, _without_paths, fetch, is_hub_name, push_to_hub
from tag2mask.portable.model_card import model_card
from tests.helpers import TinyDataset, draw_shapes, write_image
from tests.portable.fake_hub import TOKEN, FakeHub, fake_hub

pytest.importorskip("huggingface_hub")


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeHub]:
    with fake_hub() as running:
        yield running


PROGRAM = """
import json, sys
from tag2mask import cli
for words in json.loads(sys.argv[1]):
    sys.argv = ["tag2mask", *words]
    try:
        cli.main()
    except SystemExit as stop:
        if stop.code:
            raise
"""


def tag2mask(hub: FakeHub, cache: Path, *commands: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Command lines in a process of their own, which knows no hub but this one."""
    settings = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(cache), "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **settings, "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        cwd=cache,
    )


def test_push_and_fetch(hub: FakeHub, trained: Path, shapes: TinyDataset, tmp_path: Path) -> None:
    scores = tmp_path / "scores.json"
    scores.write_text(json.dumps(evaluate(trained / "masks", shapes.masks, shapes.class_file).to_dict()))
    about = ("--description", "Discs and squares, drawn by a test.", "--licence", "apache-2.0")
    image = draw_shapes(("disc", "square"), seed=8)[0]
    write_image(tmp_path / "in" / "one.png", image)
    push = ["push-to-hub", str(trained), "somebody/shapes", "--scores", str(scores), *about]
    done = tag2mask(hub, tmp_path, push, ["predict", "somebody/shapes", "in", "--out", "out"])
    assert done.returncode == 0, done.stderr
    assert f"{hub.endpoint}/somebody/shapes/commit/" in done.stdout
    files = hub.repos["somebody/shapes"]
    assert "## Verdict\n" in files["README.md"].decode()
    assert set(files) == {"README.md", "model.safetensors", "model.yaml"}
    assert hub.private["somebody/shapes"]
    assert files["model.safetensors"] == (trained / "model.safetensors").read_bytes()
    assert files["model.safetensors"] in hub.objects.values()
    assert not any(
        str(shapes.root) in content.decode() for path, content in files.items() if path != "model.safetensors"
    )
    assert np.array_equal(
        read_mask(tmp_path / "out" / "one.png"), Segmenter.from_pretrained(trained).predict(image).mask
    )
    fetched = [one for one in hub.requests if one.startswith("GET") and "/resolve/" in one]
    assert {one.rsplit("/", 1)[1] for one in fetched} == {"model.safetensors", "model.yaml"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of huggingface_hub's own requests
def test_a_segmenter_is_pushed_without_its_dataset(
    hub: FakeHub, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    segmenter = Segmenter.from_pretrained(trained)
    address = segmenter.push_to_hub("somebody/alone", endpoint=hub.endpoint, token=TOKEN)
    assert address.startswith(f"{hub.endpoint}/somebody/alone/commit/")
    card = hub.repos["somebody/alone"]["README.md"].decode()
    assert "| 1 | disc |\n" in card
    assert "## Verdict" not in card
    assert "training images." not in card.split("## Limits")[0]


def test_what_the_hub_refuses(hub: FakeHub, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match="somebody/nothing: neither a folder here nor a repository on the Hub"):
        fetch("somebody/nothing", endpoint=hub.endpoint, token=TOKEN)
    with pytest.raises(ConfigError, match="check name and token|that you may read"):
        push_to_hub(trained, "somebody/other", endpoint=hub.endpoint, token="hf_wrong")
    hub.repos["somebody/pickled"] = {"pytorch_model.bin": b"never fetched", "README.md": b""}
    with pytest.raises(DataError, match=r"has no model.safetensors; it holds no network of tag2mask"):
        fetch("somebody/pickled", endpoint=hub.endpoint, token=TOKEN)
    assert not any("pytorch_model.bin" in one for one in hub.requests)


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert is_hub_name("user/name")
    for name in ("runs/mine", "runs", "a/b/c", "../up", "/abs/path", "user/", "us er/name"):
        assert not is_hub_name(name)


def test_bad_input(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected user/name"):
        push_to_hub(trained, "name")
    with pytest.raises(DataError, match="no trained network here"):
        push_to_hub(tmp_path, "user/name")
    (tmp_path / "scores.json").write_text("{}")
    with pytest.raises(DataError, match="not what `tag2mask evaluate` gives as JSON"):
        push_to_hub(trained, "user/name", scores=tmp_path / "scores.json")


def test_settings_that_would_read_other_files_are_refused(trained: Path) -> None:
    tree = load_yaml(trained / "model.yaml")
    _check_settings(tree, "user/name")
    tree["config"]["model"]["backbone_args"] = {"checkpoint_path": "/etc/passwd"}
    with pytest.raises(ConfigError, match="may not have checkpoint_path"):
        _check_settings(tree, "user/name")
    tree["config"]["model"]["weights"] = "/home/somebody/secret.safetensors"
    assert _without_paths(tree)["config"]["model"]["weights"] == "none"


def test_no_path_of_this_machine_is_pushed(trained: Path) -> None:
    tree = load_yaml(trained / "model.yaml")
    home = "/home/somebody"
    tree["config"]["data"]["cache"] = f"{home}/cache"
    tree["config"]["model"] |= {
        "weights": f"{home}/weights",
        "companions": [
            {"backbone": "a", "weights": f"{home}/a.safetensors"},
            {"backbone": "b", "weights": "hub"},
            {"backbone": "c", "weights": None},
        ],
    }
    pushed = _without_paths(tree)
    assert home not in yaml.safe_dump(pushed)
    assert [one["weights"] for one in pushed["config"]["model"]["companions"]] == ["none", "hub", None]
    assert home in yaml.safe_dump(tree)


def test_the_model_card(trained: Path) -> None:
    config = Segmenter.from_pretrained(trained).config
    tags = {"a.jpg": ["disc"], "b.jpg": ["disc", "square"]}
    scores = {"mIoU": 0.5, "images": 7, "IoU": {"background": 0.9, "disc": 0.1, "square": None}}
    card = model_card("me/shapes", ["disc", "square"], config, tags=tags, scores=scores, licence="mit")
    header = yaml.safe_load(card.split("---\n")[1])
    assert header["license"] == "mit"
    assert header["model-index"][0]["results"][0]["metrics"][0]["value"] == 50.0
    for line in (
        "| 1 | disc | 2 |",
        "| 2 | square | 1 |",
        "| disc | 10.0 |",
        "| square | none |",
        "2 training images",
    ):
        assert line in card
    assert "mIoU 50.0 over 7 images" in card
    assert "Not measured" in model_card("me/shapes", ["disc"], config, tags=tags)
    assert "| class index | class |\n" in model_card("me/shapes", ["disc"], config)


def test_the_card_says_what_the_run_knows() -> None:
    config = Config().override(
        {
            "model.frozen": True,
            "model.backbone": "vit_small_patch16_dinov3",
            "model.companions": [{"backbone": "resnet18", "weights": "/home/somebody/w.safetensors"}],
        }
    )
    verdict = {
        "overall": "amber",
        "reason": "2 classes",
        "classes": {"disc": {"overall": "green", "reason": "private/a.jpg", "numbers": {"auc": 0.987, "iou": None}}},
    }
    tags = {"private/a.jpg": ["disc"]}
    score = {"mIoU": 0.712, "images": 20}
    card = model_card("me/x", ["disc", "a|b"], config, tags=tags, verdict=verdict, masks_score=score, licence="mit")
    assert yaml.safe_load(card.split("---\n")[1])["base_model"] == ["timm/vit_small_patch16_dinov3.lvd1689m"]
    for line in (
        "**amber** (2 classes).",
        "| disc | green | 0.99 |",
        "| a\\|b |  |  |",
        "Masks of training images, their tags given: mIoU 71.2 over 20 images",
        "The network without tags: not measured.",
        "licence `dinov3-license`",
        "- `resnet18` of timm, weights from a file of the owner; timm's own weights of this name: licence `apache-2.0`",
        "under `mit`",
        "backbone, unchanged,",
    ):
        assert line in card
    assert "private" not in card
    assert "somebody" not in card
    named = {**verdict, "reason": "private/a.jpg is contradicted"}
    assert "private" not in model_card("me/x", ["disc"], config, tags=tags, verdict=named)
