"""Predicting into and beside the folder of images: nothing is lost, replaced, taken for an image or left out unsaid."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tag2mask import Dataset
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.lock import LOCK, locked
from tag2mask.inference import Segmenter
from tag2mask.inference.review import least_certain, read_review
from tag2mask.masks.export_folder import export_masks
from tests.helpers import draw_shapes, write_image

COUNT = 5


@pytest.fixture(scope="module")
def segmenter(trained: Path) -> Segmenter:
    return Segmenter.from_pretrained(trained)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for index in range(COUNT):
        name = f"sub/{index}.png" if index == 0 else f"{index}.png"
        write_image(tmp_path / "photos" / name, draw_shapes(("disc",), seed=index)[0])
    return tmp_path / "photos"


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_results_inside_the_folder_of_images(
    segmenter: Segmenter, photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for turn in range(3):
        outcome = segmenter.predict_folder(
            photos, photos / "masks", overlays=photos / "see", confidence=photos / "sure", progress=False
        )
        assert (outcome.written, outcome.kept) == ((COUNT, 0) if turn == 0 else (0, COUNT))
        assert not outcome.failures
    caplog.clear()
    with caplog.at_level("INFO", "tag2mask"):
        assert segmenter.predict_folder(photos, photos / "again", progress=False).written == COUNT
    assert f"masks: {COUNT} masks that tag2mask wrote" in caplog.text
    assert f"see: {COUNT} images that tag2mask wrote" in caplog.text
    assert f"sure: {COUNT} images that tag2mask wrote" in caplog.text


def test_no_result_replaces_an_image(segmenter: Segmenter, photos: Path, tmp_path: Path) -> None:
    write_image(photos / "5.jpg", draw_shapes(("disc",), seed=5)[0])
    before = {path: path.read_bytes() for path in photos.rglob("*.*")}
    for arguments in (
        {"out": photos},
        {"out": tmp_path / "m", "overlays": photos},
        {"out": tmp_path / "m", "confidence": photos},
        {"out": tmp_path / "m", "overlays": photos / "sub" / ".."},
    ):
        with pytest.raises(ConfigError, match="would be replaced by a result; choose another folder"):
            segmenter.predict_folder(photos, progress=False, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="would be replaced"):
        segmenter.predict_folder(photos / "1.png", photos, progress=False)
    assert {path: path.read_bytes() for path in photos.rglob("*.*")} == before
    assert not (tmp_path / "m").exists()


def test_one_image_beside_others(segmenter: Segmenter, photos: Path) -> None:
    write_image(photos / "5.jpg", draw_shapes(("disc",), seed=5)[0])
    for _ in range(2):
        outcome = segmenter.predict_folder(photos / "5.jpg", photos, progress=False)
        assert outcome.written + outcome.kept == 1
    assert (photos / "5.png").is_file()
    assert segmenter.predict_folder(photos, photos / "masks", progress=False).written == COUNT + 1


def test_every_failure_has_its_reason(segmenter: Segmenter, photos: Path) -> None:
    write_image(photos / "cut.png").write_bytes((photos / "1.png").read_bytes()[:300])
    (photos / "empty.jpg").touch()
    (photos / "x.jp2").write_bytes(b"\0\0\0\x0cjP  \r\n\x87\n")
    (photos / "broken.png").symlink_to(photos / "nothing.png")
    (photos / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (photos / "._1.png").write_bytes(b"\0\5\x16\7")
    out = photos / "masks"
    outcome = segmenter.predict_folder(photos, out, progress=False)
    reasons = {row["image"]: row["reason"] for row in table(out / "failures.csv")}
    assert reasons == dict(outcome.failures)
    assert set(reasons) == {"cut.png", "empty.jpg", "x.jp2", "broken.png"}
    assert "truncated" in reasons["cut.png"]
    assert "0 bytes" in reasons["empty.jpg"]
    assert "JPEG 2000 is not read here; convert it to PNG or TIFF" in reasons["x.jp2"]
    assert "a broken link" in reasons["broken.png"]
    assert outcome.summary().endswith("reasons in failures.csv, 4 images skipped")
    with pytest.raises(DataError, match=r"broken\.png: a broken link"):
        segmenter.predict_folder(photos, photos.parent / "strict", strict=True, progress=False)
    for name in reasons:
        (photos / name).unlink()
    assert not segmenter.predict_folder(photos, out, progress=False).failures
    assert not (out / "failures.csv").exists()


def test_what_is_wrong_with_tags_is_in_the_table_too(segmenter: Segmenter, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "tags.csv").write_text("image,tags\n1.png,disc\n2.png,disc\ngone.png,disc\n")
    dataset = Dataset.load(photos, tmp_path / "tags.csv", classes=segmenter.classes)
    outcome = segmenter.predict_folder(dataset, tmp_path / "m", progress=False)
    assert (outcome.written, outcome.failures) == (2, [])
    [row] = table(tmp_path / "m" / "failures.csv")
    assert row["image"] == "gone.png"
    assert "no such image" in row["reason"]


def test_names_with_control_characters(segmenter: Segmenter, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "m"
    names = ["a\nb.png", "\x1b[31mred.png"]
    for seed, name in enumerate(names):
        write_image(photos / name, draw_shapes(("disc",), seed=seed)[0])
    (photos / "bad\r.png").write_bytes(b"no image")
    for written in (2, 0):
        outcome = segmenter.predict_folder(photos, out, progress=False)
        assert (outcome.written, outcome.kept) == (written, 2 - written)
    assert all((out / name).is_file() for name in names)
    for name in ("uncertainty.csv", "failures.csv"):
        text = (out / name).read_text()
        assert not set(text) & set("\x1b\r"), name
    assert set(read_review(out)) == {r"a\nb.png", r"\x1b[31mred.png"}
    assert [row["image"] for row in table(out / "failures.csv")] == [r"bad\r.png"]
    exported = export_masks(out, out=tmp_path / "q.json", to="coco", names=least_certain(out, 2), progress=False)
    assert exported.written == 2


def test_the_table_has_one_line_an_image(segmenter: Segmenter, photos: Path, tmp_path: Path) -> None:
    for overwrite in (False, True, True):
        segmenter.predict_folder(photos, tmp_path / "m", overwrite=overwrite, progress=False)
        names = [row["image"] for row in table(tmp_path / "m" / "uncertainty.csv")]
        assert sorted(names) == sorted({*names})
        assert len(names) == COUNT


def test_a_second_writer_is_refused(segmenter: Segmenter, photos: Path, tmp_path: Path) -> None:
    with (
        locked(tmp_path / "m"),
        pytest.raises(DataError, match=f"process {os.getpid()} on .* is writing to this folder"),
    ):
        segmenter.predict_folder(photos, tmp_path / "m", progress=False)
    assert segmenter.predict_folder(photos, tmp_path / "m", progress=False).written == COUNT


@pytest.mark.thorough  # the test before this one holds the lock
@pytest.mark.timeout(600)
def test_two_processes_do_not_double_the_table(trained: Path, photos: Path, tmp_path: Path) -> None:
    for index in range(COUNT, 30):
        write_image(photos / f"{index}.png", draw_shapes(("disc", "square"), seed=index)[0])
    words = [sys.executable, "-m", "tag2mask", "predict", str(trained), str(photos), "--out", str(tmp_path / "m")]
    both = [subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) for _ in range(2)]
    said = [process.communicate(timeout=500)[1] for process in both]
    for process, text in zip(both, said, strict=True):
        assert process.returncode == 0 or "is writing to this folder" in text, text
    assert 0 in {process.returncode for process in both}
    names = [row["image"] for row in table(tmp_path / "m" / "uncertainty.csv")]
    assert len(names) == len(set(names)) == 30
    assert not (tmp_path / "m" / LOCK).exists()


def test_what_a_killed_run_left_is_swept(segmenter: Segmenter, photos: Path, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from tag2mask.core.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as t: t.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    out = tmp_path / "m"
    segmenter.predict_folder(photos, out, progress=False)
    (out / "2.png").unlink()
    subprocess.run([sys.executable, "-c", code, out / "sub" / "2.png"], check=False)
    assert [path for path in out.rglob(".*") if path.is_file()]
    segmenter.predict_folder(photos, out, progress=False)
    assert not [path for path in out.rglob(".*") if path.is_file()]
