"""A project on disk: what is written, what is read back, what a kill leaves."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tag2mask.core.constants import Tag
from tag2mask.core.errors import DataError
from tag2mask.core.files import write_text
from tag2mask.data import Dataset
from tag2mask.data.tag_table import read_tags
from tag2mask.images.folder import list_images
from tag2mask.masks import mask_path, read_mask, write_mask
from tag2mask.studio.layers import run_classes
from tag2mask.studio.opening import open_project
from tag2mask.studio.project import DRAFT, KEPT, NO_MASK, PREDICTED, TagChange
from tag2mask.studio.together import finish, together
from tests.studio.projects import write_images

NAMES = ("a.png", "b.png", "sub folder/c.png", "sub folder/ü, d.png")
ODD_CLASSES = ("cat", "red, panda", "split", "image", "tags", "1", "label", 'say "x"', "unlabeled", "box", "path")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "my images", *NAMES)


def test_tags_and_classes_are_there_again(images: Path) -> None:
    with open_project(images) as project:
        assert project.names == NAMES
        for name in ("cat", "dog"):
            project.add_class(name)
        changes = [TagChange("a.png", 0, Tag.PRESENT), TagChange("a.png", 1, Tag.ABSENT)]
        assert project.set_tags([*changes, TagChange(NAMES[3], 1, Tag.PRESENT)]) == 2
        before = project.classes
    with open_project(images) as project:
        assert project.classes == before
        assert project.states().tolist() == [[1, 0], [-1, -1], [-1, -1], [-1, 1]]
        record = project.find("a.png")
        assert record is not None
        assert (record.tags, record.unknown) == (frozenset({"cat"}), frozenset())
        assert [one.name for one in project.dataset().records] == ["a.png", NAMES[3]]


def test_the_library_reads_the_tags_whatever_the_classes_are_called(images: Path) -> None:
    with open_project(images) as project:
        for name in ODD_CLASSES:
            project.add_class(name)
        changes = [TagChange("a.png", k, Tag.PRESENT) for k in range(len(ODD_CLASSES))]
        changes += [TagChange("b.png", k, (Tag.ABSENT, Tag.UNKNOWN)[k % 2]) for k in range(len(ODD_CLASSES))]
        project.set_tags([*changes, TagChange(NAMES[3], 0, Tag.ABSENT)])
        ours = project.dataset()
        read = Dataset.load(images, project.tags_file, classes=project.classes_file)
    assert read.classes == ODD_CLASSES
    assert [record.name for record in read.records] == ["a.png", "b.png", NAMES[3]]
    np.testing.assert_array_equal(read.tags(), ours.tags())


def test_one_class_alone_is_read_too(images: Path) -> None:
    with open_project(images) as project:
        project.add_class("red panda")
        project.set_tags([TagChange("a.png", 0, Tag.PRESENT), TagChange("b.png", 0, Tag.ABSENT)])
        read = Dataset.load(images, project.tags_file, classes=project.classes_file)
    assert (read.classes, read.tags().tolist()) == (("red panda",), [[1], [0]])


def test_our_files_are_no_images(images: Path) -> None:
    with open_project(images) as project:
        project.add_class("cat")
        write_mask(mask_path(project.corrected, "a.png"), np.ones((30, 40), np.uint8))
        write_images(project.cache / "thumbs", "x.png")
    assert [name for _, name in list_images(images)] == list(NAMES)
    with open_project(images) as project:
        assert project.names == NAMES
        assert not project.left_out


def test_what_each_image_has(images: Path) -> None:
    mask = np.ones((30, 40), np.uint8)
    with open_project(images) as project:
        assert project.masks().tolist() == [NO_MASK] * 4
        for number in (1, 2, 10):
            (project.runs_folder / f"run-{number}").mkdir(parents=True)
        assert (project.run, project.runs()) == ("run-10", ["run-1", "run-2", "run-10"])
        project.choose_run("run-2")
        for name in NAMES[:3]:
            write_mask(mask_path(project.runs_folder / "run-2" / "masks", name), mask)
        write_mask(mask_path(project.drafts, NAMES[2]), mask)
        write_mask(mask_path(project.corrected, NAMES[0]), mask)
        write_text(
            project.runs_folder / "run-2" / "masks" / "uncertainty.csv",
            "image,uncertainty,heads,views,tags\na.png,0.2,0.3,0.3,0.0\n",
        )
        assert project.masks().tolist() == [KEPT, PREDICTED, DRAFT, NO_MASK]
        assert project.uncertainties() == pytest.approx({"a.png": 0.2})
        with pytest.raises(DataError, match=r"run-3: no such run.*run-1, run-2, run-10"):
            project.choose_run("run-3")
    with open_project(images) as project:
        assert project.run == "run-2"


def test_tags_of_images_that_are_away_are_kept(images: Path) -> None:
    with open_project(images) as project:
        project.add_class("cat")
        project.set_tags([TagChange("a.png", 0, Tag.PRESENT)])
    (images / "a.png").rename(images.parent / "a.png")
    with open_project(images) as project:
        project.set_tags([TagChange("b.png", 0, Tag.ABSENT)])
        project.add_class("dog")
    (images.parent / "a.png").rename(images / "a.png")
    with open_project(images) as project:
        assert project.states()[:2].tolist() == [[1, -1], [0, -1]]


def test_a_column_that_somebody_added_is_a_class(images: Path) -> None:
    with open_project(images) as project:
        project.add_class("dog")
    (images / "tag2mask" / "tags.csv").write_text("image;cat;dog\r\nb.png;1;\r\n", encoding="utf-8-sig")
    with open_project(images) as project:
        assert project.class_names == ("dog", "cat")
        assert project.states()[1].tolist() == [-1, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,cat\na.png,maybe\n", r"tags\.csv, line 2: 'maybe' is not a tag; write 1"),
        ("name,cat\na.png,1\n", r"expected `image`"),
        ("image,cat\na.png,1,0\n", r"line 2: 3 cells below 2 columns"),
    ],
)
def test_a_damaged_table_is_not_overwritten(images: Path, text: str, message: str) -> None:
    with open_project(images) as project:
        project.add_class("cat")
    path = images / "tag2mask" / "tags.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message), open_project(images):
        pass
    assert path.read_text() == text


def test_tags_of_another_format_are_taken_over_once(images: Path) -> None:
    table = images.parent / "tags.csv"
    table.write_text("image,tags\na.png,cat dog\nb.png,none\nsub folder/c.png,?cat\n")
    with open_project(images, tags=table) as project:
        assert project.class_names == ("cat", "dog")
        assert project.states().tolist() == [[1, 1], [0, 0], [-1, 0], [-1, -1]]
    with pytest.raises(DataError, match=r"has 3 tagged images and 2 classes already"), open_project(images, tags=table):
        pass


def test_folders_as_classes_are_taken_over(tmp_path: Path) -> None:
    images = write_images(tmp_path / "pets", "cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png")
    with open_project(images, tags=images) as project:
        assert project.class_names == ("cat", "dog")
        assert project.states().tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]


def test_one_process_a_project(images: Path) -> None:
    with open_project(images) as project:
        project.write_address("http://127.0.0.1:7870/")
        with pytest.raises(DataError, match=r"or use its page: http://127\.0\.0\.1:7870/"), open_project(images):
            pass
    with open_project(images):
        pass


def test_folders_that_are_no_project(images: Path, tmp_path: Path) -> None:
    with open_project(images):
        pass
    with pytest.raises(DataError, match="give the folder above it"), open_project(images / "tag2mask"):
        pass
    with pytest.raises(DataError, match="no such folder"), open_project(tmp_path / "none"):
        pass
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no image in this folder"), open_project(tmp_path / "empty"):
        pass


def test_a_change_is_whole_or_not_at_all(tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text("old")
    with pytest.raises(KeyError), together(tmp_path) as staged:
        (staged / "one.txt").write_text("new")
        raise KeyError
    assert (tmp_path / "one.txt").read_text() == "old"
    # Killed before the marker: dropped. Killed behind it, one file moved already: finished.
    files = tmp_path / "changing" / "files"
    files.mkdir(parents=True)
    (files / "one.txt").write_text("new")
    finish(tmp_path)
    assert (tmp_path / "one.txt").read_text() == "old"
    files.mkdir(parents=True)
    (files / "two.txt").write_text("new")
    (tmp_path / "changing" / "ready").touch()
    finish(tmp_path)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["one.txt", "two.txt"]
    assert (tmp_path / "two.txt").read_text() == "new"


BUSY = """
import sys
from tag2mask.core.constants import Tag
from tag2mask.studio.layers import run_classes
from tag2mask.studio.opening import open_project
from tag2mask.studio.project import TagChange
with open_project(sys.argv[1]) as project:
    print("begun", flush=True)
    turn = 0
    while True:
        turn += 1
        tag = Tag.PRESENT if turn % 2 else Tag.ABSENT
        project.set_tags([TagChange(name, 0, tag) for name in project.names])
        print(int(tag), flush=True)
        if turn % 3 == 0:
            project.add_class("second")
            project.remove_class(1)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_kill_at_any_moment_loses_nothing_that_was_answered(images: Path) -> None:
    with open_project(images) as project:
        project.add_class("first")
    pause = random.Random(0)
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", BUSY, str(images)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(pause.random() * 0.3)
        process.send_signal(signal.SIGKILL)
        said = process.communicate()[0].splitlines()
        with open_project(images) as project:
            assert project.class_names in (("first",), ("first", "second"))
            states = project.states()[:, 0].tolist()
            assert len(set(states)) == 1, "half of a change is there"
            assert not said or states[0] in (int(said[-1]), 1 - int(said[-1]))
            assert read_tags(project.tags_file)[0] == project.class_names
            left = [path.name for path in project.home.iterdir() if path.name not in EXPECTED]
            assert not left
        with open_project(images) as project:
            if len(project.classes) > 1:
                project.remove_class(1)


EXPECTED = {".tag2mask", ".tag2mask.lock", "project.yaml", "tags.csv", "classes.txt", "cache"}


def test_a_run_opens_at_its_images_with_what_it_has(images: Path, tmp_path: Path) -> None:
    table = tmp_path / "tags.csv"
    table.write_text("image,tags\na.png,cat dog\nb.png,none\n")
    run = tmp_path / "runs" / "mine"
    mask = np.ones((30, 40), np.uint8)
    for folder in ("masks", "corrected"):
        write_mask(mask_path(run / folder, "a.png"), mask)
    (run / "checkpoints").mkdir()
    (run / "model.yaml").write_text("classes: [cat, dog]\n")
    (run / "collection.json").write_text(json.dumps(Dataset.load(images, table).to_dict()))
    for _ in range(2):
        with open_project(run) as project:
            assert project.root == images.resolve()
            assert project.states().tolist() == [[1, 1], [0, 0], [-1, -1], [-1, -1]]
            assert (project.run, project.runs()) == ("run-1", ["run-1"])
            assert project.masks().tolist() == [KEPT, NO_MASK, NO_MASK, NO_MASK]
            assert not (project.runs_folder / "run-1" / "checkpoints").exists()
            project.set_tags([TagChange("a.png", 1, Tag.PRESENT)])
    write_mask(mask_path(images / "tag2mask" / "corrected", "a.png"), mask * 2)
    with open_project(run) as project:  # what was corrected in the project stays
        assert read_mask(mask_path(project.corrected, "a.png")).max() == 2
    assert read_mask(mask_path(run / "corrected", "a.png")).max() == 1
    assert [name for _, name in list_images(images)] == list(NAMES)
    images.rename(tmp_path / "moved")
    with pytest.raises(DataError, match=r"which is not there any more; give the folder of images"), open_project(run):
        pass


def test_a_run_of_other_images_lends_its_network_and_no_mask(images: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "mine"
    for folder in ("masks", "corrected"):  # of another image with the same name
        write_mask(mask_path(run / folder, "a.png"), np.ones((30, 40), np.uint8))
    (run / "model.yaml").write_text("classes: [cat, dog]\n")
    elsewhere = Dataset(tmp_path / "gone", ("cat", "dog"), ())
    (run / "collection.json").write_text(json.dumps(elsewhere.to_dict()))
    with pytest.raises(DataError, match="there is no trained run"), open_project(images, run=run):
        pass
    assert not (images / "tag2mask").exists()
    (run / "model.safetensors").write_bytes(b"weights")
    for _ in range(2):
        with open_project(images, run=run) as project:
            assert (project.run, project.runs(), project.class_names) == ("run-1", ["run-1"], ("cat", "dog"))
            assert project.masks().tolist() == [NO_MASK] * 4
            assert run_classes(project.runs_folder / "run-1") == ("cat", "dog")
    (run / "collection.json").write_text(json.dumps(Dataset(images, ("cat", "dog"), ()).to_dict()))
    (images / "tag2mask").rename(tmp_path / "before")
    with open_project(images, run=run) as project:  # of these images: as if the run was opened
        assert project.masks().tolist() == [KEPT, NO_MASK, NO_MASK, NO_MASK]
