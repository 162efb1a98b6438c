"""`tag2mask cache`: what is kept is listed and removed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tag2mask.cli import app
from tag2mask.core.lock import locked
from tag2mask.core.record import ImageRecord
from tag2mask.demo import write_dataset
from tag2mask.images.cache import ImageCache
from tests.training.test_feature_store import store_of


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Path, list[str]]:
    """A cache folder with features of two sizes, of an older version, and decoded images; names of the features."""
    write_dataset(tmp_path / "scenes", train=4, val=1, seed=0)
    records = [ImageRecord(path.name, path) for path in sorted((tmp_path / "scenes" / "train" / "images").iterdir())]
    folder = tmp_path / "cache"
    stores = [store_of(records, folder / "features", options={"data.image_size": size}) for size in (128, 64)]
    old = folder / "features" / "0123456789abcdef"
    old.mkdir()
    (old / "index.json").write_text('{"version": 3, "key": "0123"}')
    (old / "maps.bin").write_bytes(bytes(2_000_000))
    ImageCache(folder, 64).read(records[0].path)
    os.utime(records[1].path, (1, 1))
    records[2].path.unlink()
    return folder, [store.folder.name for store in stores]


def call(*words: object, code: int = 0) -> str:
    result = CliRunner(env={"COLUMNS": "300"}).invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output


def test_what_is_kept_is_listed(kept: tuple[Path, list[str]]) -> None:
    folder, names = kept
    text = call("cache", folder)
    assert all(name in text for name in (*names, "0123456789abcdef", "images"))
    assert "64 px" in text and "128 px" in text and "another version" in text and "decoded images" in text
    assert text.count("2 changed or gone") == 2


def test_names_and_age_choose_what_is_removed(kept: tuple[Path, list[str]]) -> None:
    folder, names = kept
    assert "removed" in call("cache", folder, "--remove", names[0][:6])
    assert sorted(path.name for path in (folder / "features").iterdir()) == sorted([names[1], "0123456789abcdef"])
    long_ago = time.time() - 40 * 86400
    os.utime(folder / "features" / "0123456789abcdef" / "index.json", (long_ago, long_ago))
    assert "2 MiB were freed" in call("cache", folder, "--older-than", 30)
    assert [path.name for path in (folder / "features").iterdir()] == [names[1]]
    call("cache", folder, "--remove", "all")
    assert not list((folder / "features").iterdir()) and not list(folder.glob("??"))
    assert "keeps neither features nor decoded images" in call("cache", folder)


def test_what_cannot_be_removed_is_said(kept: tuple[Path, list[str]]) -> None:
    folder, names = kept
    assert "'zz': 0 of what is kept begin so" in call("cache", folder, "--remove", "zz", code=1)
    with locked(folder / "features" / names[0]):
        assert "is writing to this folder" in call("cache", folder, "--remove", names[0], code=1)
    assert (folder / "features" / names[0] / "maps.bin").is_file()
    assert "there is no such folder" in call("cache", folder / "none", code=1)
