from __future__ import annotations

from pathlib import Path

import pytest

from tag2mask.core.constants import MAX_CLASSES
from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data import Dataset, check_classes
from tag2mask.masks.class_names import nearest, read_classes, write_classes
from tests.helpers import write_images


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("cat\ndog\n", ("cat", "dog")),
        ("dog cat", ("dog", "cat")),
        ("fire truck\n  dog  \n\n", ("fire truck", "dog")),
        ("\ufeffcat\r\ndog\r\n", ("cat", "dog")),
        ("background\ncat\n", ("cat",)),
        ("e\u0301lan\ncat\n", ("\u00e9lan", "cat")),
        ("1\n2\n", ("1", "2")),
        ("2cv\n4x4\n", ("2cv", "4x4")),
    ],
)
def test_files_of_classes(tmp_path: Path, text: str, names: tuple[str, ...]) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes(text.encode())
    assert read_classes(path) == names
    if all(" " not in name for name in names) and "background" not in text and "\u0301" not in text:
        assert list(names) == text.removeprefix("\ufeff").split()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"classes\.txt: no class; expected one class name per line"),
        ("background\n", "no class"),
        ("cat\ncat\n", "class 'cat' is listed twice"),
        ("cat\nnone\n", "'none' means that no class is present"),
        ("cat\nbackground\n", "'background' means that no class is present"),
        ("0 cat\n1 dog\n", r"lines begin with numbers \('0 cat'\)"),
        ("0: cat\n1: dog\n", "lines begin with numbers"),
        ("cat, dog, horse", "names separated by commas"),
        ("cat\ta\x07\nb\n", "cannot be a class name"),
        ("\n".join(f"c{k}" for k in range(MAX_CLASSES + 1)), "255 classes; an 8-bit mask holds 254"),
    ],
)
def test_files_that_are_no_classes(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "classes.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_classes(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt: no such file; expected class names"):
        read_classes(tmp_path / "none.txt")
    with pytest.raises(DataError, match="cannot be read"):
        read_classes(tmp_path)
    (tmp_path / "classes.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(DataError, match="not UTF-8 text"):
        read_classes(tmp_path / "classes.txt")


def test_lists_of_classes() -> None:
    assert read_classes(["dog ", "fire truck"]) == ("dog", "fire truck")
    assert len(read_classes([f"c{k}" for k in range(MAX_CLASSES)])) == MAX_CLASSES
    with pytest.raises(DataError, match="expected a list of names or a path, got the text 'cat'"):
        read_classes("cat")


def test_nearest() -> None:
    assert nearest("hores", ["horse", "house"]) == " (did you mean 'horse'?)"
    assert nearest("Cat", ["cat"]) == " (did you mean 'cat'?)"
    assert nearest("xylophone", ["cat"]) == ""


def test_check_classes() -> None:
    def dataset(**numbers: int) -> Dataset:
        records = tuple(
            ImageRecord(f"{name}{k}.jpg", Path(f"{name}{k}.jpg"), frozenset({name}))
            for name, number in numbers.items()
            for k in range(number)
        )
        return Dataset(Path(), tuple(numbers), records)

    assert check_classes(dataset(cat=20, dog=30)) == ()
    (problem,) = check_classes(dataset(cat=19, dog=30))
    assert (problem.kind, problem.file, problem.level) == ("few images", "cat", "note")
    assert "class 'cat' is present in 19 images only; below 20" in problem.message
    with pytest.raises(DataError, match=r"fewer than 2 images: 'cat' \(1\), 'dog' \(0\)\. Add images"):
        check_classes(dataset(cat=1, dog=0, horse=5))
    assert check_classes(dataset(cat=1), minimum=1, advised=1) == ()


@pytest.mark.parametrize("character", ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\x1b", "\x00", "\u202e"])
def test_control_characters_in_a_name_shift_no_index(tmp_path: Path, character: str) -> None:
    name = f"a{character}b"
    with pytest.raises(DataError, match="cannot be a class name: it holds a line break or another control character"):
        read_classes([name, "c"])
    with pytest.raises(DataError, match="cannot be written to classes.txt: it holds a line break"):
        write_classes(tmp_path, [name, "c"])
    assert not (tmp_path / "classes.txt").exists()
    if character not in "\n\r":  # in a file these two end a line
        (tmp_path / "own.txt").write_bytes(f"{name}\nc\n".encode())
        with pytest.raises(DataError, match=r"own\.txt: 'a.*b' cannot be a class name"):
            read_classes(tmp_path / "own.txt")


def test_a_folder_whose_name_cannot_be_a_class_is_named(tmp_path: Path) -> None:
    write_images(tmp_path / "photos", ["a\nb/1.png", "c/2.png"])
    with pytest.raises(DataError, match=r"folder a\\nb.*cannot be a class name: it holds a line break") as error:
        Dataset.load(tmp_path / "photos")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "names", [("red panda",), ("red panda", "cat"), ("cat",), ("dog", "fire\u00a0truck"), ("犬", "ne\u200cda")]
)
def test_what_is_written_is_read(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert read_classes(write_classes(tmp_path, names)) == names


def test_one_line_of_several_words_is_guessed_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "classes.txt").write_text("red panda\n")
    with caplog.at_level("INFO", "tag2mask"):
        assert read_classes(tmp_path / "classes.txt") == ("red", "panda")
    assert "classes.txt: one line, read as 2 classes: red, panda; where it is one class" in caplog.text
