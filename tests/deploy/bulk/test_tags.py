"""Masks in bulk where the tags are known: from a file, local or in the store, or from the shards themselves."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tag2mask import cli
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.deploy.bulk import bulk_predict, read_masks
from tag2mask.images.decode import read_image
from tag2mask.inference.predictor import Predictor
from tests.deploy.bulk.conftest import COUNT
from tests.helpers import write_tags

pytest.importorskip("fsspec", reason="fsspec is not installed")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")
CYCLE = ("disc", "square", "disc square", "none", "disc ?square")


def given_tags(photographs: Path) -> dict[str, str]:
    """A cell for each photograph but the last, in turn of every kind."""
    names = sorted(path.relative_to(photographs).as_posix() for path in photographs.rglob("*.*"))
    return {name: CYCLE[k % len(CYCLE)] for k, name in enumerate(names[:-1])}


@pytest.fixture(scope="module")
def wanted(trained: Path, photographs: Path) -> dict[str, NDArray[np.uint8]]:
    """Masks by name, from the predictor itself."""
    predictor, found = Predictor.load(trained), {}
    for name, cell in given_tags(photographs).items():
        try:
            image = read_image(photographs / name)
        except DataError:
            continue
        words = [word for word in cell.split() if word != "none"]
        maybe = [word[1:] for word in words if word.startswith("?")]
        tags = [word for word in words if not word.startswith("?")]
        found[name] = predictor.predict(image, tags, maybe=maybe).mask
    assert len(found) == COUNT - 2
    assert any(not mask.any() for mask in found.values())
    return found


def same(masks: dict[str, NDArray[np.uint8]], wanted: dict[str, NDArray[np.uint8]]) -> None:
    assert masks.keys() == wanted.keys()
    for name, mask in wanted.items():
        np.testing.assert_array_equal(masks[name], mask, err_msg=name)


def test_a_file_of_tags(trained: Path, photographs: Path, tmp_path: Path, wanted: dict[str, NDArray[np.uint8]]) -> None:
    rows = given_tags(photographs)
    first = next(iter(rows))
    tags = write_tags(tmp_path / "tags.csv", {**rows, "not-here.jpg": "disc", first: rows[first]})
    lines: list[str] = []
    out = str(tmp_path / "out")
    outcome = bulk_predict(trained, str(photographs), out, tags=tags, part_size=3, report=lines.append)
    same(dict(read_masks(out)), wanted)
    assert (outcome.written, len(outcome.failures)) == (COUNT - 2, 1)  # one is damaged, one has no tags
    assert any("not-here.jpg" in line for line in lines)
    assert any("1 images of the folder are not in the table" in line for line in lines)
    again = bulk_predict(trained, str(photographs), out, tags=tags, part_size=3)
    assert (again.written, again.kept) == (0, COUNT - 2)
    with pytest.raises(ConfigError, match="with tags where these are without"):
        bulk_predict(trained, str(photographs), out)


def shards(photographs: Path, folder: Path, cells: dict[str, str], *, beside: bool) -> Path:
    folder.mkdir()
    names = sorted(cells)
    for number, part in enumerate((names[:4], names[4:])):
        with tarfile.open(folder / f"{number:04d}.tar", "w") as shard:
            for name in part:
                if beside:  # before the photograph; others write it after
                    words = [word for word in cells[name].split() if word != "none" and not word.startswith("?")]
                    data = json.dumps({"tags": words}).encode()
                    member = tarfile.TarInfo(str(Path(name).with_suffix(".json")))
                    member.size = len(data)
                    shard.addfile(member, io.BytesIO(data))
                shard.add(photographs / name, arcname=name)
    return folder


def test_shards_with_their_own_tags(
    trained: Path, photographs: Path, tmp_path: Path, wanted: dict[str, NDArray[np.uint8]]
) -> None:
    cells = given_tags(photographs)
    certain = {name: cell for name, cell in cells.items() if "?" not in cell}
    folder = shards(photographs, tmp_path / "shards", certain, beside=True)
    out = str(tmp_path / "out")
    outcome = bulk_predict(trained, str(folder), out, tags=True)
    masks = {name.partition(".tar/")[2]: mask for name, mask in read_masks(out)}
    same(masks, {name: mask for name, mask in wanted.items() if name in certain})
    assert {name.partition(".tar/")[2] for name, _ in outcome.failures} == certain.keys() - wanted.keys()
    bare = shards(photographs, tmp_path / "bare", certain, beside=False)
    none = bulk_predict(trained, str(bare), str(tmp_path / "none"), tags=True)
    assert none.written == 0
    assert all("no tags" in reason for _, reason in none.failures)


def test_shards_with_a_file_of_tags(
    trained: Path, photographs: Path, tmp_path: Path, wanted: dict[str, NDArray[np.uint8]]
) -> None:
    cells = given_tags(photographs)
    folder = shards(photographs, tmp_path / "shards", cells, beside=False)
    names = sorted(cells)
    rows = {f"{0 if name in names[:4] else 1:04d}.tar/{name}": cell for name, cell in cells.items()}
    tags = write_tags(tmp_path / "tags.csv", rows)
    bulk_predict(trained, str(folder), str(tmp_path / "out"), tags=tags)
    same({name.partition(".tar/")[2]: mask for name, mask in read_masks(str(tmp_path / "out"))}, wanted)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("ray_cluster")
def test_ray_and_an_object_store(
    trained: Path, photographs: Path, bucket: str, tmp_path: Path, wanted: dict[str, NDArray[np.uint8]]
) -> None:
    s3fs: Any = pytest.importorskip("s3fs", reason="s3fs is not installed")

    store = s3fs.S3FileSystem()
    store.put(f"{photographs}/", f"{bucket}/photos/", recursive=True)
    store.put(str(write_tags(tmp_path / "tags.csv", given_tags(photographs))), f"{bucket}/tags.csv")
    source, tags = f"{bucket}/photos", f"{bucket}/tags.csv"
    outcome = bulk_predict(trained, source, f"{bucket}/masks", engine="ray", tags=tags, workers=2, part_size=3)
    same(dict(read_masks(f"{bucket}/masks")), wanted)
    assert (outcome.written, len(outcome.failures)) == (COUNT - 2, 1)


def test_one_photograph(trained: Path, photographs: Path, tmp_path: Path, wanted: dict[str, NDArray[np.uint8]]) -> None:
    name = next(name for name in wanted if "/" not in name)
    shutil.copy(photographs / name, tmp_path / name)
    tags = write_tags(tmp_path / "tags.csv", {name: given_tags(photographs)[name]})
    bulk_predict(trained, str(tmp_path / name), str(tmp_path / "out"), tags=tags)
    same(dict(read_masks(str(tmp_path / "out"))), {name: wanted[name]})


def test_what_is_refused(trained: Path, photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give the file of tags with --tags"):
        bulk_predict(trained, str(photographs), str(tmp_path / "out"), tags=True)
    tags = write_tags(tmp_path / "tags.csv", {"elsewhere.jpg": "disc"})
    with pytest.raises(DataError, match="tags of none of the photographs"):
        bulk_predict(trained, str(photographs), str(tmp_path / "out"), tags=tags)
    assert not (tmp_path / "out").exists()


def command(monkeypatch: pytest.MonkeyPatch, *words: object) -> object:
    """Run `tag2mask masks`; its exit status."""
    monkeypatch.setattr("sys.argv", ["tag2mask", "masks", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_the_command(
    trained: Path,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tags = write_tags(tmp_path / "tags.csv", given_tags(photographs))
    words = [trained, photographs, "--tags", tags, "--out", tmp_path / "out", "--engine", "local"]
    assert command(monkeypatch, *words, "--split", "train") == 1
    assert "--split: not with --engine" in capsys.readouterr().err.replace("\n", " ")
    assert command(monkeypatch, *words, "--to", "png") == 3  # one is damaged
    assert f"{COUNT - 2} masks written" in capsys.readouterr().out
    assert (tmp_path / "out" / next(iter(given_tags(photographs)))).with_suffix(".png").is_file()
