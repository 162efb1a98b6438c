"""Which class names are taken for misspellings."""

from __future__ import annotations

import pytest

from tag2mask.data.checks.spelling import check_spelling


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("hrose", "horse"),
        ("dogg", "dog"),
        ("dgo", "dog"),
        ("scrach", "scratch"),
        ("traffic lihgt", "traffic light"),
        ("grun", "grün"),
    ],
)
def test_a_rare_name_that_is_nearly_a_frequent_one(wrong: str, right: str) -> None:
    (finding,) = check_spelling({wrong: 3, right: 100}, {})
    assert finding.groups == ((wrong, right),)
    assert f"did you mean {right!r}" in finding.details[0]
    assert check_spelling({wrong: 60, right: 100}, {}) == []  # both frequent: two classes
    assert check_spelling({wrong: 3, right: 100}, {(wrong, right): 2}) == []  # both in one image: two classes


@pytest.mark.parametrize(("first", "second"), [("cat", "Cat"), ("cats", "cat"), ("tv-set", "tv set"), ("a_b", "AB")])
def test_spellings_of_one_name_however_frequent(first: str, second: str) -> None:
    assert [set(finding.groups[0]) for finding in check_spelling({first: 50, second: 60}, {})] == [{first, second}]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("cat", "cow"),
        ("dog", "frog"),
        ("class1", "class2"),
        ("c++", "c#"),
        ("+", "-"),
        ("glass", "grass crack"),
        ("a", "b"),
    ],
)
def test_names_of_two_classes(first: str, second: str) -> None:
    assert check_spelling({first: 3, second: 100}, {}) == []
    assert check_spelling({first: 100, second: 3}, {}) == []
