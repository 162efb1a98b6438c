"""`tag2mask export` as a user meets it, and the recipes of docs/export.md."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tag2mask import Segmenter, cli
from tag2mask.cli.export import export as export_command
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.images.decode import read_image
from tag2mask.masks import FORMATS, read_confidence, write_label_map, write_mask
from tag2mask.masks.export_folder import export_masks
from tag2mask.masks.polygons import TOLERANCE
from tests.helpers import TinyDataset

DOCS = Path(__file__).parents[2] / "docs/export.md"
NAMES = ("a b.png", "sub/ünï.webp", "sub/c.JPG")


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """`masks/` with `classes.txt`, and `photos/` beside it."""
    for k, name in enumerate(NAMES):
        mask = np.zeros((20 + k, 30), np.uint8)
        mask[4:10, 3:9], mask[12:15, 10:20] = 1, 2
        write_mask(tmp_path / "masks" / Path(name).with_suffix(".png"), mask)
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20 + k)).save(tmp_path / "photos" / name)
    write_label_map(tmp_path / "masks", ("cat", "dog"))
    return tmp_path / "masks"


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["tag2mask", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


def file_names(path: Path) -> list[str]:
    return [image["file_name"] for image in json.loads(path.read_text("utf-8"))["images"]]


def test_images_give_the_suffixes(masks: Path, tmp_path: Path) -> None:
    export_masks(masks, out=tmp_path / "o.json", to="coco", images=tmp_path / "photos")
    assert file_names(tmp_path / "o.json") == sorted(NAMES)
    export_masks(masks, out=tmp_path / "p.json", to="coco")
    assert file_names(tmp_path / "p.json") == ["a b.jpg", "sub/c.jpg", "sub/ünï.jpg"]


def test_a_choice_of_names_in_their_order(masks: Path, tmp_path: Path) -> None:
    export_masks(masks, out=tmp_path / "o.json", to="coco", names=["sub/c.JPG", "a b"], images=tmp_path / "photos")
    assert file_names(tmp_path / "o.json") == ["sub/c.JPG", "a b.png"]
    with pytest.raises(DataError, match="two images have this name"):
        export_masks(masks, out=tmp_path / "p.json", to="coco", names=["a b", "a b.png"])
    with pytest.raises(DataError, match="nothing: no mask of this name"):
        export_masks(masks, out=tmp_path / "p.json", to="coco", names=["nothing"])


def test_mask_without_image_is_skipped(
    masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos/a b.png").unlink()
    words = ("export", masks, "--to", "coco", "--images", tmp_path / "photos", "--out")
    assert run(monkeypatch, *words, tmp_path / "o.json") == 3
    captured = capfd.readouterr()
    assert "2 masks written" in captured.out and "1 image skipped" in captured.out
    assert "a b.png: no image of this name" in captured.err.replace("\n", " ")
    assert file_names(tmp_path / "o.json") == ["sub/c.JPG", "sub/ünï.webp"]
    assert run(monkeypatch, *words, tmp_path / "p.json", "--strict") == 1
    assert not (tmp_path / "p.json").exists()


def test_damaged_mask_is_skipped(masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (masks / "a b.png").write_bytes(b"no PNG")
    words = ("export", masks, "--to", "voc", "--out")
    assert run(monkeypatch, *words, tmp_path / "voc") == 3
    assert (tmp_path / "voc/ImageSets/Segmentation/default.txt").read_text("utf-8") == "sub/c\nsub/ünï\n"
    assert run(monkeypatch, *words, tmp_path / "strict", "--strict") == 1
    assert not (tmp_path / "strict").exists()


def test_existing_output_and_folders_in_each_other(
    masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("export", masks, "--to", "yolo", "--out", tmp_path / "o")
    assert [run(monkeypatch, *words), run(monkeypatch, *words), run(monkeypatch, *words, "--overwrite")] == [0, 1, 0]
    with pytest.raises(ConfigError, match="among the masks"):
        export_masks(masks, out=masks / "voc", to="voc")
    with pytest.raises(ConfigError, match="the masks lie in"):
        export_masks(masks, out=tmp_path, to="voc", overwrite=True)
    (masks / "classes.txt").unlink()
    with pytest.raises(ConfigError, match="`classes`"):
        export_masks(masks, out=tmp_path / "n", to="voc")


def test_default_tolerance_of_the_command_is_that_of_the_library() -> None:
    assert export_command.__defaults__ is not None
    assert TOLERANCE in export_command.__defaults__


def test_recipes_of_the_documentation(masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.txt").write_text("sub/c\n", encoding="utf-8")
    commands = re.findall(
        r"^(?:    )?tag2mask (export .*)$", DOCS.read_text("utf-8").replace("\\\n", " "), re.MULTILINE
    )
    assert {shlex.split(command)[3] for command in commands} == set(FORMATS) - {"geotiff"}  # docs/geotiff.md
    for command in commands:
        words = shlex.split(command, comments=True)
        assert run(monkeypatch, *words) == 0, command
        out = Path(words[words.index("--out") + 1])
        assert out.exists()
        if out.suffix == ".zip":
            assert zipfile.ZipFile(out).testzip() is None
    programs = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert programs
    for program in programs:
        exec(compile(program, "docs/export.md", "exec"), {"mask": np.ones((4, 5), np.uint8), "masks": masks})


def test_predict_writes_confidence_maps(trained: Path, shapes: TinyDataset, tmp_path: Path) -> None:
    segmenter = Segmenter.from_pretrained(trained)
    (tmp_path / "photos/sub").mkdir(parents=True)
    for source, name in zip(sorted(shapes.images.iterdir())[:2], ("a", "sub/b c"), strict=True):
        shutil.copy(source, tmp_path / f"photos/{name}{source.suffix}")
    assert segmenter.predict_folder(tmp_path / "photos", tmp_path / "masks").written == 2
    words: dict[str, Any] = {"out": tmp_path / "masks", "confidence": tmp_path / "confidence"}
    outcome = segmenter.predict_folder(tmp_path / "photos", confidence_bits=16, **words)
    assert (outcome.written, outcome.kept) == (2, 0)  # the masks were there, their confidence was not
    assert segmenter.predict_folder(tmp_path / "photos", **words).kept == 2
    for name in ("a", "sub/b c"):
        (image,) = (tmp_path / "photos").glob(f"{name}.*")
        probs = segmenter.predict(read_image(image)).probs
        assert np.allclose(read_confidence(tmp_path / f"confidence/{name}.png"), probs.max(axis=0), atol=1e-4)
    with pytest.raises(ConfigError, match="among the masks"):
        segmenter.predict_folder(tmp_path / "photos", tmp_path / "masks", confidence=tmp_path / "masks/sure")
    with pytest.raises(ConfigError, match="8 or 16"):
        segmenter.predict_folder(tmp_path / "photos", tmp_path / "masks", confidence_bits=12)
