from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tag2mask.core.errors import DataError
from tag2mask.data import Dataset, load_dataset
from tag2mask.data.readers.tag_cells import recognise_separator
from tests.helpers import write_images

NAMES = ["a.png", "b.png", "c.png", "d e.png"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "images", NAMES)


def load(images: Path, text: str | bytes, **options: object) -> Dataset:
    path = images.parent / "tags.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_dataset(images, path, **options)  # type: ignore[arg-type]


def tags_of(dataset: Dataset) -> dict[str, str]:
    return {
        record.name: " + ".join([*sorted(record.present), *(f"?{name}" for name in sorted(record.unknown))])
        for record in dataset.records
    }


EXPECTED = {"a.png": "cat + dog", "b.png": "dog", "d e.png": ""}


@pytest.mark.parametrize(
    "text",
    [
        "image,tags\na.png,cat dog\nb.png,dog\nd e.png,none\n",
        "image,tags\na.png,cat;dog\nb.png,dog\nd e.png,none\n",
        "image,tags\na.png,cat | dog\nb.png,dog\nd e.png,background\n",
        'image,tags\na.png,"cat, dog"\nb.png,dog\nd e.png,background\n',
        "image,tags\na.png,cat,dog\nb.png,dog\nd e.png,none\n",
        "image,tags\na.png,cat,dog,\nb.png,dog,,\nd e.png,none,\n",
        "image,tags\r\na.png,cat dog\r\nb.png,dog\r\nd e.png,none\r\n",
        "image,tags\ra.png,cat dog\rb.png,dog\rd e.png,none\r",
        "\ufeffimage,tags\na.png,cat dog\nb.png,dog\nd e.png,none",
        "image\ttags\na.png\tcat dog\nb.png\tdog\nd e.png\tnone\n",
        "image;tags\na.png;cat dog\nb.png;dog\nd e.png;none\n",
        "image;tags\na.png;cat,dog\nb.png;dog\nd e.png;none\n",
        "image|tags\na.png|cat|dog\nb.png|dog\nd e.png|none\n",
        '"image","tags"\n"a.png","cat dog"\n"b.png","dog"\n"d e.png","None"\n',
        "Tags,Image\ncat dog,a.png\ndog,b.png\nnone,d e.png\n",
        "FileName,Labels\na.png,cat dog\nb.png,dog\nd e.png,NONE\n",
        "file_name,classes\na,cat dog\nb,dog\nd e,none\n",
        "Image Path,labels\nimages/a.png,cat dog\nimages\\b.png,dog\n./d e.PNG,none\n",
        "id,categories\na.png,cat cat dog\nb.png,dog background\nd e.png,none\n\n\n",
        "image,cat,dog\na.png,1,1\nb.png,0,1\nd e.png,0,0\n",
        "image;cat;dog\na.png;true;yes\nb.png;False;Y\nd e.png;no;0.0\n",
        "dog,cat,background,image\n1,1,0,a.png\n1,0,1,b.png\n0,0,1,d e.png\n",
    ],
)
def test_forms_of_tables(images: Path, text: str) -> None:
    dataset = load(images, text)
    assert tags_of(dataset) == EXPECTED
    assert dataset.classes == ("cat", "dog")
    assert dataset.source == "csv"
    assert [problem.kind for problem in dataset.problems] == ["unlisted images"]
    assert "1 images of the folder are not in the table, such as c.png" in dataset.problems[0].message


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_with_its_mark_as_spreadsheets_write_it(images: Path, encoding: str) -> None:
    mark = codecs.BOM_UTF16_LE if encoding.endswith("le") else codecs.BOM_UTF16_BE
    text = "image\ttags\na.png\tcat dog\nb.png\tdog\nd e.png\tnone\n"
    assert tags_of(load(images, mark + text.encode(encoding))) == EXPECTED


@pytest.mark.parametrize("separator", [",", ";", "|", " ; "])
def test_class_names_with_spaces(images: Path, separator: str) -> None:
    text = f'image,tags\na.png,"fire truck{separator}dog"\nb.png,fire truck\nc.png,dog\n'
    assert tags_of(load(images, text)) == {"a.png": "dog + fire truck", "b.png": "fire truck", "c.png": "dog"}


def test_class_names_with_spaces_from_a_file_of_classes(images: Path) -> None:
    text = "image,tags\na.png,fire truck\nb.png,hot dog\nc.png,?hot dog\n"
    dataset = load(images, text, classes=["hot dog", "fire truck"])
    assert tags_of(dataset) == {"a.png": "fire truck", "b.png": "hot dog", "c.png": "?hot dog"}
    assert dataset.classes == ("hot dog", "fire truck")


def test_classes_resolve_names_with_separators(images: Path) -> None:
    text = 'image,tags\na.png,"rock, hard; dog"\nb.png,dog\nc.png,"rock, hard"\n'
    dataset = load(images, text, classes=["rock, hard", "dog"])
    assert tags_of(dataset)["a.png"] == "dog + rock, hard"
    with pytest.raises(DataError, match=r"column 'tags': cells use ',' and ';'; use one separator everywhere"):
        load(images, text)


def test_a_class_name_may_hold_what_others_separate_by(images: Path) -> None:
    dataset = load(images, "image,tags\na.png,cow/bull dog\nb.png,R&B\nc.png,dog\n")
    assert dataset.classes == ("R&B", "cow/bull", "dog")
    dataset = load(images, "image,tags\na.png,a/b a b\n", classes=["a", "b", "a/b"])
    assert dataset.classes == ("a", "b", "a/b")


def test_unknown_tags(images: Path) -> None:
    dataset = load(images, "image,tags\na.png,?cat dog\nb.png,cat\nc.png,?cat\n")
    assert tags_of(dataset) == {"a.png": "dog + ?cat", "b.png": "cat", "c.png": "?cat"}
    dataset = load(images, "image,cat,dog\na.png,?,1\nb.png,1,\nc.png,-1,0\n")
    assert tags_of(dataset) == {"a.png": "dog + ?cat", "b.png": "cat + ?dog", "c.png": "?cat"}


def test_wide_table_with_chosen_classes(images: Path) -> None:
    text = "image,cat,width,dog\na.png,1,640,1\nb.png,0,480,1\n"
    assert load(images, text, classes=["dog", "cat"]).classes == ("dog", "cat")
    assert tags_of(load(images, text, classes=["dog"])) == {"a.png": "dog", "b.png": "dog"}
    with pytest.raises(DataError, match=r"line 2, column 'width': '640' is not a tag; expected 1 \(present\), 0"):
        load(images, text)
    with pytest.raises(DataError, match=r"class 'dgo' does not occur in .*did you mean 'dog'"):
        load(images, text, classes=["dgo", "cat"])


def test_splits(images: Path) -> None:
    text = "image,split,tags\na.png,train,cat\nb.png,val,dog\nc.png,train,dog\n"
    assert load(images, text).splits() == ("train", "val")
    assert list(tags_of(load(images, text, split="train"))) == ["a.png", "c.png"]
    assert load(images, text, split="train").classes == ("cat", "dog")
    with pytest.raises(DataError, match=r"no image of split 'test'; splits found: train, val"):
        load(images, text, split="test")
    with pytest.raises(DataError, match=r"splits found: none \(no column `split`\)"):
        load(images, "image,tags\na.png,cat\n", split="train")
    wide = "image,cat,subset\na.png,1,train\nb.png,0,val\n"
    assert load(images, wide).splits() == ("train", "val")


def test_other_columns_are_noted(images: Path) -> None:
    dataset = load(images, "image,tags,width,camera\na.png,cat,640,x\nb.png,cat,480,y\n", strict=True)
    assert dataset.problems[0].message == "tags.csv: not used: width, camera"
    assert dataset.problems[0].level == "note"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"tags\.csv: the file is empty; expected a header such as `image,tags`"),
        ("\n \n", "the file is empty"),
        ("image,tags\n", "a header but no image"),
        ("a.png,1,cat\nb.png,0,dog\n", r"no header \(the first line is .*\), and what its 3 columns mean"),
        ("a.png\n", "no header"),
        ("image\na.png\n", r"only one column \('image'\), so there are no tags"),
        ("taken,stuff\n2020,cat\n", "no column of image names among 'taken', 'stuff'"),
        ("image,file,tags\na.png,a.png,cat\n", "columns 'image' and 'file' mean the same; keep one"),
        ("image,tags,labels\na.png,cat,dog\n", "columns 'tags' and 'labels' mean the same"),
        ('image,tags\na.png,"cat\n', r"line 2: cannot be read as a table .*is a quote left open"),
        (b"image,tags\na.png,cat\nb.png,caf\xe9\n", r"tags\.csv, line 3: not UTF-8 text \(byte 0xe9\)"),
        (b"image,tags\na.png,ca\0t\n", "line 2: holds a NUL byte"),
        ("image,tags\na.png,\"['cat', {'dog': 1}]\"\n", "is a list in a programming language"),
        ("image,tags\na.png,cat;dog\nb.png,cat|dog\n", r"cells use ';' and '\|'; use one separator everywhere"),
        (
            "image,tags\na.png,cat;dog\nb.png,cat dog\n",
            r"some cells separate tags by ';', others by spaces \('cat dog'\)",
        ),
        ("image,tags\na.png,cat:dog\nb.png,cat\nc.png,dog\n", "'cat:dog' looks like several tags joined by ':'"),
        ("image,tags\na.png,cat/dog\nb.png,dog/cow\nc.png,cow/cat\n", "looks like several tags joined by '/'"),
        ("image,tags\na.png,Cat\nb.png,cat\n", "'Cat' and 'cat' differ only in upper and lower case"),
        ("image,tags\na.png,cat none\nb.png,cat\n", "line 2: 'none' beside other tags"),
        ("image,tags\na.png,cat ?cat\n", r"line 2: \['cat'\] both present and unknown"),
        ("image,tags\na.png,cat ?\n", "line 2: a lone '\\?'"),
        ("image,cat,cat\na.png,1,0\n", "two columns have the same name"),
        ("image,cat,Cat\na.png,1,0\n", "differ only in upper and lower case"),
        ("image,cat,\na.png,1,0\n", "'' cannot be a class name"),
        ("image,cat\na.png,2\n", "line 2, column 'cat': '2' is not a tag"),
        ("image,cat\na.png,present\n", "'present' is not a tag"),
        ("image,background\na.png,1\n", "none of the columns image, background is a column of tags"),
        ("image,tags\na.png,none\nb.png,none\n", "no tag in the whole source"),
        (
            "image,tags\n" + "".join(f"{k}.png,a photo number{k} of it\n" for k in range(300)),
            r"column 'tags': 30\d classes; an 8-bit mask holds 254.*choose the right column",
        ),
    ],
)
def test_tables_that_make_no_sense(images: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(images, text)


@pytest.mark.parametrize(
    ("row", "kind", "message"),
    [
        ("none.png,cat", "missing image", r"tags\.csv, line 3: none\.png: no such image in .*check the name"),
        ("c.png,", "image without tags", r"tags\.csv, line 3: c\.png has no tag; add its tags, or `none`"),
        ("c.png", "image without tags", "c.png has no tag"),
        (",cat", "bad row", r"tags\.csv, line 3: no image name"),
        ("../c.png,cat", "bad name", r"line 3: '\.\./c\.png': a name with \.\."),
        ("/c.png,cat", "bad name", "line 3: '/c.png': an absolute path"),
        ("a.png,cat", "duplicate row", r"a\.png is listed twice: tags\.csv, line 2 and tags\.csv, line 3"),
        ("c.png,cta", "unknown class", r"class 'cta' is not among the classes \(did you mean 'cat'\?\)"),
        ("c.png,Cat", "unknown class", r"class 'Cat' is not among the classes \(did you mean 'cat'\?\)"),
    ],
)
def test_bad_rows_are_left_out_and_reported(images: Path, row: str, kind: str, message: str) -> None:
    text = f"image,tags\na.png,cat\n{row}\nb.png,cat dog\n"
    dataset = load(images, text, classes=["cat", "dog"])
    assert [record.name for record in dataset.records] == ["a.png", "b.png"]
    (problem,) = [problem for problem in dataset.problems if problem.level == "warning"]
    assert problem.kind == kind
    with pytest.raises(DataError, match=rf"(?s)1 problems, and strict is on:\n  {kind}: .*{message}"):
        load(images, text, classes=["cat", "dog"], strict=True)


def test_a_table_of_bad_rows_alone(images: Path) -> None:
    rows = "".join(f"{k}.png,cat\n" for k in range(12))
    with pytest.raises(DataError, match=r"(?s)no usable image:\n  missing image: .*\n  and 2 more$"):
        load(images, "image,tags\n" + rows)
    with pytest.raises(DataError, match=r"a header but no image; tags\.csv, line 2: 1 cells where the header has 3"):
        load(images, "image,cat,dog\na.png\n")


def test_wide_rows_of_another_width(images: Path) -> None:
    dataset = load(images, "image,cat,dog\na.png,1,1\nb.png,1\nc.png,1,0,1\nd e.png,0,1,\n")
    assert list(tags_of(dataset)) == ["a.png", "d e.png"]
    assert [problem.kind for problem in dataset.problems if problem.level == "warning"] == ["bad row"] * 2


def test_contradictions(images: Path) -> None:
    with pytest.raises(
        DataError, match=r"a\.png is listed twice and differently: tags\.csv, line 2: cat; tags\.csv, line 3: dog"
    ):
        load(images, "image,tags\na.png,cat\na,dog\n")
    with pytest.raises(DataError, match=r"line 2: cat \(split train\); .*line 3: cat \(split val\)"):
        load(images, "image,tags,split\na.png,cat,train\na.png,cat,val\n")


def test_images_without_tags_may_be_kept(images: Path) -> None:
    dataset = load(images, "image,tags\na.png,cat\nb.png,dog\nc.png,\nd e.png,none\n", require_tags=False)
    assert tags_of(dataset)["c.png"] == "?cat + ?dog"
    assert tags_of(dataset)["d e.png"] == ""


def test_a_row_of_unknown_alone_has_no_tags(images: Path) -> None:
    dataset = load(images, "image,cat,dog\na.png,1,0\nb.png,,\n")
    assert dataset.problem_counts()["image without tags"] == 1


def test_missing_table(images: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv: no such file; expected a file of tags"):
        load_dataset(images, images.parent / "none.csv")
    with pytest.raises(DataError, match="this is a folder; the file of tags was expected"):
        load_dataset(images, images)


NAME = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=6).filter(
    lambda name: name.casefold() not in {"none", "background"}
)


@given(st.lists(st.lists(NAME, min_size=1, max_size=4, unique=True), min_size=1, max_size=6), st.sampled_from(",;| "))
@settings(deadline=None, max_examples=80)
def test_the_separator_that_was_written_is_recognised(rows: list[list[str]], separator: str) -> None:
    cells = [separator.join(row) for row in rows]
    found = recognise_separator(cells, None, "tags")
    assert [[tag for tag in cell.split(found) if tag] for cell in cells] == rows
    classes = sorted({name for row in rows for name in row})
    found = recognise_separator(cells, classes, "tags")
    assert [cell.split(found) for cell in cells] == rows


@given(st.binary(max_size=80))
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_table_or_a_clear_error(images: Path, data: bytes) -> None:
    for text in (data, b"image,tags\n" + data, b"image,cat\na.png,1\n" + data):
        try:
            load(images, text)
        except DataError as error:
            assert str(error)
