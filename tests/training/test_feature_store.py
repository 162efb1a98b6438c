"""Kept features: each image computes its own once; interruptions, crashes, two processes, room and time."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tag2mask.core.errors import DataError
from tag2mask.core.lock import locked
from tag2mask.core.record import ImageRecord
from tag2mask.demo import write_dataset
from tag2mask.images.decode import read_image
from tag2mask.training import feature_folder as feature_folder_module
from tag2mask.training import feature_store as stores
from tag2mask.training.feature_files import FeatureStore
from tag2mask.training.feature_folder import FeatureWriter, image_keys
from tag2mask.training.feature_store import feature_folder, feature_store, projects_alike
from tests.training.test_frozen import CPU, network_and_config


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRecord, ...]:
    """12 images."""
    folder = tmp_path_factory.mktemp("scenes")
    write_dataset(folder, train=12, val=1, seed=0)
    return tuple(ImageRecord(path.name, path) for path in sorted((folder / "train" / "images").iterdir()))


@pytest.fixture
def own(scenes: Sequence[ImageRecord], tmp_path: Path) -> tuple[ImageRecord, ...]:
    """The same images in a folder of the test's own."""
    (tmp_path / "images").mkdir()
    copies = [shutil.copy2(one.path, tmp_path / "images" / one.path.name) for one in scenes]
    return tuple(ImageRecord(one.name, Path(copy)) for one, copy in zip(scenes, copies, strict=True))


Read = Callable[[Path], NDArray[np.uint8]]
EMPTY: Mapping[str, object] = {}


def store_of(
    records: Sequence[ImageRecord], folder: Path, read: Read = read_image, options: Mapping[str, object] = EMPTY
) -> FeatureStore:
    network, config = network_and_config(**options)
    return feature_store(network, records, config, folder, read=read, device=CPU)


class Counting:
    """Reads images and keeps which."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, path: Path) -> NDArray[np.uint8]:
        self.seen.append(path.name)
        return read_image(path)


def same(one: FeatureStore, first: int, other: FeatureStore, second: int) -> bool:
    alike = torch.equal(one.maps(first), other.maps(second)) and torch.equal(one.pooled(first), other.pooled(second))
    return alike and np.array_equal(one.small(first), other.small(second))


def close(one: FeatureStore, first: int, other: FeatureStore, second: int) -> bool:
    """Up to the half precision that images of the projection's sample have before it."""
    found, expected = one.maps(first), other.maps(second)
    return float((found - expected).abs().max()) < 2e-3 * float(expected.abs().max())


def test_any_order_and_subset_uses_what_is_there(
    scenes: Sequence[ImageRecord], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = store_of(scenes[:6], tmp_path)
    assert first.bytes == sum(path.stat().st_size for path in tmp_path.rglob("*.bin"))
    caplog.set_level(logging.INFO)
    counting = Counting()
    chosen = [scenes[4], scenes[1], scenes[1]]
    again = store_of(chosen, tmp_path, counting)
    assert not counting.seen and "features of 3 images are there" in caplog.text
    assert [same(again, position, first, index) for position, index in enumerate((4, 1, 1))] == [True] * 3
    more = store_of(scenes[3:8], tmp_path, counting)
    assert sorted(counting.seen) == sorted(one.path.name for one in scenes[6:8])
    assert "computing the features of 2 images" in caplog.text and "3 images more are there" in caplog.text
    assert same(more, 0, first, 3)


def test_other_settings_have_a_folder_of_their_own(scenes: Sequence[ImageRecord], tmp_path: Path) -> None:
    first, smaller = store_of(scenes[:4], tmp_path), store_of(scenes[:4], tmp_path, options={"data.image_size": 96})
    assert first.folder != smaller.folder
    assert json.loads((smaller.folder / "index.json").read_text())["image_size"] == 96
    counting = Counting()
    store_of(scenes[:4], tmp_path, counting)
    assert not counting.seen


def test_another_dataset_has_a_projection_of_its_own(scenes: Sequence[ImageRecord], tmp_path: Path) -> None:
    """Principal components of other images keep less of what tells classes apart."""
    first, other = store_of(scenes[:6], tmp_path), store_of(scenes[6:], tmp_path)
    assert other.folder.name == f"{first.folder.name}-2"
    alone = store_of(scenes[6:], tmp_path / "alone")
    assert same(other, 0, alone, 0)
    counting = Counting()
    assert store_of(scenes[2:5], tmp_path, counting).folder == first.folder
    assert store_of(scenes[7:], tmp_path, counting).folder == other.folder
    network, config = network_and_config()
    feature_store(network, scenes[:6], config, tmp_path, read=counting, device=CPU)
    assert not counting.seen
    places = [feature_folder(network, config, tmp_path).of_dataset(image_keys([one.path])) for one in scenes[5:7]]
    assert [projects_alike(network, place) for place in places] == [True, False]
    shutil.rmtree(first.folder)
    assert store_of(scenes[7:], tmp_path, counting).folder == other.folder
    assert not counting.seen


def test_a_first_try_of_a_few_images_does_not_choose_the_projection_of_all(
    scenes: Sequence[ImageRecord], tmp_path: Path
) -> None:
    tried, whole = store_of(scenes[:3], tmp_path), store_of(scenes, tmp_path)
    assert whole.folder != tried.folder
    assert same(whole, 0, store_of(scenes, tmp_path / "alone"), 0)
    counting = Counting()
    assert store_of(scenes[:3], tmp_path, counting).folder in {tried.folder, whole.folder}
    assert not counting.seen


def test_a_changed_image_computes_its_own_features(own: Sequence[ImageRecord], tmp_path: Path) -> None:
    before = store_of(own, tmp_path / "kept")
    shutil.copyfile(own[3].path, own[7].path)
    counting = Counting()
    after = store_of(own, tmp_path / "kept", counting)
    assert counting.seen == [own[7].path.name]
    assert close(after, 7, before, 3)
    assert all(same(before, index, after, index) for index in range(12) if index != 7)
    os.utime(own[2].path, (1, 1))
    store_of(own, tmp_path / "kept", counting)
    assert counting.seen == [own[7].path.name, own[2].path.name]


def test_the_order_of_the_images_does_not_matter(scenes: Sequence[ImageRecord], tmp_path: Path) -> None:
    one, other = store_of(scenes, tmp_path / "a"), store_of(scenes[::-1], tmp_path / "b")
    projections = [(store.folder / "projection.safetensors").read_bytes() for store in (one, other)]
    assert projections[0] == projections[1]
    assert all(close(one, index, other, 11 - index) for index in range(12))


def test_an_interrupted_computation_goes_on(
    scenes: Sequence[ImageRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (stores, feature_folder_module):
        monkeypatch.setattr(module, "SAMPLE", 2)
    monkeypatch.setattr(stores, "_BATCH", 1)
    few = scenes[:6]

    def failing(path: Path) -> NDArray[np.uint8]:
        if path == few[4].path:  # 0 and 5 are in the projection's sample, 1 to 3 come before
            raise DataError("gone")
        return read_image(path)

    with pytest.raises(DataError, match="gone"):
        store_of(few, tmp_path, failing)
    counting = Counting()
    store = store_of(few, tmp_path, counting)
    assert counting.seen == [few[4].path.name]
    assert all(store.maps(index).abs().sum() > 0 for index in range(6))


def test_what_a_crash_leaves_does_not_count(scenes: Sequence[ImageRecord], tmp_path: Path) -> None:
    """Data without their line, half a line, a line without its data: those images are computed again."""
    whole = store_of(scenes, tmp_path / "whole")
    folder = store_of(scenes, tmp_path / "cut").folder
    images = folder / "images.jsonl"
    lengths = [whole.layout.lengths(shapes)[0] for shapes in whole.shapes]  # kept in the order of their names
    lines = images.read_bytes().splitlines(keepends=True)
    images.write_bytes(b"".join(lines[:9]) + lines[9][:40])
    with (folder / "maps.bin").open("r+b") as file:
        file.truncate(2 * sum(lengths[:8]) - 3)  # the features of the eighth image were cut off
    counting = Counting()
    found = store_of(scenes, tmp_path / "cut", counting)
    assert len(counting.seen) == 5
    assert all(close(found, index, whole, index) for index in range(12))
    assert found.bytes == sum(path.stat().st_size for path in folder.glob("*.bin"))


@pytest.mark.parametrize("damage", ["version", "projection", "index"])
def test_what_cannot_be_used_is_computed_again(scenes: Sequence[ImageRecord], tmp_path: Path, damage: str) -> None:
    folder = store_of(scenes[:4], tmp_path).folder
    if damage == "version":
        index = json.loads((folder / "index.json").read_text())
        (folder / "index.json").write_text(json.dumps(index | {"version": 3}))
    else:
        name = {"projection": "projection.safetensors", "index": "index.json"}[damage]
        (folder / name).write_bytes((folder / name).read_bytes()[:20])
    counting = Counting()
    store_of(scenes[:4], tmp_path, counting)
    assert set(counting.seen) == {one.path.name for one in scenes[:4]}


def test_two_processes_do_not_write_to_one_folder(scenes: Sequence[ImageRecord], tmp_path: Path) -> None:
    folder = store_of(scenes[:4], tmp_path).folder
    with locked(folder):
        assert store_of(scenes[1:3], tmp_path).bytes  # what is there may be read
        with pytest.raises(DataError, match=r"process \d+ on .* is writing to this folder; wait .* `data.cache='DIR'`"):
            store_of(scenes[:5], tmp_path)


def test_too_little_room_is_said_before_anything_is_computed(
    scenes: Sequence[ImageRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    counting = Counting()
    with pytest.raises(DataError) as error:
        store_of(scenes, tmp_path, counting)
    text = str(error.value)
    assert not counting.seen and "(10 bytes) are free" in text
    for remedy in ("`data.cache='DIR'`", "`limit`", "`data.image_size=96`", "`config='objects'`"):
        assert remedy in text
    monkeypatch.undo()
    needed = store_of(scenes, tmp_path).bytes
    assert f"the features of 12 images take {needed / 2**20:.0f} MiB ({needed:,} bytes)" in text


def test_a_full_disk_is_said_and_what_was_computed_stays(
    scenes: Sequence[ImageRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (stores, feature_folder_module):
        monkeypatch.setattr(module, "SAMPLE", 2)
    monkeypatch.setattr(stores, "_MARK", 1)
    written: list[str] = []
    add = FeatureWriter.add

    def full(self: FeatureWriter, key: str, *rest: object) -> None:
        written.append(key)
        if len(written) > 8:
            raise OSError(28, "No space left on device")
        add(self, key, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(FeatureWriter, "add", full)
        with pytest.raises(DataError, match=r"writing features failed \(No space left on device\)"):
            store_of(scenes, tmp_path)
    counting = Counting()
    store_of(scenes, tmp_path, counting)
    assert 4 <= len(counting.seen) < 10


def test_the_time_is_said_after_a_few_images(
    scenes: Sequence[ImageRecord], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = store_of(scenes, tmp_path).folder
    [line] = [message for message in caplog.messages if "images/s" in message]
    assert line.startswith("features of 12 images: ") and f"in {folder}, about " in line and "are free" in line
