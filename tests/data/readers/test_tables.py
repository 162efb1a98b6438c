"""Tables of tags as other tools and people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tag2mask.core.errors import DataError
from tag2mask.data import Dataset, load_dataset
from tests.data.readers.test_exported import described
from tests.helpers import write_images

NAMES = [f"p{k}.jpg" for k in range(6)]
LABELS = ["cat", "dog", "cat", "dog", "bird", "bird"]
PLAIN = dict(zip(NAMES, LABELS, strict=True))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "photos", NAMES)


def load(images: Path, text: str, name: str = "t.csv", **options: object) -> Dataset:
    path = images.parent / name
    path.write_text(text, encoding="utf-8")
    return load_dataset(images, path, **options)  # type: ignore[arg-type]


def rows(line: str, header: str = "") -> str:
    """A line an image, with `{name}`, `{k}`, `{label}`, `{bit}` and `{other}` (the other bit) replaced."""
    lines = [line.format(name=name, k=k, label=LABELS[k], bit=k % 2, other=1 - k % 2) for k, name in enumerate(NAMES)]
    return "\n".join([*([header] if header else []), *lines]) + "\n"


def said(dataset: Dataset) -> str:
    return "\n".join(problem.message for problem in dataset.problems)


@pytest.mark.parametrize(
    "header",
    [
        *(
            "photo,label",
            "Picture,Species",
            "img_path,class_name",
            "filepath,target",
            "image_url,tag",
            "fichier,classe",
        ),
        *(
            "Image Index,Finding Labels",
            "Filename,Ground Truth",
            "bild,schlagwörter",
            "图片,标签",
            "uri,animal",
            "#image,label",
        ),
    ],
)
def test_words_of_headers(images: Path, header: str) -> None:
    dataset = load(images, rows("{name},{label}", header))
    assert described(dataset) == PLAIN
    assert all(problem.level == "note" for problem in dataset.problems)
    if header in {"Image Index,Finding Labels", "bild,schlagwörter"}:
        assert f"columns: image names from {header.split(',')[0]!r}" in said(dataset)


def test_an_unknown_header_is_told_by_its_cells(images: Path) -> None:
    dataset = load(images, rows("{k},{name},{label}", "nr,where it lies,animal"))
    assert described(dataset) == PLAIN
    assert "column 'where it lies' is read as the image names" in said(dataset)
    assert "column 'animal' is read as the tags" in said(dataset)


@pytest.mark.parametrize(
    ("text", "expected", "note"),
    [
        (rows("photos/{name},1,2,30,40,{label}"), PLAIN, "read as one box a line, with its class"),
        (rows("{name} {label}"), PLAIN, "no header (the first line is 'p0.jpg cat'): read as images and tags"),
        (rows("{name}: {label}, fur"), {n: " ".join(sorted([t, "fur"])) for n, t in PLAIN.items()}, "images and tags"),
        (rows("{name},{label}"), PLAIN, "images and tags"),
        (rows("{k},{name},{label}"), PLAIN, "a number that is not used"),
        (rows("TRAIN,gs://bucket/{name},{label},0.1,0.2,,,0.9,0.8,,"), PLAIN, "one box a line"),
        (
            rows("{name}\t{bit},{other},0"),
            {n: "01"[k % 2 == 0] for k, n in enumerate(NAMES)},
            "never 1 and so no class: 2",
        ),
        (
            rows("{name} {bit} {other} 0 1"),
            {n: f"{'01'[k % 2 == 0]} 3" for k, n in enumerate(NAMES)},
            "4 numbers 0 and 1",
        ),
        (rows("{name} 1,2,3,4,{bit} 5,6,7,8,3"), {n: f"{k % 2} 3" for k, n in enumerate(NAMES)}, "images and boxes"),
        (
            rows("{k}\t{bit}.000000\t{name}"),
            {n: str(k % 2) for k, n in enumerate(NAMES)},
            "row numbers, images and the number",
        ),
        (rows("{label} {name}"), PLAIN, "images and tags"),
        (rows("photos/{name},1,2,30,40,{label}", "image,tags"), PLAIN, "'image,tags' has fewer columns than the rows"),
    ],
)
def test_tables_without_a_header(images: Path, text: str, expected: dict[str, str], note: str) -> None:
    dataset = load(images, text, "train.txt")
    assert {name: " ".join(sorted(tags.split())) for name, tags in described(dataset).items()} == expected
    assert note in said(dataset)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (rows("{name}"), "names of images alone"),
        (rows("{name},1,2,30,40,{bit}"), "what its 6 columns mean cannot be told; write a line above it"),
        (rows("{name},{label},{bit}"), "what its 3 columns mean cannot be told"),
        (rows("{name} 12 7 9 4 5 6"), "what its numbers mean cannot be told"),
        (rows("{name},{name},{label}"), "2 columns hold names of images"),
    ],
)
def test_tables_without_a_header_that_say_too_little(images: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(images, text)


def test_an_image_without_boxes_in_a_table_of_boxes(images: Path) -> None:
    text = "p0.jpg,1,2,3,4,cat\np1.jpg,1,2,3,4,dog\np0.jpg,5,6,7,8,dog\np2.jpg,,,,,\np1.jpg,,,,,\n"
    dataset = load(images, text)
    assert described(dataset) == {"p0.jpg": "cat dog", "p1.jpg": "dog", "p2.jpg": ""}
    assert "4 rows of 2 images" in said(dataset)
    assert "2 rows without a box" in said(dataset)


@pytest.mark.parametrize("header", ["image,label", "image,tags"])
def test_a_row_for_each_label(images: Path, header: str) -> None:
    dataset = load(images, rows("{name},{label}\n{name},fur", header))
    assert described(dataset) == {name: " ".join(sorted([tag, "fur"])) for name, tag in PLAIN.items()}
    assert "12 rows of 6 images: the tags of an image's rows are joined" in said(dataset)


def test_a_row_for_each_label_says_whether_it_is_there(images: Path) -> None:
    text = (
        "ImageID,Source,LabelName,Confidence\np0,x,cat,1\np0,x,dog,0\np1,x,dog,1\np2,x,cat,0\np2,x,dog,?\np3,x,bird,1\n"
    )
    dataset = load(images, text)
    assert described(dataset) == {
        "p0.jpg": "cat ?bird",
        "p1.jpg": "dog ?bird ?cat",
        "p2.jpg": " ".join(["?bird", "?dog"]),
        "p3.jpg": "bird ?cat ?dog",
    }
    with pytest.raises(DataError, match=r"column 'Confidence': '0.7' is neither 1 .* nor 0"):
        load(images, "ImageID,LabelName,Confidence\np0,cat,0.7\np1,dog,1\n")


def test_names_of_images_that_end_in_the_class(images: Path) -> None:
    dataset = load(
        images, rows("{name}_Fish,{bit}\n{name}_No_Fin,{other}", "Image_Label,EncodedPixels").replace(",0", ",")
    )
    assert described(dataset) == {name: "Fish" if k % 2 else "No_Fin" for k, name in enumerate(NAMES)}
    dataset = load(images, rows("p{k}_a,{bit}\np{k}_b,{other}", "ID,Label"))
    assert described(dataset) == {name: "a" if k % 2 else "b" for k, name in enumerate(NAMES)}


def test_run_lengths_of_a_class_without_a_name(images: Path) -> None:
    text = rows("{name},{bit}", "ImageId,EncodedPixels").replace(",0", ",").replace(",1", ",1 5 9 2")
    with pytest.raises(DataError, match="no column names their class; give a file of `classes` with its one name"):
        load(images, text)
    dataset = load(images, text, classes=["ship"])
    assert described(dataset) == {name: "ship" if k % 2 else "" for k, name in enumerate(NAMES)}


def test_people_who_disagree(images: Path) -> None:
    text = "image,class_name,rad_id\np0,mass,R1\np0,mass,R2\np1,mass,R1\np1,No finding,R2\n"
    dataset = load(images, text)
    assert described(dataset) == {"p0.jpg": "mass", "p1.jpg": "?mass"}
    assert "what only some of the people who tagged it named is unknown" in said(dataset)


@pytest.mark.parametrize(
    "cell",
    [
        *(
            "\"['{label}', 'red fur']\"",
            "\"['{label}' 'red fur']\"",
            '"[""{label}"", ""red fur""]"',
            '"[{label}, red fur]"',
        ),
        *(
            "\"{{'{label}', 'red fur'}}\"",
            '"{{""choices"": [""{label}"", ""red fur""]}}"',
            "\"('{label}', 'red fur')\"",
        ),
        '"[{{""x"": 1, ""rectanglelabels"": [""{label}""]}}, {{""label"": ""red fur""}}]"',
    ],
)
def test_lists_written_as_text(images: Path, cell: str) -> None:
    dataset = load(images, rows("{name}," + cell, "image,tags"))
    assert {name: set(r.present) for name, r in zip(PLAIN, dataset.records, strict=True)} == {
        name: {tag, "red fur"} for name, tag in PLAIN.items()
    }
    assert "6 cells hold lists written as text" in said(dataset)


@pytest.mark.parametrize("word", ["nan", "NaN", "NULL", "N/A", "<NA>", "?", "-", "unknown"])
def test_cells_that_say_nothing_are_no_class(images: Path, word: str) -> None:
    dataset = load(images, rows("{name},{label}", "image,tags").replace("bird", word))
    assert dataset.classes == ("cat", "dog")
    assert dataset.problem_counts()["image without tags"] == 2
    assert f"2 cells say {word!r}: read as nothing known" in said(dataset)


def test_names_of_several_words(images: Path) -> None:
    cells = ["red panda", "giant panda", "red fox", "panda", "red panda", "fox"]
    text = "".join(f"{name},{cell}\n" for name, cell in zip(NAMES, cells, strict=True))
    whole = load(images, "image,label\n" + text)
    assert list(described(whole).values()) == cells
    assert "4 cells of several words, such as 'red panda', are one tag each" in said(whole)
    bars = load(images, "image,label\n" + text.replace("red fox", "red fox|panda"))
    assert bars.records[2].present == {"red fox", "panda"}
    split = load(images, "image,tags\n" + text.replace(",panda", ",bear").replace(",fox", ",bear"))
    assert split.classes == ("bear", "fox", "giant", "panda", "red")
    assert "4 cells were split at spaces, such as 'red panda'; if that is the name of one class" in said(split)


def test_numbers_of_classes(images: Path) -> None:
    numbers = [0, 1, 2, 0, 1, 2]
    text = "image,class_id\n" + "".join(f"{name},{k}.0\n" for name, k in zip(NAMES, numbers, strict=True))
    bare = load(images, text)
    assert bare.classes == ("0", "1", "2")
    assert "give the names in the order of the numbers as `classes`" in said(bare)
    named = load(images, text, classes=["cat", "dog", "bird"])
    assert list(described(named).values()) == ["cat", "dog", "bird"] * 2
    first = "image,class_id\n" + "".join(f"{name},{k + 1}\n" for name, k in zip(NAMES, numbers, strict=True))
    assert list(described(load(images, first, classes=["cat", "dog", "bird"])).values()) == ["cat", "dog", "bird"] * 2
    with pytest.raises(DataError, match="classes are numbers from 1 to 3 for 4 names, so that the first may be 0 or 1"):
        load(images, first, classes=["cat", "dog", "bird", "cow"])
    with pytest.raises(DataError, match="numbers from 0 to 2, but there are 2 names"):
        load(images, text, classes=["cat", "dog"])
    lists = load(images, rows("{name},{bit} 3", "Id,Target"), classes=["a", "b", "c", "d"])
    assert described(lists)["p1.jpg"] == "b d"


def test_one_column_of_0_and_1(images: Path) -> None:
    with pytest.raises(DataError, match=r"column 'label': 0 and 1 alone may be two classes, or one class"):
        load(images, rows("{name},{bit}", "image,label"))
    assert load(images, rows("{name},{bit}", "image,label"), classes=["a", "b"]).counts()["a"].present == 3
    dataset = load(images, rows("p{k},{k},{bit}", "image_name,patient_id,target"))
    assert dataset.classes == ("target",)
    assert "not used: patient_id" in said(dataset)


def test_several_columns_of_tags(images: Path) -> None:
    text = rows("p{k},{label},red {label},{bit}", "image,species,diagnosis,target")
    with pytest.raises(DataError, match=r"columns 'species' and 'diagnosis' and 'target' mean the same; .*`classes`"):
        load(images, text)
    assert (
        described(load(images, rows("p{k},{label},x{k}", "image,species,diagnosis"), classes=["cat", "dog", "bird"]))
        == PLAIN
    )
    dataset = load(images, rows("{name},{label},fur", "image,tag1,tag2"))
    assert described(dataset)["p0.jpg"] == "cat fur"
    dataset = load(images, rows("{name},{label},{k}", "image,class,class_id"))
    assert described(dataset) == PLAIN
    assert "the tags are read from column 'class', not from 'class_id'" in said(dataset)


def test_row_numbers_are_no_class(images: Path) -> None:
    for header in (",image,cat,dog", "Unnamed: 0,image,cat,dog", "index,image,cat,dog"):
        dataset = load(images, rows("{k},{name},{bit},{other}", header))
        assert dataset.classes == ("cat", "dog")
        assert "not used" in said(dataset)
    assert load(images, rows("{name},{bit},{other}", ",cat,dog")).classes == ("cat", "dog")
    long = load(images, rows("{k},{name},{label}", ",image,tags"))
    assert described(long) == PLAIN
    assert "not used: column 1 without a name" in said(long)
    twice = load(images, rows("{bit},{name},{bit},{other}", ",image,cat,dog"))
    assert twice.classes == ("cat", "dog")


def test_columns_of_classes_among_others(images: Path) -> None:
    dataset = load(images, rows("{name},F{k},{k}7,{bit},{other}", "image,sex,age,cat,dog"))
    assert dataset.classes == ("cat", "dog")
    assert "2 columns hold neither 1 nor 0 and are not used: 'sex' ('F0'), 'age' ('07')" in said(dataset)
    with pytest.raises(DataError, match=r"column 'dog': 'often' is not a tag; .* or give a file of classes \(cat\)"):
        load(images, rows("{name},{bit},{bit}", "image,cat,dog").replace("p3.jpg,1,1", "p3.jpg,1,often"))


def test_cells_of_a_class(images: Path) -> None:
    truths = load(images, rows("{name},{bit},{other}", "image,cat,dog").replace(",1", ",True").replace(",0", ",False"))
    assert truths.counts()["cat"].present == 3
    counts = load(images, rows("{name},{k},{bit}", "image,cat,dog"))
    assert counts.counts()["cat"].present == 5
    assert "column 'cat': 4 numbers above 1 are read as counts" in said(counts)
    minus = load(images, rows("{name},{bit},{other}", "image,cat,dog").replace(",0", ",-1"))
    assert minus.counts()["cat"].absent == 3
    assert "-1 is read as absent" in said(minus)
    with pytest.raises(DataError, match=r"'0\.2' is not a tag but a fraction, such as a probability"):
        load(images, rows("{name},0.{k}2", "image,cat").replace(",0.02", ",0.2"))


def test_celeba_s_list_with_a_number_above(images: Path) -> None:
    dataset = load(images, rows("{name} {bit} {other}", "6\nSmiling Hat").replace(" 0", " -1"), "list_attr.txt")
    assert described(dataset) == {name: "Smiling" if k % 2 else "Hat" for k, name in enumerate(NAMES)}


def test_a_column_of_unlabelled_images_is_no_class(images: Path) -> None:
    dataset = load(images, "filename, cat, Unlabeled\np0.jpg, 1, 0\np1.jpg, 0, 0\np2.jpg, 0, 1\n")
    assert dataset.classes == ("cat",)
    assert described(dataset) == {"p0.jpg": "cat", "p1.jpg": ""}
    assert dataset.problem_counts()["image without tags"] == 1


def test_no_finding_means_no_class(images: Path) -> None:
    long = load(images, rows("{name},{label}", "image,label").replace("bird", "No Finding"))
    assert described(long)["p5.jpg"] == ""
    assert "'No Finding' (2 rows) is read as `none`" in said(long)
    wide = load(images, "image,No Finding,edema\np0.jpg,1,\np1.jpg,,1\np2.jpg,,0\np3.jpg,,\n")
    assert wide.classes == ("edema",)
    assert described(wide) == {"p0.jpg": "", "p1.jpg": "edema", "p2.jpg": ""}
    chosen = load(images, rows("{name},{label}", "image,label").replace("bird", "No Finding"), classes=["cat", "dog"])
    assert len(chosen) == 6


def test_splits_in_other_words(images: Path) -> None:
    dataset = load(
        images, rows("{name},{label},{bit}", "fname,labels,is_valid").replace(",1", ",True").replace(",0", ",False")
    )
    assert [record.split for record in dataset.records] == ["train", "val"] * 3
    assert load(images, rows("{name},{label},TRAINING", "image,label,set")).splits() == ("train",)


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
def test_the_line_of_excel_that_names_the_separator(images: Path, first: str) -> None:
    assert described(load(images, rows("{name};{label}", f"{first}\nimage;tags"))) == PLAIN


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (rows("{name},mask{k}.png", "image,label"), r"'mask0\.png' is the name of a file, not a class"),
        (rows("{name},0.{k}5", "image,label"), "is a number with a fraction, not a class"),
        (rows('{name},"1,2,3,4,{label}"', "image,tags"), "looks like the corners of a box and a class"),
        (rows('{name},"[{{1: 2}}]"', "image,tags"), "is a list in a programming language that cannot be read"),
        (rows("{name},{{}}", "filename,region_attributes"), "VIA's CSV, which is not read"),
        (rows("x,{name},{{}}", "ID,External ID,Label"), "Labelbox's CSV, which is not read"),
        (rows("{name},n0{bit} 1 2 3 4", "image,label"), "looks like the corners of a box and a class"),
        (
            rows('{name},64,48,"[1, 2]",usask', "image_id,width,height,bbox,source"),
            "boxes, but no column of their classes",
        ),
        (rows("{name},{bit} 1 0\n{name},1 0", "image,labels"), "lists of 0 and 1 of 2 and of 3 numbers"),
    ],
)
def test_what_is_no_tag_is_refused(images: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(images, text)


def test_a_line_without_class_and_pixels_shows_none(images: Path) -> None:
    dataset = load(images, "ImageId,ClassId,EncodedPixels\np0.jpg,cat,1 3\np1.jpg,,\np2.jpg,dog,4 2\n")
    assert described(dataset) == {"p0.jpg": "cat", "p1.jpg": "", "p2.jpg": "dog"}
    assert "1 rows without a class and pixels: their images show no class" in said(dataset)
