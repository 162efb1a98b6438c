"""Pages of docs/: their blocks of commands and of Python, and somebody who follows them in a small folder.

A block that cannot run in a test stands below a comment with the reason:

    <!-- not run: needs a server -->
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import TINY_OPTIONS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"

_BLOCK = re.compile(
    r"(?:^ *<!-- not run: (?P<reason>[^\n]+?) -->\n)?"
    r"^(?P<indent> *)```(?P<kind>sh|python)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
FROZEN = {"data.image_size": 64, "model.feature_channels": 16, "model.head_channels": 16, "training.loggers": []}
WHOLE = {**TINY_OPTIONS, "training.loggers": []}
OTHER_BACKBONE = {"data.image_size": 64, "data.crop_size": 64, "data.workers": 0, "training.loggers": []}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: name of its file in docs/.
        line: where it begins.
        kind: 'sh' or 'python'.
        text: without the indentation of the block.
        reason: why it is not run; None where it is.
    """

    page: str
    line: int
    kind: str
    text: str
    reason: str | None

    @property
    def where(self) -> str:
        """For messages."""
        return f"docs/{self.page}:{self.line}"

    def commands(self) -> Iterator[list[str]]:
        """Words of each command, without comments; `a && b` are two."""
        for line in self.text.replace("\\\n", " ").splitlines():
            for part in re.split(r"\s&&\s", line):
                words = shlex.split(part, comments=True)
                if words:
                    yield words


def blocks(page: str) -> list[Block]:
    """The blocks of shell and Python of a page, in order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start("kind")) + 1, found["kind"], _dedented(found), found["reason"])
        for found in _BLOCK.finditer(text)
    ]


def _dedented(found: re.Match[str]) -> str:
    return textwrap.dedent(found["text"])


class Follower:
    """Somebody who follows a page in the folder that the test is in.

    Commands of tag2mask run in this process, trainings with small settings; servers start up and end at once. Of
    installations the extras are checked, of other programs of the repository that they are there with these options.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
        weights: Path | None = None,
        limit: int | None = None,
    ):
        """Take what changes `sys.argv`, what catches output, weights in place of the Hub, and images of a training."""
        self.monkeypatch, self.capfd, self.weights = monkeypatch, capfd, weights
        self.limit = limit
        self.names: dict[str, object] = {}
        self.ran = 0

    def follow(self, page: str) -> None:
        """Run every block that can be run; names of Python stay from block to block."""
        for block in blocks(page):
            if block.reason is not None:
                continue
            if block.kind == "python":
                exec(compile(block.text, block.where, "exec"), self.names)
                self.ran += 1
            for words in block.commands() if block.kind == "sh" else ():
                self.command(words, block.where)
                self.ran += 1

    def command(self, words: list[str], where: str) -> None:
        """Run a command, or check what can be checked of it."""
        from tag2mask import cli

        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self.monkeypatch.setenv(name, value)
            return
        if words[0] != "tag2mask":
            check_other(words, where)
            return
        self.monkeypatch.setattr(sys, "argv", self.small(words))
        with pytest.raises(SystemExit) as stop:
            cli.main()
        said = self.capfd.readouterr()
        assert not stop.value.code, f"{where}: {shlex.join(words)}\n{said.out}\n{said.err}"

    def small(self, words: list[str]) -> list[str]:
        """The command with settings that take seconds."""
        if words[1] == "studio":
            return [*words, "--port", "0", "--no-browser"]
        if words[1] != "train":
            return words
        out = Path(words[words.index("--out") + 1])
        if "--resume" not in words and "--plan" not in words and out.exists():
            shutil.rmtree(out)  # the page's own run takes the place of the one that was there
        chosen = {"--config", "--backbone", "--weights"} & set(words)
        settings = FROZEN if "--config" in words else OTHER_BACKBONE if chosen else WHOLE
        more = [] if "--weights" in words or not chosen else ["--weights", str(self.weights)]
        if self.limit is not None and "--limit" not in words:
            more += ["--limit", str(self.limit)]
        given = {word.partition("=")[0] for word in words}
        for name, value in settings.items():
            if name not in given:
                more += ["--set", f"{name}={json.dumps(value)}"]
        return [*words, "--epochs", "1", "--no-report", *more]


def check_other(words: list[str], where: str) -> None:
    """Programs that a test does not start: what they are asked for must be there.

    Raises:
        AssertionError: an unknown extra, script, option or target, or a program that nobody can check.
    """
    line = shlex.join(words)
    if words[:2] == ["pip", "install"] or words[:3] in (["uv", "pip", "install"], ["uv", "tool", "install"]):
        _check_extras(line, where)
    elif words[0] == "python" and words[1].startswith("benchmarks/"):
        script = ROOT / words[1]
        assert script.is_file(), f"{where}: {words[1]} is not there"
        text = script.read_text(encoding="utf-8")
        unknown = [word for word in words[2:] if word.startswith("--") and word.partition("=")[0] not in text]
        assert not unknown, f"{where}: {words[1]} does not know {', '.join(unknown)}"
    elif words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets), f"{where}: no target of {line}"
    else:
        raise AssertionError(f"{where}: {line}: mark its block with <!-- not run: reason -->")


def _check_extras(line: str, where: str) -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extras in re.findall(r"(?:tag2mask|\.)\[([\w,-]+)\]", line):
        unknown = set(extras.split(",")) - set(project["optional-dependencies"])
        assert not unknown, f"{where}: no extra {', '.join(sorted(unknown))}"


def without_serving(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Servers of uvicorn start and end, and serve nothing in between; returns how many did so far."""
    import uvicorn

    served: list[uvicorn.Server] = []

    async def main_loop(self: uvicorn.Server) -> None:
        served.append(self)

    monkeypatch.setattr(uvicorn.Server, "main_loop", main_loop)
    return lambda: len(served)
