"""A dataset in which everything is wrong once, a clean one, and the command with its exit status."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tag2mask import cli
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.data import Dataset
from tag2mask.data.checks import Report, check_dataset
from tag2mask.masks import write_mask
from tests.data.checks.generated import clouds
from tests.helpers import write_image

Call = Callable[..., tuple[int, str, str]]


@dataclass
class Folder:
    """A dataset being written."""

    root: Path
    tags: dict[str, str] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)

    def add(self, tags: str, count: int = 1, *, size: tuple[int, int] = (60, 80)) -> str:
        for _ in range(count):
            name = f"{len(self.tags):03d}.png"
            write_image(self.root / "images" / name, clouds(len(self.tags), size))
            self.tags[name] = tags
        return name

    def path(self, name: str) -> Path:
        return self.root / "images" / name

    def write(self) -> Path:
        with (self.root / "tags.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["image", "tags", "split"])
            writer.writerows([name, tags, self.splits.get(name, "train")] for name, tags in self.tags.items())
        return self.root / "tags.csv"

    def check(self, *, against: Path | None = None, masks: Path | None = None) -> Report:
        return check_dataset(self.root / "images", self.write(), against=against, masks=masks)


def codes(report: Report) -> dict[str, str]:
    return {finding.code: finding.severity for finding in report.findings}


def images_of(report: Report, code: str) -> set[str]:
    return {name for finding in report.findings if finding.code == code for name in finding.images}


@pytest.fixture
def clean(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "clean")
    for tags in ("cat", "dog", "cat dog", "none"):
        folder.add(tags, 20)
    return folder


def test_nothing_is_wrong_with_a_clean_dataset(clean: Folder) -> None:
    masks = clean.root / "masks"
    for name, tags in clean.tags.items():
        mask = np.zeros((60, 80), np.uint8)
        for k, tag in enumerate(("cat", "dog"), 1):
            mask[10 * k : 10 * k + 9, 5:50] = k if tag in tags.split() else 0
        write_mask(masks / name, mask)
    other = Folder(clean.root / "other")
    other.tags = {f"{k}": "" for k in range(900)}  # so that its images are others
    other.add("", 3)
    report = clean.check(against=other.root / "images", masks=masks)
    assert report.findings == ()
    assert report.images == 80
    assert report.counts["cat"] == {"present": 40, "absent": 40, "unknown": 0}
    assert not report.fails("warning")


def test_every_trouble_with_images_is_found(clean: Folder) -> None:
    first, second, third, fourth, fifth, sixth, seventh, eighth = (f"{k:03d}.png" for k in range(8))
    shutil.copy(clean.path(first), clean.path("copy.png"))
    clean.tags["copy.png"] = "dog"  # the original is tagged cat
    Image.open(clean.path(second)).save(clean.path("resaved.bmp"))
    clean.tags["resaved.bmp"] = "cat"
    Image.open(clean.path(third)).save(clean.path("recompressed.jpg"), quality=60)
    clean.tags["recompressed.jpg"] = "cat"
    shutil.copy(clean.path(fourth), clean.path("leak.png"))
    clean.tags["leak.png"], clean.splits["leak.png"] = "cat", "val"
    Image.open(clean.path(fifth)).save(clean.path("leak.jpg.jpg"), quality=60)
    clean.tags["leak.jpg.jpg"], clean.splits["leak.jpg.jpg"] = "cat", "val"
    clean.path(sixth).write_bytes(b"<html>not found</html>")
    clean.path(seventh).write_bytes(clean.path(seventh).read_bytes()[:-400])
    clean.path(eighth).unlink()
    Image.open(clean.path("050.png")).save(clean.path("unlisted.png"))
    clean.tags["051.png"] = ""
    tiny = clean.add("cat", size=(20, 90))
    large = clean.add("cat", size=(600, 700))
    wide = clean.add("cat", size=(40, 250))
    write_image(clean.path("empty.png"), np.full((60, 80, 3), 90, np.uint8))
    clean.tags["empty.png"] = "none"
    turned = clean.add("none")
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(clouds(700)).save(clean.path(turned), exif=exif)
    report = clean.check()
    expected = {
        "unreadable-images": ("error", {sixth}),
        "truncated-images": ("error", {seventh}),
        "tags-without-image": ("error", {eighth}),
        "duplicates-tagged-differently": ("error", {first, "copy.png"}),
        "duplicate-files": ("warning", {first, "copy.png"}),
        "duplicate-pixels": ("warning", {second, "resaved.bmp"}),
        "near-duplicates": ("note", {third, "recompressed.jpg"}),
        "leaked-duplicate-files": ("error", {fourth, "leak.png"}),
        "leaked-near-duplicates": ("warning", {fifth, "leak.jpg.jpg"}),
        "images-not-listed": ("warning", {"unlisted.png"}),
        "images-without-tags": ("warning", {"051.png"}),
        "tiny-images": ("warning", {tiny}),
        "empty-images": ("warning", {"empty.png"}),
        "size-outliers": ("note", {large}),
        "aspect-outliers": ("note", {wide}),
        "turned-by-exif": ("note", {turned}),
    }
    assert codes(report) == {code: severity for code, (severity, _) in expected.items()}
    for code, (_, names) in expected.items():
        assert images_of(report, code) == names, code
    severities = [finding.severity for finding in report.findings]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    for finding in report.findings:
        assert finding.what
        assert finding.consequence
        assert finding.remedy


def test_an_image_of_no_split_is_no_leak(clean: Folder) -> None:
    shutil.copy(clean.path("000.png"), clean.path("copy.png"))
    clean.tags["copy.png"], clean.splits["copy.png"] = "cat", ""
    assert codes(clean.check()) == {"duplicate-files": "warning"}


def test_copies_in_another_folder_are_found(clean: Folder) -> None:
    other = clean.root / "other"
    other.mkdir()
    shutil.copy(clean.path("004.png"), other / "renamed.png")
    report = clean.check(against=other)
    assert codes(report) == {"leaked-duplicate-files": "error"}
    (finding,) = report.findings
    assert finding.groups == (("004.png", f"{other}/renamed.png"),)
    assert report.images == 80


def tagged(root: Path, *groups: tuple[str, int]) -> Report:
    folder = Folder(root)
    for tags, count in groups:
        folder.add(tags, count, size=(40, 48))
    return folder.check()


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (
            [("cat", 40), ("hrose", 2), ("horse", 40), ("cat horse", 20), ("none", 9)],
            {"misspelt-classes", "rare-classes"},
        ),
        ([("cat", 25), ("Cat", 25), ("dog cat", 20), ("dog Cat", 20), ("none", 9)], {"misspelt-classes"}),
        ([("cat", 25), ("dog", 25), ("cat dog", 9), ("none", 9), ("eel", 7)], {"rare-classes"}),
        ([("cat", 25), ("dog", 25), ("cat dog", 9), ("none", 9), ("eel", 1)], {"classes-without-images"}),
        ([("cat", 30), ("cat dog", 30)], {"classes-in-every-image", "no-image-without-class"}),
        ([("cat", 30)], {"classes-in-every-image"}),
        ([("cat", 60), ("none", 5)], {"few-counterexamples"}),
        ([("cat eel", 30), ("dog", 30), ("cat eel dog", 9), ("none", 9)], {"classes-always-together"}),
        (
            [("cat", 30), ("cat eel", 30), ("dog", 30), ("cat dog", 9), ("none", 9)],
            {"classes-never-alone", "classes-never-together"},
        ),
        ([("cat", 30), ("dog", 30), ("none", 9)], {"one-tag-per-image"}),
        ([("cat dog", 60), ("dog", 5), ("none", 22)], {"classes-never-alone", "classes-nearly-always-together"}),
        ([("cat", 30), ("dog", 30)], {"classes-one-or-other", "one-tag-per-image", "no-image-without-class"}),
        ([("cat", 8), ("none", 9)], {"rare-classes", "few-different-images"}),
        ([("cat", 30), ("dog", 30), ("cat dog", 9)], {"no-image-without-class"}),
    ],
)
def test_tags_that_cannot_teach(groups: list[tuple[str, int]], expected: set[str], tmp_path: Path) -> None:
    assert set(codes(tagged(tmp_path, *groups))) == expected


def test_pairs_are_named(tmp_path: Path) -> None:
    report = tagged(tmp_path, ("cat eel", 30), ("dog", 30), ("cat eel dog", 9), ("hrose", 2), ("horse dog", 30))
    groups = {finding.code: finding.groups for finding in report.findings}
    assert groups["classes-always-together"] == (("cat", "eel"),)
    assert groups["misspelt-classes"] == (("hrose", "horse"),)
    assert groups["classes-never-alone"] == (("horse", "dog"),)


def test_masks_that_contradict_the_tags(clean: Folder) -> None:
    masks = clean.root / "masks"
    mask = np.zeros((60, 80), np.uint8)
    mask[:20] = 1
    mask[20:25] = 255
    for name, tags in clean.tags.items():
        if tags == "cat":
            write_mask(masks / name, mask)
    write_mask(masks / "000.png", mask * 0)  # tagged cat, shows none
    write_mask(masks / "001.png", np.where(mask == 1, 2, 0))  # shows a dog in its place
    write_mask(masks / "002.png", np.where(mask == 1, 7, 0))
    write_mask(masks / "003.png", mask[:50])
    (masks / "004.png").write_bytes(b"")
    write_mask(masks / "stray.png", mask)
    report = clean.check(masks=masks)
    assert codes(report) == {
        "unreadable-masks": "error",
        "mask-size-differs": "error",
        "mask-index-too-large": "error",
        "mask-shows-untagged-class": "error",
        "mask-lacks-tagged-class": "warning",
        "images-without-mask": "note",
        "masks-without-image": "note",
    }
    assert images_of(report, "mask-lacks-tagged-class") == {"000.png", "001.png"}
    assert images_of(report, "mask-shows-untagged-class") == {"001.png"}
    assert images_of(report, "mask-index-too-large") == {"002.png"}
    assert images_of(report, "mask-size-differs") == {"003.png"}
    assert images_of(report, "unreadable-masks") == {"004.png"}
    assert images_of(report, "masks-without-image") == {"stray"}
    assert len(images_of(report, "images-without-mask")) == 60


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tag2mask", "check", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capfd.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


def test_exit_status_is_that_of_the_level(clean: Folder, call: Call) -> None:
    images, tags = clean.root / "images", clean.write()
    status, out, _ = call(images, "--tags", tags, "--fail-on", "warning")
    assert status == 0
    assert out.strip() == "80 images, 2 classes: nothing wrong was found"
    shutil.copy(clean.path("000.png"), images / "copy.png")
    clean.tags["copy.png"] = "cat"
    tags = clean.write()
    assert call(images, "--tags", tags)[0] == 0
    status, out, _ = call(images, "--tags", tags, "--fail-on", "warning")
    assert status == 1
    assert "duplicate-files" in out
    assert "000.png = copy.png" in out
    clean.tags["gone.png"] = "cat"
    tags = clean.write()
    assert call(images, "--tags", tags)[0] == 1
    assert call(images, "--tags", tags, "--fail-on", "never")[0] == 0
    assert call(images, "--tags", tags, "--fail-on", "sometimes")[0] == 2
    status, _, err = call(clean.root / "nowhere", "--tags", tags, "--fail-on", "never")
    assert status == 1
    assert "no such folder" in err


def test_json_holds_everything(clean: Folder, call: Call) -> None:
    for k in range(9):
        clean.tags[f"gone {k}.png"] = "cat"
    words = (clean.root / "images", "--tags", clean.write(), "--json")
    status, out, _ = call(*words, "-")
    document = json.loads(out)
    assert status == 1
    assert (document["document"], document["version"], document["images"]) == ("tag2mask check", 1, 80)
    assert document["number"] == {"error": 1, "warning": 0, "note": 0}
    assert document["classes"]["dog"]["present"] == 40
    (finding,) = document["findings"]
    assert finding["code"] == "tags-without-image"
    assert finding["images"] == [f"gone {k}.png" for k in range(9)]
    status, out, _ = call(*words, clean.root / "out" / "check.json")
    assert json.loads((clean.root / "out" / "check.json").read_text()) == document
    assert "and 4 more" in out


def test_tags_that_cannot_be_read_are_a_finding_and_the_images_are_checked(clean: Folder) -> None:
    shutil.copy(clean.path("000.png"), clean.path("copy.png"))
    clean.tags["./000.png"] = "dog"  # listed twice and differently
    report = clean.check()
    assert codes(report) == {"unusable-dataset": "error", "duplicate-files": "warning"}


def test_images_alone(clean: Folder) -> None:
    shutil.copy(clean.path("000.png"), clean.path("copy.png"))
    assert codes(check_dataset(clean.root / "images", format="images")) == {"duplicate-files": "warning"}
    assert "unusable-dataset" in codes(check_dataset(clean.root / "images"))


def test_a_dataset_that_is_loaded_already(clean: Folder, tmp_path: Path) -> None:
    shutil.copy(clean.path("000.png"), clean.path("copy.png"))  # not listed
    shutil.copy(clean.path("004.png"), write_image(tmp_path / "val" / "a.png"))
    clean.tags["gone.png"] = "cat"
    dataset = Dataset.load(str(clean.root / "images"), str(clean.write()))
    mask = np.zeros((60, 80), np.uint8)
    mask[:20] = 2
    write_mask(tmp_path / "masks" / "000.png", mask)
    report = dataset.check(against=tmp_path / "val", masks=tmp_path / "masks", mask_classes=["dog", "cat"])
    assert codes(report) == {
        "tags-without-image": "error",
        "leaked-duplicate-files": "error",
        "images-not-listed": "warning",
        "images-without-mask": "note",
    }
    assert [finding.code for finding in report] == [finding.code for finding in report.findings]
    assert (len(report), report.images, report.source) == (4, 80, "csv")
    assert str(report).startswith("error: entries with tags but no image: 1; they are left out of training. Remedy: ")
    assert str(report).endswith("80 images, 2 classes: 2 errors, 1 warning, 1 note")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no image in this folder to check against"):
        dataset.check(against=tmp_path / "empty")
    assert "mask-shows-untagged-class" in codes(dataset.check(masks=tmp_path / "masks"))
    assert codes(dataset.subset([0, 1]).check())["images-not-listed"] == "warning"


def test_what_is_compared_with_tags_needs_tags(clean: Folder) -> None:
    with pytest.raises(ConfigError, match="`masks` are compared with tags, and `format='images'` has none"):
        check_dataset(clean.root / "images", format="images", masks=clean.root)
