"""The commands as a user meets them: messages, exit status and files."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tag2mask import cli
from tag2mask.masks import read_mask
from tests.conftest import TINY_OPTIONS
from tests.helpers import TinyDataset, draw_shapes, write_shapes

SETTINGS = [word for name, value in TINY_OPTIONS.items() for word in ("--set", f"{name}={json.dumps(value)}")]


def tag2mask(*words: object, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["tag2mask", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> object:
    def call(*words: object) -> tuple[int, str]:
        status = tag2mask(*words, monkeypatch=monkeypatch)
        captured = capfd.readouterr()
        return status, " ".join((captured.out + captured.err).split())

    return call


def call(run: object, *words: object) -> tuple[int, str]:
    assert callable(run)
    status, text = run(*words)
    return status, text


def test_train_masks_predict_evaluate(run: object, tmp_path: Path) -> None:
    tiny = write_shapes(tmp_path / "data", 16)
    out = tmp_path / "runs" / "one"
    status, text = call(
        run, "train", tiny.images, "--tags", tiny.tags, "--out", out, "--epochs", 2, "--masks", tiny.masks, *SETTINGS
    )  # fmt: skip
    assert status == 0, text
    assert "16 images, 2 classes, 2 epochs on cpu" in text
    assert "16 masks written" in text
    assert "masks of the training images against the ground truth" in text
    assert f"the run is in {out}" in text
    status, text = call(run, "masks", out, tiny.images, "--tags", tiny.tags, "--out", tmp_path / "m")
    assert (status, "16 masks written" in text) == (0, True)
    status, text = call(run, "predict", out, tiny.images, "--out", tmp_path / "p", "--overlays", tmp_path / "o")
    assert (status, len(list((tmp_path / "o").glob("*.jpg")))) == (0, 16)
    status, text = call(run, "predict", out, tiny.images / "shape_000.png", "--out", tmp_path / "single")
    assert (status, [path.name for path in (tmp_path / "single").glob("*.png")]) == (0, ["shape_000.png"])
    status, text = call(run, "evaluate", tmp_path / "p", tiny.masks, "--classes", tiny.class_file)
    assert status == 0
    assert text.split("square")[1].split()[1] == "mIoU"
    assert "over 16 images" in text
    status, text = call(run, "evaluate", tmp_path / "p", tiny.masks, "--classes", tiny.class_file, "--json")
    found, _ = json.JSONDecoder().raw_decode(text)  # warnings follow
    assert set(found) >= {"mIoU", "IoU", "images"}


def test_one_bad_image_is_counted_and_skipped(run: object, trained: Path, tmp_path: Path) -> None:
    tiny = write_shapes(tmp_path / "data", 6)
    (tiny.images / "shape_002.png").write_bytes((tiny.images / "shape_002.png").read_bytes()[:200])
    (tiny.images / "shape_003.png").write_text("no image")
    out = tmp_path / "out"
    status, text = call(run, "predict", trained, tiny.images, "--out", out)
    assert status == 3
    assert "4 masks written" in text
    assert "2 images skipped" in text
    assert "shape_002.png" in text
    assert "shape_003.png" in text
    assert sorted(path.name for path in out.glob("*.png")) == [f"shape_00{k}.png" for k in (0, 1, 4, 5)]
    status, text = call(run, "predict", trained, tiny.images, "--out", tmp_path / "strict", "--strict")
    assert status == 1
    assert "shape_002.png" in text


def test_training_skips_bad_images_and_says_so(run: object, tmp_path: Path) -> None:
    tiny = write_shapes(tmp_path / "data", 16)
    (tiny.images / "shape_001.png").write_bytes(b"")
    arguments = ["train", tiny.images, "--tags", tiny.tags, "--epochs", 1, *SETTINGS]
    status, text = call(run, *arguments, "--out", tmp_path / "run")
    assert status == 3
    assert "15 images, 2 classes" in text
    assert "shape_001.png" in text
    status, text = call(run, *arguments, "--out", tmp_path / "strict", "--strict")
    assert status == 1
    assert "shape_001.png" in text
    assert not (tmp_path / "strict").exists()


def test_done_masks_are_kept_and_redone_on_request(
    run: object, trained: Path, shapes: TinyDataset, tmp_path: Path
) -> None:
    call(run, "predict", trained, shapes.images, "--out", tmp_path)
    mine = np.zeros((48, 64), dtype=np.uint8)
    Image.fromarray(mine).save(tmp_path / "shape_000.png")
    (tmp_path / "shape_001.png").unlink()
    status, text = call(run, "predict", trained, shapes.images, "--out", tmp_path)
    assert (status, "1 mask written" in text, "47 were already there" in text) == (0, True, True)
    assert not read_mask(tmp_path / "shape_000.png").any()
    status, text = call(run, "predict", trained, shapes.images, "--out", tmp_path, "--overwrite")
    assert "48 masks written" in text
    assert read_mask(tmp_path / "shape_000.png").any()


def test_masks_of_another_network_are_not_mixed_in(
    run: object, trained: Path, shapes: TinyDataset, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    Image.fromarray(np.zeros((4, 4), dtype=np.uint8)).save(tmp_path / "mine" / "hand_made.png")
    status, text = call(run, "predict", trained, shapes.images, "--out", tmp_path / "mine")
    assert status == 1
    assert "holds masks that other weights or settings made" in text
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["hand_made.png"]


def test_tags_that_the_network_does_not_know(run: object, trained: Path, tmp_path: Path) -> None:
    tiny = write_shapes(tmp_path, 4)
    tiny.tags.write_text(tiny.tags.read_text().replace("disc", "disk"))
    status, text = call(run, "masks", trained, tiny.images, "--tags", tiny.tags, "--out", tmp_path / "out")
    assert status in (1, 3)
    assert "did you mean 'disc'" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "{images}", "--out", "{out}"], "no tags for these images"),
        (["train", "{images}", "--tags", "{out}/no.csv", "--out", "{out}"], "no.csv"),
        (["train", "{images}", "--tags", "{tags}", "--out", "{tags}/x"], "cannot create this folder"),
        (["train", "{images}", "--tags", "{tags}", "--out", "{out}", "--backbone", "resnet19"], "unknown backbone"),
        (
            ["train", "{images}", "--tags", "{tags}", "--out", "{out}", "--weights", "no.safetensors"],
            "no such weights file",
        ),
        (["train", "{images}", "--tags", "{tags}", "--out", "{out}", "--set", "training.epoch=3"], "did you mean"),
        (["train", "{images}", "--tags", "{tags}", "--out", "{out}", "--set", "epochs"], "expected name=value"),
        (["train", "{images}", "--tags", "{tags}", "--out", "{out}", "--device", "toaster"], "try 'cpu'"),
        (["predict", "{out}/none", "{images}", "--out", "{out}"], "no such run"),
        (["score", "{tags}", "{images}", "--tags", "{tags}"], "give the folder that it was exported from"),
        (["predict", "{run}", "{out}/none", "--out", "{out}"], "none"),
        (["evaluate", "{out}", "{masks}", "--classes", "{classes}"], "out"),
        (["evaluate", "{masks}", "{masks}", "--classes", "{out}/none.txt"], "none.txt"),
    ],
)
def test_mistakes_end_in_one_clear_message(
    run: object, trained: Path, shapes: TinyDataset, tmp_path: Path, words: list[str], message: str
) -> None:
    places = {
        "images": shapes.images, "tags": shapes.tags, "masks": shapes.masks, "classes": shapes.class_file,
        "out": tmp_path / "out", "run": trained,
    }  # fmt: skip
    status, text = call(run, *(word.format(**places) for word in words))
    assert status == 1
    assert text.startswith("error:") or "error:" in text
    assert message in text
    assert "Traceback" not in text
    assert not list((tmp_path / "out").rglob("model.*"))


def test_an_interrupted_training_is_resumed_by_the_same_command(
    run: object, shapes: TinyDataset, tmp_path: Path
) -> None:
    arguments = ["train", shapes.images, "--tags", shapes.tags, "--out", tmp_path / "run", "--epochs", 3, *SETTINGS]
    call(run, *arguments)
    (tmp_path / "run" / "model.safetensors").unlink()
    shutil.rmtree(tmp_path / "run" / "masks")
    status, text = call(run, *arguments)
    assert (status, "continue it with --resume" in text) == (1, True)
    status, text = call(run, *arguments, "--resume")
    assert status == 0, text
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert len(list((tmp_path / "run" / "masks").glob("*.png"))) == 48


def test_odd_kinds_of_images_are_used_as_displayed(run: object, trained: Path, tmp_path: Path) -> None:
    """A photograph turned by its EXIF data gets its mask in the displayed orientation; so do other kinds."""
    image = Image.fromarray(draw_shapes(("disc", "square"), size=(48, 64))[0])
    folder = tmp_path / "odd"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    image.rotate(90, expand=True).save(folder / "turned.png", exif=exif)
    image.save(folder / "straight.png")
    image.convert("RGBA").save(folder / "rgba.png")
    image.convert("P").save(folder / "palette.png")
    image.convert("L").save(folder / "grey.png")
    image.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    deep = np.asarray(image.convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / "deep.png")
    status, text = call(run, "predict", trained, folder, "--out", tmp_path / "out")
    assert status == 0, text
    masks = {path.stem: read_mask(path) for path in (tmp_path / "out").glob("*.png")}
    assert len(masks) == 7
    assert all(mask.shape == (48, 64) for mask in masks.values())
    assert masks["straight"].any()
    for same in ("turned", "rgba"):
        assert np.array_equal(masks[same], masks["straight"])
    assert np.array_equal(masks["deep"], masks["grey"])
