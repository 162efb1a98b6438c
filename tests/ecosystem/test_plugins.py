"""Plug-ins by entry points: the example package, and packages that are broken or odd."""

from __future__ import annotations

import csv
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tag2mask import cli
from tag2mask.core import plugins
from tag2mask.core.errors import ConfigError, DataError, WeightsError
from tag2mask.core.plugins import PluginError
from tag2mask.core.record import ImageRecord
from tag2mask.data import load_dataset
from tag2mask.masks import export_records
from tag2mask.models.backbone import Backbone, load_backbone_weights
from tests.helpers import TinyDataset, write_images
from tests.pages import DOCS, ROOT, Follower

PACKAGE = Path(__file__).resolve().parents[1] / "plugin_package"
MASK = np.array([[0, 1, 1, 2], [0, 0, 1, 2]], np.uint8)


def install(folder: Path, name: str, groups: Mapping[str, Mapping[str, str]]) -> None:
    """Write what an installation leaves of a package's metadata."""
    about = folder / f"{name.replace('-', '_')}-1.0.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0.0\n")
    text = "".join(
        f"[tag2mask.{group}]\n" + "".join(f"{key} = {value}\n" for key, value in points.items())
        for group, points in groups.items()
    )
    (about / "entry_points.txt").write_text(text)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the search path, for packages."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(plugins, "_said", set[str]())
    return folder


@pytest.fixture
def example(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example package, as if it were installed."""
    import tomllib

    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text("utf-8"))["project"]
    points = {group.removeprefix("tag2mask."): found for group, found in project["entry-points"].items()}
    install(path, project["name"], points)
    monkeypatch.syspath_prepend(str(PACKAGE / "src"))
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "photos", ["a.jpg", "walk/b.jpg"])


def said_by(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *words: str) -> str:
    monkeypatch.setattr(sys, "argv", ["tag2mask", *words])
    with pytest.raises(SystemExit):
        cli.main()
    return " ".join("".join(capfd.readouterr()).split())


def test_reader(example: Path, images: Path, tmp_path: Path) -> None:
    tags = tmp_path / "tags.txt"
    tags.write_text("TAGGED LINES\na.jpg = cat + dog\nwalk/b.jpg =\n")
    dataset = load_dataset(images, tags)
    assert dataset.source == "lines"
    assert {record.name: record.tags for record in dataset.records} == {
        "a.jpg": {"cat", "dog"},
        "walk/b.jpg": frozenset(),
    }
    assert load_dataset(images, tags, classes=["dog"]).classes == ("dog",)
    tags.write_text("TAGGED LINES\na.jpg\n")
    with pytest.raises(DataError, match=r"tags\.txt, line 2: 'a\.jpg'; expected IMAGE = TAG"):
        load_dataset(images, tags)


def test_exporter(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "areas.csv"
    export_records([(ImageRecord("a.jpg"), MASK)], ["cat", "dog"], out, to="areas", progress=False)
    assert out.read_text() == "image,class,share\na.jpg,cat,0.3750\na.jpg,dog,0.2500\n"
    with pytest.raises(ConfigError, match=r"areas writes one file, whose name ends in \.csv"):
        export_records([], ["cat"], tmp_path / "areas.json", to="areas")
    with pytest.raises(ConfigError, match="`polygons`: areas has none"):
        export_records([], ["cat"], out, to="areas", polygons=True, overwrite=True)
    with pytest.raises(ConfigError, match="unknown format 'area'; expected one of coco, .*huggingface, .*areas$"):
        export_records([], ["cat"], out, to="area")


def test_backbone(example: Path, tmp_path: Path) -> None:
    backbone = Backbone("three-stages", output_stride=16, freeze_norm=True, with_head=True, args={"width": 4})
    assert (backbone.channels, backbone.strides, backbone.head) == ((4, 8, 16), (4, 8, 16), None)
    assert backbone.preprocessing.mean == (0.5, 0.5, 0.5)
    assert [tuple(one.shape) for one in backbone(torch.zeros(1, 3, 64, 96))] == [
        (1, 4, 16, 24),
        (1, 8, 8, 12),
        (1, 16, 4, 6),
    ]
    before = backbone.net.state_dict()["model.first.0.weight"].clone()
    load_backbone_weights(backbone, "hub")
    own = {name.removeprefix("model."): one.clone() for name, one in backbone.net.state_dict().items()}
    assert not torch.equal(own["first.0.weight"], before)
    save_file(
        {name: 2 * one if one.is_floating_point() else one for name, one in own.items()}, tmp_path / "w.safetensors"
    )
    load_backbone_weights(backbone, str(tmp_path / "w.safetensors"))
    assert torch.equal(backbone.net.state_dict()["model.first.0.weight"], 2 * own["first.0.weight"])
    with pytest.raises(WeightsError, match=r"'first\.0\.weight' is \(4, .*expected \(8"):
        load_backbone_weights(
            Backbone("three-stages", output_stride=16, freeze_norm=True), str(tmp_path / "w.safetensors")
        )
    with pytest.raises(ConfigError, match="tag2mask-example 1.0.0 has no feature maps .*unexpected keyword"):
        Backbone("three-stages", output_stride=16, freeze_norm=True, args={"widht": 4})
    with pytest.raises(ConfigError, match="has output stride 16 and cannot be changed to 8"):
        Backbone("three-stages", output_stride=8, freeze_norm=True)


def test_backbones_are_listed(
    example: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "three-stages: of the package tag2mask-example 1.0.0" in said_by(monkeypatch, capfd, "backbones", "three")
    assert "tag2mask-example 1.0.0 three-stages 0.0 16 x32" in said_by(monkeypatch, capfd, "backbones", "three-stages")


ODD = """
import torch
from torch import nn

class Kernels(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("kernels", torch.ones(6, 3, 16, 16))
    def forward(self, images):
        return nn.functional.conv2d(images, self.kernels, stride=16)

class OneSize(nn.Module):
    image_size = 96
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 8, 8), nn.Conv2d(8, 16, 3, 2, 1)
    def forward(self, images):
        assert images.shape[-1] == 96
        first = self.a(images)
        return {"a": first, "b": self.b(first)}

class Patches(nn.Module):
    multiple = 14
    mean, std = (0.5, 0.5), (1, 1, 1)
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 8, 14, 14)
    def forward(self, images):
        return self.a(images)

def with_good_mean():
    network = Patches()
    network.mean = torch.zeros(3)
    return network

flat = nn.Flatten
nothing = lambda: 3
number = 3
"""


def test_odd_backbones(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (path / "odd_backbones.py").write_text(ODD)
    names = ("Kernels", "OneSize", "Patches", "with_good_mean", "flat", "nothing", "number")
    points = {name: f"odd_backbones:{name}" for name in names} | {"resnet18": "odd_backbones:OneSize"}
    install(path, "odd-backbones", {"backbones": points})

    def built(name: str) -> Backbone:
        return Backbone(name, output_stride=16, freeze_norm=True, freeze_stages=1)

    assert (built("Kernels").channels, built("Kernels").strides) == ((6,), (16,))
    assert (built("OneSize").fixed_size, built("OneSize").channels) == ((96, 96), (8, 16))
    assert built("OneSize")(torch.zeros(1, 3, 40, 60))[1].shape == (1, 16, 6, 6)
    assert (built("with_good_mean").input_multiple, built("with_good_mean").preprocessing.mean) == (14, (0, 0, 0))
    with pytest.raises(PluginError, match=r"Patches: `mean` is \(0\.5, 0\.5\), expected three numbers"):
        built("Patches")
    with pytest.raises(ConfigError, match=r"odd-backbones 1\.0\.0 has no feature maps .*no maps \(B, C, H, W\)"):
        built("flat")
    with pytest.raises(PluginError, match=r"odd-backbones 1\.0\.0 cannot be used: it made int"):
        built("nothing")
    with pytest.raises(PluginError, match="it is int, expected a function"):
        built("number")
    with pytest.raises(WeightsError, match=r"'Kernels' of the package odd-backbones 1\.0\.0 brings no weights"):
        load_backbone_weights(built("Kernels"), "hub")
    assert "odd-backbones 1.0.0 is not used: one of tag2mask has this name" in caplog.text
    assert type(built("resnet18").net).__name__ != "PluginNetwork"


def test_a_broken_package_is_named_and_breaks_nothing_else(
    path: Path, images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (path / "broken_module.py").write_text("import nothing_of_this_name\n")
    point = {"bad": "broken_module:THING"}
    install(path, "broken-package", {"readers": point, "exporters": point, "backbones": point})
    tags = tmp_path / "tags.csv"
    tags.write_text("image,tags\na.jpg,cat\nwalk/b.jpg,\n")
    for _ in range(2):
        assert load_dataset(images, tags).source == "csv"
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "format 'bad' of the package broken-package 1.0.0 cannot be used: ModuleNotFoundError: No module named "
        "'nothing_of_this_name'; update the package or uninstall it"
    ]
    export_records([(ImageRecord("a.jpg"), MASK)], ["cat", "dog"], tmp_path / "a.json", to="coco", progress=False)
    Backbone("resnet18", output_stride=16, freeze_norm=True)
    with pytest.raises(PluginError, match="broken-package"):
        load_dataset(images, tags, format="bad")
    with pytest.raises(PluginError, match="export format 'bad' of the package broken-package"):
        export_records([], ["cat"], tmp_path / "b.json", to="bad")
    with pytest.raises(PluginError, match="backbone 'bad' of the package broken-package"):
        Backbone("bad", output_stride=16, freeze_norm=True)


FAILING = """
from tag2mask.data.readers.plugins import FileFormat
from tag2mask.masks.plugins import FileExporter, FolderExporter

def fails(*_):
    raise KeyError("lost")

def guesses(path, head):
    return head[10**9] == 1

class Writer:
    def __init__(self, write, options):
        self.write = write
    def add(self, name, mask):
        self.write(f"notes/{name}.txt", str(mask.sum()).encode())
    def close(self):
        pass

class Failing(Writer):
    def add(self, name, mask):
        fails()

READER = FileFormat(fails, guesses)
EMPTY = FileFormat(lambda *_: None, lambda *_: False)
FOLDER = FolderExporter(writer=Writer, contents=frozenset({"notes"}), undecided=True)
FAILS = FolderExporter(writer=Failing, contents=frozenset({"notes"}))
SUFFIX = FileExporter(writer=Writer, suffix="TXT")
"""


def test_packages_that_fail_at_work(path: Path, images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (path / "failing_module.py").write_text(FAILING)
    readers = {"fails": "failing_module:READER", "empty": "failing_module:EMPTY", "csv": "failing_module:READER"}
    writers = {name.lower(): f"failing_module:{name}" for name in ("FOLDER", "FAILS", "SUFFIX")}
    install(path, "failing", {"readers": readers, "exporters": {**writers, "reader": "failing_module:READER"}})
    tags = tmp_path / "tags.csv"
    tags.write_text("image,tags\na.jpg,cat\nwalk/b.jpg,\n")
    assert load_dataset(images, tags).source == "csv"
    assert re.search(
        r"'fails' of the package failing 1\.0\.0 is left out: it cannot say whether .*IndexError", caplog.text
    )
    assert "format 'csv' of the package failing 1.0.0 is not used: one of tag2mask has this name" in caplog.text
    with pytest.raises(DataError, match=r"tags\.csv: format 'fails' of the package failing 1\.0\.0 failed \(KeyError"):
        load_dataset(images, tags, format="fails")
    with pytest.raises(DataError, match="gave NoneType, expected `Listing`"):
        load_dataset(images, tags, format="empty")

    records = [(ImageRecord("a.jpg"), np.full((2, 2), 255, np.uint8))]
    out = tmp_path / "notes"
    for overwrite in (False, True):
        outcome = export_records(records, ["cat"], out, to="folder", overwrite=overwrite, progress=False)
    assert (out / "notes" / "a.jpg.txt").read_text() == "1020"
    assert outcome.notes == []
    with pytest.raises(DataError, match=r"'fails' of the package failing 1\.0\.0 failed \(KeyError: 'lost'\)"):
        export_records(records, ["cat"], tmp_path / "x", to="fails", strict=True, progress=False)
    assert not (tmp_path / "x").exists()
    for name, why in (("suffix", "its suffix is 'TXT'"), ("reader", "it is FileFormat, expected `FileExporter`")):
        with pytest.raises(PluginError, match=why):
            export_records(records, ["cat"], tmp_path / "x", to=name)


def test_two_packages_with_one_name(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for package in ("first", "second"):
        (path / f"{package}_module.py").write_text("def make():\n    raise ValueError\n")
        install(path, package, {"backbones": {"same": f"{package}_module:make"}})
    with pytest.raises(ConfigError, match=r"backbone 'same' of the package first 1\.0\.0"):
        Backbone("same", output_stride=16, freeze_norm=True)
    assert "'same' of the package second 1.0.0 is not used: the package first 1.0.0 has one of this name" in caplog.text


def test_the_page_shows_the_package() -> None:
    """Blocks of docs/plugins.md are the files of the example package."""
    page = (DOCS / "plugins.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^<!-- from ([\w/.-]+) -->\n```\w+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert [name.rpartition("/")[2] for name, _ in blocks] == [
        "pyproject.toml",
        "reader.py",
        "exporter.py",
        "backbone.py",
    ]
    for name, text in blocks:
        assert text == (ROOT / name).read_text(encoding="utf-8"), name


@pytest.mark.thorough
def test_the_commands_of_the_page(
    example: Path,
    shapes: TinyDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(shapes.images, tmp_path / "photos")
    shutil.copytree(shapes.masks, tmp_path / "masks")
    shutil.copy(shapes.class_file, tmp_path / "masks" / "classes.txt")
    with shapes.tags.open(encoding="utf-8", newline="") as stream:
        lines = [f"{row['image']} = {' + '.join(row['tags'].split(','))}" for row in csv.DictReader(stream)]
    (tmp_path / "tags.txt").write_text("\n".join(["TAGGED LINES", *lines]))
    monkeypatch.chdir(tmp_path)
    follower = Follower(monkeypatch, capfd)
    follower.follow("plugins.md")
    assert follower.ran == 8
    assert "backbone: three-stages" in (tmp_path / "runs/stages/config.yaml").read_text(encoding="utf-8")


@pytest.mark.thorough
def test_the_package_is_installed_by_pip(tmp_path: Path) -> None:
    target = tmp_path / "target"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*install, "--target", str(target), str(PACKAGE)], check=True, timeout=300)
    code = f"import sys; sys.path.append({str(target)!r}); sys.argv = ['tag2mask', 'backbones', 'three']; " + (
        "from tag2mask.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert "three-stages: of the package tag2mask-example 1.0.0" in done.stdout, done.stderr
