"""Pages of docs/, followed in a folder with a small dataset and a trained network: every block, as it stands there.

`first-masks.md` is followed by `make test`, the others by `make test-all`; `tests/test_docs.py` holds that each command
of each page exists with its options.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from tag2mask.masks import read_mask
from tag2mask.masks.export_folder import export_masks
from tests.helpers import TinyDataset, draw_shapes, write_image
from tests.pages import DOCS, WHOLE, Follower, without_serving

FOLLOWED = [
    "api.md",
    "check.md",
    "coming-from.md",
    "corrections.md",
    "ecosystem.md",
    "first-masks.md",
    "guide.md",
    "install.md",
    "performance.md",
    "production.md",
    "recipes.md",
    "scale.md",
    "studio.md",
    "verdict.md",
]
BACKBONES = ("tf_efficientnet_lite2", "deit_tiny_patch16_224", "resnet18", "resnet50")


@pytest.fixture
def workplace(shapes: TinyDataset, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that a reader is in: images, tags, a run, and what the pages name."""
    for name in ("photos", "images", "held-out"):
        shutil.copytree(shapes.images, tmp_path / name)
    for name in ("tags.csv", "held-out.csv"):
        shutil.copy(shapes.tags, tmp_path / name)
    shutil.copytree(shapes.masks, tmp_path / "held-out-gt")
    shutil.copytree(trained, tmp_path / "runs" / "mine")
    for k, name in enumerate(("new/x.png", "aerial/y.png", "val/photos/z.png")):
        write_image(tmp_path / name, draw_shapes(("disc",), seed=900 + k, size=(96, 128))[0])
    shutil.copy(tmp_path / "photos" / "shape_000.png", tmp_path / "photos" / "a.png")
    monkeypatch.chdir(tmp_path)
    yield tmp_path


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights of the backbones that the pages name, random, in place of those of the Hub."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    for name in BACKBONES:
        save_file(timm.create_model(name, pretrained=False).state_dict(), folder / f"{name}.safetensors")
    return folder


def test_first_masks(workplace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Somebody without any run gets masks of every image, overlays of new ones, and a file of another tool."""
    pytest.importorskip("uvicorn")
    shutil.rmtree(workplace / "runs")
    (workplace / "photos" / "a.png").rename(workplace / "photos" / "a.jpg")
    served = without_serving(monkeypatch)
    follower = Follower(monkeypatch, capfd)
    follower.follow("first-masks.md")
    assert (follower.ran, served()) == (6, 1)
    masks = sorted((workplace / "runs/mine/masks").glob("*.png"))
    assert len(masks) == 48
    assert all(set(np.unique(read_mask(path))) <= {0, 1, 2} for path in masks)
    assert (workplace / "look/x.png").is_file() or (workplace / "look/x.jpg").is_file()
    assert len(json.loads((workplace / "masks.json").read_text())["images"]) == 48
    assert read_mask(workplace / "a.png").shape == (48, 64)


def nothing(_: Path, __: TinyDataset) -> None:
    pass


def for_corrections(folder: Path, tiny: TinyDataset) -> None:
    export_masks(tiny.masks, out=folder / "corrected.json", to="coco", images=tiny.images, classes=tiny.classes)


def for_ecosystem(folder: Path, tiny: TinyDataset) -> None:
    write_image(folder / "photos" / "a.jpg", draw_shapes(("disc",), seed=7)[0])


def for_parts(folder: Path, tiny: TinyDataset) -> None:
    for k, path in enumerate(sorted(tiny.images.iterdir())):
        if k % 4 != 2:  # both shapes
            target = folder / "parts" / ("disc", "square", "", "none")[k % 4] / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def for_studio(folder: Path, tiny: TinyDataset) -> None:
    project = folder / "photos" / "tag2mask"
    (project / "corrected").mkdir(parents=True)
    with tiny.tags.open(encoding="utf-8", newline="") as stream:
        rows = [[row["image"], *(int(name in row["tags"]) for name in tiny.classes)] for row in csv.DictReader(stream)]
    with (project / "tags.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["image", *tiny.classes], *rows])
    shutil.copy(tiny.class_file, project / "classes.txt")
    shutil.copy(tiny.masks / "shape_000.png", project / "corrected" / "shape_000.png")


def for_verdict(folder: Path, tiny: TinyDataset) -> None:
    for name in ("a", "b", "c"):
        (folder / "runs" / name).symlink_to(folder / "runs" / "mine")
    shutil.copytree(folder / "runs/mine/masks", folder / "masks")
    for name in ("audited", "gt"):
        shutil.copytree(tiny.masks, folder / name)
    page = (DOCS / "verdict.md").read_text(encoding="utf-8")
    found = re.search(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    plan = yaml.safe_load(found[1])
    plan["val"] = {"images": "photos", "tags": "tags.csv", "masks": "gt"}
    plan["settings"] = {
        **{name: value for name, value in WHOLE.items() if name != "training.loggers"},
        "training.epochs": 1,
    }
    plan["parts"] = dict(list(plan["parts"].items())[-1:])
    plan["seeds"] = [0]
    shutil.copy(tiny.class_file, folder / "classes.txt")
    (folder / "ablation.yaml").write_text(yaml.safe_dump(plan))


FEW = {"recipes.md": 16}
"""Images that each training of a page gets, where it has many."""

PREPARED: dict[str, Callable[[Path, TinyDataset], None]] = {
    "coming-from.md": for_parts,
    "corrections.md": for_corrections,
    "ecosystem.md": for_ecosystem,
    "studio.md": for_studio,
    "verdict.md": for_verdict,
}


@pytest.mark.thorough
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [page for page in FOLLOWED if page != "first-masks.md"])
def test_page(
    page: str,
    workplace: Path,
    shapes: TinyDataset,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("uvicorn")
    (workplace / "photos" / "a.png").unlink()
    (workplace / "weights").symlink_to(weights)
    PREPARED.get(page, nothing)(workplace, shapes)
    without_serving(monkeypatch)
    follower = Follower(monkeypatch, capfd, weights, limit=FEW.get(page))
    follower.follow(page)
    assert follower.ran


def test_the_blocks_of_the_dense_crf() -> None:
    """docs/crf.md: each block of Python, with arrays of the shapes that it names."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (24, 32, 3)).astype(np.uint8)
    probs = rng.dirichlet(np.ones(3), (24, 32)).transpose(2, 0, 1).astype(np.float32)
    names = {"image": image, "probs": probs, "images": [image, image], "height": 24, "width": 32, "classes": 3}
    from tests.pages import blocks

    for block in blocks("crf.md"):
        given = {**names, "probs": [probs, probs]} if "dense_crf_batch" in block.text else names
        given["probs"] = np.ascontiguousarray(probs) if given is names else given["probs"]
        found: dict[str, object] = dict(given)
        exec(compile(block.text, block.where, "exec"), found)
        assert "marginals" in found
