"""Command lines as text: quoted, in the order given, without what has no value."""

from __future__ import annotations

import shlex
from pathlib import Path

from tag2mask.core.command import command_line


def test_a_shell_reads_back_what_was_given() -> None:
    line = command_line("train", Path("my photos; rm -rf"), tags=Path("it's.csv"), set_=["a=1", "b=[0, 1]"], seed=3)
    assert shlex.split(line) == [
        *("tag2mask", "train", "my photos; rm -rf", "--tags", "it's.csv"),
        *("--set", "a=1", "--set", "b=[0, 1]", "--seed", "3"),
    ]


def test_switches_and_what_is_left_out() -> None:
    assert command_line("export", "m", least_certain=0, strict=True, resume=False, out=None) == (
        "tag2mask export m --least-certain 0 --strict"
    )
