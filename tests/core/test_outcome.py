from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tag2mask.core.outcome import Outcome, failures_table
from tag2mask.core.text import counted, printable


def test_summary_names_what_happened_and_nothing_else() -> None:
    assert Outcome(Path("m"), written=2).summary() == "2 masks written to m"
    outcome = Outcome("s3://bucket/m", 3, 4, [("a.jpg", "truncated"), ("b.jpg", "empty")], ["listed in f.csv"])
    assert outcome.summary() == (
        "3 masks written to s3://bucket/m, 4 were already there, listed in f.csv, 2 images skipped"
    )


def test_one_is_singular() -> None:
    outcome = Outcome("m", 1, 1, [("a.jpg", "truncated")])
    assert outcome.summary() == "1 mask written to m, 1 was already there, 1 image skipped"
    assert Outcome("m").summary() == "0 masks written to m"
    assert [counted(1, word) for word in ("images", "classes", "boxes", "faces")] == [
        "1 image", "1 class", "1 box", "1 face",
    ]  # fmt: skip


def test_nothing_done_is_no_success() -> None:
    assert Outcome("m", failures=[("a", "b")]).is_empty
    assert not Outcome("m").is_empty
    assert not Outcome("m", 1, failures=[("a", "b")]).is_empty
    assert not Outcome("m", 0, 1, [("a", "b")]).is_empty


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a b.jpg", "a b.jpg"),
        ("déjà\u00a0vu 犬 👩\u200d🚀.jpg", "déjà\u00a0vu 犬 👩\u200d🚀.jpg"),
        ("a\nb\r\tc\0.jpg", r"a\nb\r\tc\x00.jpg"),
        ("\x1b[31m\x9b\x07", r"\x1b[31m\x9b\x07"),
        ("a\u202egpj.exe", r"a\u202egpj.exe"),
        ("a\u2028b\udcff", r"a\u2028b\udcff"),
    ],
)
def test_control_characters_are_escaped(name: str, shown: str) -> None:
    assert printable(name) == shown
    table = list(csv.reader(io.StringIO(failures_table([(name, f"{name}: it's, broken")]))))
    assert table == [["image", "reason"], [shown, f"{shown}: it's, broken"]]


def test_line_breaks_of_a_message_may_stay() -> None:
    assert printable("one\n  two\x07", keep="\n") == "one\n  two\\x07"
