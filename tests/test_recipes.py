"""docs/voc2012.md and docs/coco2014.md: every command of their fenced blocks, as it stands there, on small datasets."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from tag2mask import cli
from tag2mask.config import Config
from tag2mask.config.load import load_config
from tag2mask.core.record import ImageRecord
from tag2mask.data.readers.voc_devkit import VOC_CLASSES
from tag2mask.images.decode import read_image
from tag2mask.masks import read_mask
from tag2mask.masks.class_names import read_classes
from tag2mask.models import FrozenSegmenter, build_network
from tag2mask.training.feature_store import feature_store
from tests import pages
from tests.helpers import write_image
from tests.test_voc2012 import write_devkit

ROOT = Path(__file__).resolve().parents[1]
TINY = ["data.image_size=64", "model.feature_channels=16", "model.head_channels=16", "training.epochs=1"]
TINY += ["training.loggers=[]", "prediction.flip=false"]
SMALL = {
    "vit_base_patch14_reg4_dinov2.lvd142m": "test_vit",
    "vit_base_patch16_dinov3.lvd1689m": "test_vit2",
    "vit_base_patch16_clip_quickgelu_224.openai": "test_vit3",
}
"""The pages' backbones and what stands for them here."""

CATEGORIES = {1: "person", 2: "bicycle", 13: "stop sign", 44: "bottle", 70: "toilet", 90: "toothbrush"}
"""Some of COCO's, whose ids have gaps."""


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of each fenced block of a page, in order."""
    return [(block.kind, block.text) for block in pages.blocks(page)]


def commands(page: str) -> list[str]:
    """The commands of a page, in order."""
    return [line for kind, text in blocks(page) if kind == "sh" for line in text.splitlines()]


class Reader:
    """Somebody who follows a page with a small dataset and, in place of its networks, small ones with random weights.

    The configurations and the names of the networks are changed in a copy, and each training gets small settings.
    """

    def __init__(self, page: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
        self.page, self.folder, self.monkeypatch, self.capfd = page, folder, monkeypatch, capfd
        torch.manual_seed(0)
        (folder / "weights").mkdir()
        for small in SMALL.values():
            save_file(timm.create_model(small, pretrained=False).state_dict(), self.weights(small))
        (folder / "configs").mkdir()
        for path in (ROOT / "configs").glob("*-frozen.yaml"):
            (folder / "configs" / path.name).write_text(self.changed(path.read_text(encoding="utf-8")))
        monkeypatch.chdir(folder)

    def weights(self, small: str) -> Path:
        """The file of a small network's weights, in place of those of the hub."""
        return self.folder / "weights" / f"{small}.safetensors"

    def changed(self, text: str) -> str:
        """The text with small networks."""
        for name, small in SMALL.items():
            text = text.replace(f"backbone: {name},", f"backbone: {small}, weights: {self.weights(small)},")
            text = text.replace(f"--backbone {name}", f"--backbone {small} --weights {self.weights(small)}")
            text = text.replace(
                f"backbone: {name}\n  weights: hub", f"backbone: {small}\n  weights: {self.weights(small)}"
            )
        return text

    def follow(self) -> dict[str, str]:
        """Do what the page says; returns what each command printed."""
        printed = {}
        for kind, text in blocks(self.page):
            if kind == "python":
                named = re.match(r"# (\w+\.py)", text)
                assert named is not None, "the first line of a script is its name"
                (self.folder / named[1]).write_text(text)
                continue
            for line in text.splitlines():
                printed[line] = self.run(line)
        return printed

    def run(self, line: str) -> str:
        if not line.startswith("tag2mask "):
            line = re.sub("^python ", f"{shlex.quote(sys.executable)} ", line)
            done = subprocess.run(["bash", "-ec", line], capture_output=True, text=True, check=False)
            # Libraries may warn, e.g. pycocotools of NumPy 2.
            assert done.returncode == 0, f"{line}\n{done.stderr}"
            return done.stdout
        words = shlex.split(self.changed(line))
        if words[1] == "train":
            words += [word for one in TINY for word in ("--set", one)] + ["--no-report"]
        if words[1] == "check":
            words += ["--fail-on", "never"]  # so few images are an error
        self.monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = self.capfd.readouterr()
        assert not stop.value.code, f"{line}\n{captured.out}\n{captured.err}"
        return captured.out + captured.err


def test_voc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    devkit = write_devkit(tmp_path, 48)
    listed = devkit / "ImageSets" / "Segmentation"
    train_aug = (listed / "train_aug.txt").read_text().split()
    val = (listed / "val.txt").read_text().split()
    (listed / "train_aug.txt").unlink()
    (listed / "train.txt").write_text("\n".join(train_aug[:10]) + "\n")
    boundaries = tmp_path / "benchmark_RELEASE" / "dataset"  # has images of VOC's train and val in either list
    boundaries.mkdir(parents=True)
    (boundaries / "train.txt").write_text("\n".join(train_aug[5:30] + val[:3]) + "\n")
    (boundaries / "val.txt").write_text("\n".join(train_aug[30:] + val[3:6]) + "\n")
    printed = Reader("voc2012.md", tmp_path, monkeypatch, capfd).follow()
    assert (listed / "train_aug.txt").read_text().split() == train_aug
    assert len(list((tmp_path / "val" / "images").iterdir())) == len(list((tmp_path / "val" / "masks").iterdir())) == 8
    trained = check_runs(tmp_path, printed, images=8)
    for out in trained:
        assert read_classes(out / "masks" / "classes.txt") == VOC_CLASSES
        assert len(list((out / "masks").glob("*.png"))) == 40


def write_coco(root: Path, name: str, count: int, first: int) -> dict[str, NDArray[np.uint8]]:
    """Images, each with a rectangle of one or two categories in turn, the last one with none, and their annotations.

    Returns the mask of each image that has annotations.
    """
    (root / name).mkdir(parents=True)
    ids = list(CATEGORIES)
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    masks: dict[str, NDArray[np.uint8]] = {}
    for k in range(count):
        rng = np.random.default_rng(first + k)
        image = rng.integers(90, 160, (48, 64, 3)).astype(np.uint8)
        mask = np.zeros((48, 64), np.uint8)
        for part in range(0 if k == count - 1 else 1 + k % 2):
            top, left = int(rng.integers(4, 20)), int(rng.integers(2, 12)) + 30 * part
            index = (k + part) % len(ids)
            box = slice(top, top + 20), slice(left, left + 18)
            image[box], mask[box] = 40 * index, index + 1
            corners = [left, top, left + 18, top, left + 18, top + 20, left, top + 20]
            segmentation: object = [corners]
            if k % 5 == 0:  # as of a crowd: run lengths, column by column
                before, between = left * 48 + top, 28
                counts = [before, *([20, between] * 18)[:-1]]
                segmentation = {"size": [48, 64], "counts": [*counts, 48 * 64 - sum(counts)]}
            crowd = int(k % 5 == 0)
            one = {"image_id": first + k, "category_id": ids[index], "segmentation": segmentation, "iscrowd": crowd}
            annotations.append({**one, "id": len(annotations) + 1, "bbox": [left, top, 18, 20], "area": 360})
        file = f"COCO_{name}_{first + k:012d}.jpg"
        Image.fromarray(image).save(root / name / file, quality=95)
        images.append({"id": first + k, "file_name": file, "height": 48, "width": 64})
        if mask.any():
            masks[file] = mask
    categories = [{"id": number, "name": word, "supercategory": ""} for number, word in CATEGORIES.items()]
    (root / "annotations").mkdir(exist_ok=True)
    document = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations" / f"instances_{name}.json").write_text(json.dumps(document))
    return masks


def test_coco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    write_coco(tmp_path / "coco", "train2014", 36, first=100)
    masks = write_coco(tmp_path / "coco", "val2014", 9, first=1)
    printed = Reader("coco2014.md", tmp_path, monkeypatch, capfd).follow()
    assert read_classes(tmp_path / "coco" / "classes.txt") == tuple(CATEGORIES.values())
    written = {path.name: path for path in (tmp_path / "coco" / "val-masks").glob("*.png")}
    assert set(written) == {str(Path(name).with_suffix(".png")) for name in masks}  # 8: one image has no annotation
    for name, mask in masks.items():
        assert np.array_equal(read_mask(written[str(Path(name).with_suffix(".png"))]), mask)
    for out in check_runs(tmp_path, printed, images=8):
        records = json.loads((out / "collection.json").read_text(encoding="utf-8"))["records"]
        assert {tag for record in records for tag in record["tags"]} == set(CATEGORIES.values())


def check_runs(folder: Path, printed: dict[str, str], *, images: int) -> list[Path]:
    """Each training has its run, each score is of `images` images; returns the folders of the runs."""
    words = {line: shlex.split(line) for line in printed}
    runs = [folder / of[of.index("--out") + 1] for of in words.values() if of[:2] == ["tag2mask", "train"]]
    assert all((run / "model.safetensors").is_file() for run in runs) and len(runs) >= 3
    scores = [printed[line] for line, of in words.items() if of[:2] == ["tag2mask", "evaluate"]]
    assert scores and all(f"over {images} images" in score for score in scores)
    kept = [load_config(run / "config.yaml") for run in runs if "look" not in run.name]
    choices = {(one.model.backbone, repr(one.model.companions)) for one in kept if one.model.frozen}
    assert len(list((folder / "cache" / "features").iterdir())) == len(choices)  # runs on the same backbones share one
    return runs


@pytest.mark.parametrize("name, shape", [("voc2012", (375, 500)), ("coco2014", (480, 640))])
def test_the_features_take_the_disk_that_the_page_says(name: str, shape: tuple[int, int], tmp_path: Path) -> None:
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    count = {"voc2012": 10_582, "coco2014": 82_783}[name]
    config = load_config(ROOT / "configs" / f"{name}-frozen.yaml")
    path = write_image(tmp_path / "a.png", np.zeros((*shape, 3), np.uint8))
    rows = re.findall(r"\| (\d+) px \| (\d+) \| (\d+) x (\d+) \| ([\d.]+) MiB \| ([\d.]+) GiB \|", page)
    assert len(rows) >= 3
    for side, patch, width, height, each, whole in rows:
        options = {
            "data.image_size": int(side),
            "model.backbone": "vit_tiny_patch16_224",
            "model.backbone_args": {"depth": 4, "embed_dim": 192, "patch_size": int(patch)},
            "model.weights": "none",
        }
        here = config.override(options)
        network = build_network(here, 2)
        assert isinstance(network, FrozenSegmenter) and network.channels == 384
        record = ImageRecord("a.png", path)
        store = feature_store(network, [record], here, tmp_path / side, read=read_image, device=torch.device("cpu"))
        assert store.shapes[0].grid == store.shapes[0].patches == (int(height), int(width))
        assert float(each) == pytest.approx(store.bytes / 2**20, abs=0.01)
        assert float(whole) == pytest.approx(count * store.bytes / 2**30, rel=0.01)


class SeenSizes:
    """A hook that keeps the size of what a network was given last."""

    last: tuple[int, ...] = ()

    def __call__(self, _: torch.nn.Module, given: tuple[torch.Tensor]) -> None:
        self.last = tuple(given[0].shape[2:])


@pytest.mark.parametrize("page", ["voc2012.md", "coco2014.md"])
def test_a_companion_sees_the_grid_of_the_first(page: str) -> None:
    """Only then do the attentions of both spread the evidence: of patches of 14 and of 16, at any size of image."""
    found = [one for line in commands(page) if (one := re.search(r"model\.companions=\[\{.*scale: ([\d.]+)\}", line))]
    assert found
    small = {"depth": 4, "embed_dim": 12, "num_heads": 1}
    companion = {"backbone": "vit_tiny_patch16_224", "backbone_args": small, "weights": "none"}
    for match in found:
        options = {
            "model.backbone": "vit_small_patch14_dinov2",
            "model.backbone_args": small,
            "model.weights": "none",
            "model.frozen": True,
            "model.companions": [{**companion, "scale": float(match[1])}],
        }
        network = build_network(Config().override(options), 2)
        assert isinstance(network, FrozenSegmenter)
        seen = SeenSizes()
        network.companions[0].register_forward_pre_hook(seen)
        for height, width in ((448, 336), (14 * 23, 448), (14 * 7, 14 * 19)):
            network.joined(torch.zeros(1, 3, height, width))
            assert seen.last == (height // 14 * 16, width // 14 * 16)


@pytest.mark.parametrize("page", ["voc2012.md", "coco2014.md"])
def test_the_networks_are_those_of_the_page_and_have_pretrained_weights(page: str) -> None:
    named = {name for line in commands(page) for name in re.findall(r"(?:--backbone |backbone: )([\w.]+)", line)}
    files = {name for line in commands(page) for name in re.findall(r"configs/\S+", line)}
    named |= {load_config(ROOT / name).model.backbone for name in files}
    assert named == set(SMALL)
    assert set(SMALL) <= set(timm.list_pretrained())
