"""Masks in bulk where the tags are known: from a file or from the shards themselves."""

from __future__ import annotations

import io
import json
import logging
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tag2mask import cli
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.deploy.bulk import bulk_predict, read_masks
from tag2mask.images.decode import read_image
from tag2mask.inference import Segmenter
from tests.deploy.bulk.conftest import COUNT
from tests.helpers import write_tags

pytest.importorskip("fsspec", reason="fsspec is not installed")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")
CYCLE = ("disc", "square", "disc square", "none", "disc ?square")


def given_tags(images: Path) -> dict[str, str]:
    """A cell for each image but the last, in turn of every kind."""
    names = sorted(path.relative_to(images).as_posix() for path in images.rglob("*.*"))
    return {name: CYCLE[k % len(CYCLE)] for k, name in enumerate(names[:-1])}


@pytest.fixture(scope="module")
def wanted(trained: Path, images: Path) -> dict[str, NDArray[np.uint8]]:
    """Masks by name, from the segmenter itself."""
    segmenter, found = Segmenter.from_pretrained(trained), {}
    for name, cell in given_tags(images).items():
        try:
            image = read_image(images / name)
        except DataError:
            continue
        words = [word for word in cell.split() if word != "none"]
        unknown = [word[1:] for word in words if word.startswith("?")]
        tags = [word for word in words if not word.startswith("?")]
        found[name] = segmenter.predict(image, tags, unknown=unknown).mask
    assert len(found) == COUNT - 2
    assert any(not mask.any() for mask in found.values())
    return found


def same(masks: dict[str, NDArray[np.uint8]], wanted: dict[str, NDArray[np.uint8]]) -> None:
    assert masks.keys() == wanted.keys()
    for name, mask in wanted.items():
        np.testing.assert_array_equal(masks[name], mask, err_msg=name)


def test_a_file_of_tags(
    trained: Path, images: Path, tmp_path: Path, wanted: dict[str, NDArray[np.uint8]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tag2mask")
    rows = given_tags(images)
    first = next(iter(rows))
    tags = write_tags(tmp_path / "tags.csv", {**rows, "not-here.jpg": "disc", first: rows[first]})
    out = str(tmp_path / "out")
    outcome = bulk_predict(trained, str(images), out, tags=tags, part_size=3)
    same(dict(read_masks(out)), wanted)
    assert (outcome.written, len(outcome.failures)) == (COUNT - 2, 1)  # one is damaged, one has no tags
    assert "not-here.jpg" in caplog.text
    assert "1 images of the folder are not in the table" in caplog.text
    again = bulk_predict(trained, str(images), out, tags=tags, part_size=3)
    assert (again.written, again.kept) == (0, COUNT - 2)
    with pytest.raises(ConfigError, match="with tags where these are without"):
        bulk_predict(trained, str(images), out)


def shards(images: Path, folder: Path, cells: dict[str, str], *, beside: bool) -> Path:
    folder.mkdir()
    names = sorted(cells)
    for number, part in enumerate((names[:4], names[4:])):
        with tarfile.open(folder / f"{number:04d}.tar", "w") as shard:
            for name in part:
                if beside:  # before the image; others write it after
                    words = [word for word in cells[name].split() if word != "none" and not word.startswith("?")]
                    data = json.dumps({"tags": words}).encode()
                    member = tarfile.TarInfo(str(Path(name).with_suffix(".json")))
                    member.size = len(data)
                    shard.addfile(member, io.BytesIO(data))
                shard.add(images / name, arcname=name)
    return folder


def test_shards_with_their_own_tags(
    trained: Path, images: Path, tmp_path: Path, wanted: dict[str, NDArray[np.uint8]]
) -> None:
    cells = given_tags(images)
    certain = {name: cell for name, cell in cells.items() if "?" not in cell}
    folder = shards(images, tmp_path / "shards", certain, beside=True)
    out = str(tmp_path / "out")
    outcome = bulk_predict(trained, str(folder), out, tags=True)
    masks = {name.partition(".tar/")[2]: mask for name, mask in read_masks(out)}
    same(masks, {name: mask for name, mask in wanted.items() if name in certain})
    assert {name.partition(".tar/")[2] for name, _ in outcome.failures} == certain.keys() - wanted.keys()
    bare = shards(images, tmp_path / "bare", certain, beside=False)
    none = bulk_predict(trained, str(bare), str(tmp_path / "none"), tags=True)
    assert none.written == 0
    assert all("no tags" in reason for _, reason in none.failures)


def test_shards_with_a_file_of_tags(
    trained: Path, images: Path, tmp_path: Path, wanted: dict[str, NDArray[np.uint8]]
) -> None:
    cells = given_tags(images)
    folder = shards(images, tmp_path / "shards", cells, beside=False)
    names = sorted(cells)
    rows = {f"{0 if name in names[:4] else 1:04d}.tar/{name}": cell for name, cell in cells.items()}
    tags = write_tags(tmp_path / "tags.csv", rows)
    bulk_predict(trained, str(folder), str(tmp_path / "out"), tags=tags)
    same({name.partition(".tar/")[2]: mask for name, mask in read_masks(str(tmp_path / "out"))}, wanted)


def test_one_image(trained: Path, images: Path, tmp_path: Path, wanted: dict[str, NDArray[np.uint8]]) -> None:
    name = next(name for name in wanted if "/" not in name)
    shutil.copy(images / name, tmp_path / name)
    tags = write_tags(tmp_path / "tags.csv", {name: given_tags(images)[name]})
    bulk_predict(trained, str(tmp_path / name), str(tmp_path / "out"), tags=tags)
    same(dict(read_masks(str(tmp_path / "out"))), {name: wanted[name]})


def test_what_is_refused(trained: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="name the file of tags in `tags`"):
        bulk_predict(trained, str(images), str(tmp_path / "out"), tags=True)
    tags = write_tags(tmp_path / "tags.csv", {"elsewhere.jpg": "disc"})
    with pytest.raises(DataError, match="tags of none of the images"):
        bulk_predict(trained, str(images), str(tmp_path / "out"), tags=tags)
    assert not (tmp_path / "out").exists()


def command(monkeypatch: pytest.MonkeyPatch, *words: object) -> object:
    """Run `tag2mask masks`; its exit status."""
    monkeypatch.setattr("sys.argv", ["tag2mask", "masks", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_the_command(
    trained: Path,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tags = write_tags(tmp_path / "tags.csv", given_tags(images))
    words = [trained, images, "--tags", tags, "--out", tmp_path / "out", "--engine", "local"]
    assert command(monkeypatch, *words, "--split", "train") == 1
    assert "--split: not with --engine" in capsys.readouterr().err.replace("\n", " ")
    assert command(monkeypatch, *words, "--to", "png") == 3  # one is damaged
    assert f"{COUNT - 2} masks written" in capsys.readouterr().out
    assert (tmp_path / "out" / next(iter(given_tags(images)))).with_suffix(".png").is_file()
