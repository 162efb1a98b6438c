"""Masks of images and tar shards on local storage; Ray and object stores are in test_ray.py."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tag2mask import cli
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.lock import locked
from tag2mask.core.outcome import Outcome
from tag2mask.core.record import ImageRecord
from tag2mask.deploy.bulk import bulk_predict, read_masks
from tag2mask.deploy.bulk.listing import list_source
from tag2mask.deploy.bulk.parts import Part, image_parts, shard_parts
from tag2mask.deploy.bulk.run import _workers_and_gpus
from tag2mask.deploy.bulk.storage import Store
from tag2mask.deploy.bulk.table import mask_row, row_mask
from tag2mask.images.decode import read_image
from tag2mask.inference import Segmenter
from tag2mask.masks import read_mask
from tests.deploy.bulk.conftest import COUNT

pytest.importorskip("fsspec", reason="fsspec is not installed")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def expected(trained: Path, images: Path) -> dict[str, NDArray[np.uint8]]:
    segmenter, found = Segmenter.from_pretrained(trained), {}
    for path in sorted(images.rglob("*.*")):
        try:
            image = read_image(path)
        except DataError:
            continue
        found[path.relative_to(images).as_posix()] = segmenter.predict(image).mask
    assert len(found) == COUNT - 1
    return found


def check(out: str, outcome: Outcome, expected: dict[str, NDArray[np.uint8]], prefix: str = "") -> None:
    masks = dict(read_masks(out))
    assert masks.keys() == {prefix + name for name in expected}
    for name, mask in expected.items():
        np.testing.assert_array_equal(masks[prefix + name], mask)
    assert outcome.written == COUNT - 1
    assert len(outcome.failures) == 1
    rows = list(csv.DictReader(io.StringIO(Store(out).read("failures.csv").decode())))
    assert [row["image"] for row in rows] == [outcome.failures[0][0]]
    assert "truncated" in rows[0]["reason"]


def test_a_mask_there_and_back() -> None:
    mask = np.random.default_rng(0).integers(0, 4, (7, 9)).astype(np.uint8)
    np.testing.assert_array_equal(row_mask(mask_row("a", mask, ("x", "y", "z"), 0.5)), mask)


def test_local_and_again(trained: Path, images: Path, tmp_path: Path, expected: dict[str, NDArray[np.uint8]]) -> None:
    out = str(tmp_path / "out")
    check(out, bulk_predict(trained, str(images), out, part_size=3), expected)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.parquet")}
    assert len(before) == 4
    again = bulk_predict(trained, str(images), out, part_size=3)
    assert (again.written, again.kept) == (0, COUNT - 1)  # the damaged one is tried again, and nothing else
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in before} == before
    assert not list((tmp_path / "out").glob(".*"))
    (tmp_path / "out" / sorted(before)[0]).unlink()
    part = bulk_predict(trained, str(images), out, part_size=3)
    assert 0 < part.written <= 3
    check(out, bulk_predict(trained, str(images), str(tmp_path / "new")), expected)


def test_pngs(trained: Path, images: Path, tmp_path: Path, expected: dict[str, NDArray[np.uint8]]) -> None:
    out = tmp_path / "out"
    outcome = bulk_predict(trained, str(images), str(out), to="png", part_size=4)
    for name, mask in expected.items():
        np.testing.assert_array_equal(read_mask((out / name).with_suffix(".png")), mask)
    assert len(outcome.failures) == 1
    again = bulk_predict(trained, str(images), str(out), to="png", part_size=4)
    assert (again.written, again.kept, len(again.failures)) == (0, COUNT - 1, 1)


def test_tar_shards(trained: Path, images: Path, tmp_path: Path, expected: dict[str, NDArray[np.uint8]]) -> None:
    (tmp_path / "shards").mkdir()
    names = sorted(path.relative_to(images).as_posix() for path in images.rglob("*.*"))
    for number, part in enumerate((names[:6], names[6:])):
        with tarfile.open(tmp_path / "shards" / f"{number:04d}.tar", "w") as shard:
            for name in part:
                shard.add(images / name, arcname=name)
                data = json.dumps({"tags": ["disc"]}).encode()
                member = tarfile.TarInfo(str(Path(name).with_suffix(".json")))
                member.size = len(data)
                shard.addfile(member, io.BytesIO(data))
    out = str(tmp_path / "out")
    outcome = bulk_predict(trained, str(tmp_path / "shards"), out)
    masks = dict(read_masks(out))
    for name, mask in expected.items():
        np.testing.assert_array_equal(masks[f"{0 if name in names[:6] else 1:04d}.tar/{name}"], mask)
    assert (outcome.written, len(outcome.failures)) == (COUNT - 1, 1)
    again = bulk_predict(trained, str(tmp_path / "shards"), out)
    assert (again.written, again.kept) == (0, 2)
    whole = (tmp_path / "shards/0000.tar").read_bytes()
    (tmp_path / "shards/0002.tar").write_bytes(whole[: len(whole) // 2 + 100])
    damaged = bulk_predict(trained, str(tmp_path / "shards"), out)
    assert damaged.written >= 1
    assert any("0002.tar" in name for name, _ in damaged.failures)


def test_what_is_refused(trained: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image"):
        bulk_predict(trained, str(tmp_path), str(tmp_path / "out"))
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed/about.json").write_text('{"network": "another"}')
    with pytest.raises(ConfigError, match="other weights or settings"):
        bulk_predict(trained, str(images), str(tmp_path / "mixed"))
    with pytest.raises(ConfigError, match="cannot be used"):
        Store("nowhere://bucket")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn/part-1.parquet").write_bytes(b"PAR1 not at all")
    with pytest.raises(DataError, match=r"part-1\.parquet: not a table"):
        bulk_predict(trained, str(images), str(tmp_path / "torn"))


def test_parts_are_named_by_their_content(images: Path) -> None:
    found = list_source(str(images))
    names, shards = found.images, found.shards
    assert (len(names), shards) == (COUNT, [])
    records = [ImageRecord(name, tags=frozenset({"disc"}), unknown=frozenset({"square"})) for name in names]
    parts = image_parts(str(images), records, 3)
    assert len(parts) == 4
    assert [Part.from_json(part.to_json()) for part in parts] == parts
    assert len({part.name for part in parts}) == 4
    untagged = image_parts(str(images), [ImageRecord(name) for name in names], 3)
    assert [part.name for part in untagged] == [part.name for part in parts]
    assert Part.from_json(untagged[0].to_json()) == untagged[0]


def test_records_go_to_their_shard() -> None:
    records = [ImageRecord("a.tar/x.jpg"), ImageRecord("b/c.tar/y.jpg"), ImageRecord("other.tar/z.jpg")]
    first, second = shard_parts("s3://bucket", ["a.tar", "b/c.tar"], records)
    assert (first.shard, first.records) == ("a.tar", (records[0],))
    assert (second.shard, second.records) == ("b/c.tar", (records[1],))


def test_the_device_reaches_the_worker(trained: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`device` nonsense"):
        bulk_predict(trained, str(images), str(tmp_path / "out"), device="nonsense")
    assert not (tmp_path / "out").exists()


def test_workers_share_the_gpus_of_a_cluster() -> None:
    assert _workers_and_gpus({"CPU": 16.0}, "auto", None) == (16, 0.0)
    assert _workers_and_gpus({"CPU": 16.0}, "cpu", 3) == (3, 0.0)
    assert _workers_and_gpus({"CPU": 16.0, "GPU": 2.0}, "auto", None) == (2, 1.0)
    assert _workers_and_gpus({"CPU": 16.0, "GPU": 2.0}, "cuda", 3) == (3, 0.5)
    assert _workers_and_gpus({"CPU": 16.0, "GPU": 2.0}, "cpu", None) == (16, 0.0)
    with pytest.raises(ConfigError, match="Ray's cluster has no GPU"):
        _workers_and_gpus({"CPU": 2.0}, "cuda", None)
    with pytest.raises(ConfigError, match="use 'cuda'"):
        _workers_and_gpus({"CPU": 2.0, "GPU": 2.0}, "cuda:1", None)


def command(monkeypatch: pytest.MonkeyPatch, *words: object) -> object:
    """Run `tag2mask predict`; its exit status."""
    monkeypatch.setattr("sys.argv", ["tag2mask", "predict", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--engine", "horse"], "expected local or ray"),
        (["--engine", "local", "--to", "gif"], "expected parquet or png"),
        (["--engine", "local", "--strict"], "not with --engine"),
    ],
)
def test_the_command(
    trained: Path,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    extra: list[str],
    message: str,
) -> None:
    assert command(monkeypatch, trained, images, "--out", tmp_path / "no", *extra) == 1
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert command(monkeypatch, trained, images, "--out", tmp_path / "out", "--engine", "local") == 3  # one is bad
    assert f"{COUNT - 1} masks written" in capsys.readouterr().out


def test_what_is_left_out_is_counted_and_no_result_is_an_image(trained: Path, images: Path, tmp_path: Path) -> None:
    source = tmp_path / "photos"
    shutil.copytree(images, source)
    (source / "x.jp2").write_bytes(b"\0\0\0\x0cjP  \r\n\x87\n")
    (source / "odd\nname.cr2").write_bytes(b"II*\0")
    if hasattr(os, "mkfifo"):
        os.mkfifo(source / "pipe.jpg")
    for _ in range(2):
        outcome = bulk_predict(trained, str(source), str(source / "masks"), to="png", progress=False)
        assert outcome.written + outcome.kept == COUNT - 1
        reasons = dict(outcome.failures)
        assert "JPEG 2000 is not read here" in reasons["x.jp2"]
        assert "camera raw" in reasons["odd\nname.cr2"]
        assert ("pipe.jpg" in reasons) == hasattr(os, "mkfifo")
    rows = list(csv.DictReader(io.StringIO(Store(str(source / "masks")).read("failures.csv").decode())))
    assert {row["image"] for row in rows} == {name.replace("\n", r"\n") for name in reasons}
    with pytest.raises(ConfigError, match="would be replaced by its mask"):
        bulk_predict(trained, str(source), str(source), to="png", progress=False)


def test_a_member_of_a_shard_that_is_left_out_is_said(tmp_path: Path) -> None:
    shard = tmp_path / "s.tar"
    with tarfile.open(shard, "w") as tar:
        for name, kind in (("a.jp2", tarfile.REGTYPE), ("b.jpg", tarfile.SYMTYPE), ("._c.jpg", tarfile.REGTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "elsewhere"
            tar.addfile(member, io.BytesIO(b""))
    found = {record.name: str(content) for record, content in Part(str(tmp_path), shard="s.tar").files()}
    assert found.keys() == {"s.tar/a.jp2", "s.tar/b.jpg"}
    assert "JPEG 2000 is not read here" in found["s.tar/a.jp2"]
    assert "a link or a device" in found["s.tar/b.jpg"]


def test_one_process_writes_at_a_time(trained: Path, images: Path, tmp_path: Path) -> None:
    with locked(tmp_path / "out"), pytest.raises(DataError, match="is writing to this folder"):
        bulk_predict(trained, str(images), str(tmp_path / "out"), progress=False)
