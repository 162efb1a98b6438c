"""The documentation: links, pages that are made from the code, and commands whose options exist."""

from __future__ import annotations

import ast
import importlib.util
import pydoc
import re
import shlex
from collections import Counter
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.main import get_command

import tag2mask
from tag2mask.cli import app
from tag2mask.cli.commands_page import MARK, commands_tables
from tests.pages import DOCS, ROOT, blocks, check_other

PAGES = sorted(path.name for path in DOCS.glob("*.md"))
RUN_ELSEWHERE = {
    "coco2014.md": "test_recipes.py",
    "crf.md": "test_docs_commands.py",
    "cvat.md": "deploy/test_pages.py",
    "export.md": "masks/test_export_folder.py",
    "geotiff.md": "test_geotiff_page.py",
    "label-studio.md": "deploy/test_pages.py",
    "own-data.md": "test_own_data.py",
    "plugins.md": "ecosystem/test_plugins.py",
    "voc2012.md": "test_recipes.py",
}
"""Pages whose blocks other tests run, with what they need."""
NOT_RUN = {
    "another package index": 4,
    "installs": 3,
    "needs a container engine": 2,
    "needs an object store; tests/deploy/bulk has one": 2,
    "needs kept features; tests/cli/test_cache.py": 1,
    "needs several devices; tests/training/test_ranks.py": 1,
    "for a shell's start-up file; tests/cli/test_scripts.py": 1,
    "needs jq; tests/cli/test_scripts.py": 1,
    "needs FiftyOne, which needs MongoDB": 1,
    "needs the Hub": 3,
    "serves until it is ended; tests/deploy/serving asks it": 1,
}
"""Reasons of blocks that no test runs, with their number."""
HISTORY = {"lab-log.md"}
"""Says what was run at its time; options may have changed since."""


@cache
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "hooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it and MkDocs too for what our headings hold."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", plain.strip().lower()))


def anchors(path: Path) -> set[str]:
    text = re.sub(r"^ *```.*?^ *```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")], ids=lambda p: p.name
)
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]*[.#:/][^)\s]*)\)", text):
        if re.match(r"https?:|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        other = (path.parent / name).resolve() if name else path
        if other == DOCS / "messages.md":  # made when the site is built
            continue
        assert other.exists(), f"{path.name}: {target}"
        if anchor and other.suffix == ".md":
            assert anchor in anchors(other), f"{path.name}: {target}"


def test_the_page_of_commands_is_that_of_the_code() -> None:
    written = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert written.partition(MARK)[2].strip() == commands_tables().strip(), "run `make generated`"


def test_messages_are_found() -> None:
    page = hooks().messages_page(ROOT / "src/tag2mask/core")
    assert "\n## Everywhere\n" in page
    assert "<code>…: cannot write here (…); check space and permissions</code> <small>DataError</small></h4>" in page
    assert "let only one process write there</code> <small>warning</small></h4>" in page
    sample = 'raise DataError(f"{path}: {count} of " + "them; `out`")\n_log.warning("%s: %d%% lost", a, b)\nx.error(1)'
    assert list(hooks().messages(ast.parse(sample))) == [
        ("DataError", "…: … of them; `out`"),
        ("warning", "…: …% lost"),
    ]


def test_examples_become_a_section() -> None:
    rewritten = hooks().examples_as_section("A.\n\nExample, in a folder:\n    >>> 1\n    1\n\n>>> 2\n2")
    assert rewritten == "A.\n\nExamples:\n    In a folder:\n\n    >>> 1\n    1\n\nExamples:\n    >>> 2\n    2"


def test_every_public_name_is_on_the_page_of_python() -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    missing = [name for name in tag2mask.__all__ if f"::: tag2mask.{name}\n" not in page]
    assert not missing


def test_every_page_is_in_the_navigation() -> None:
    # MkDocs holds it too, but is not part of `make test`.
    named = set(
        re.findall(r"^ +- ([\w-]+\.md)$|^  - (index\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    )
    assert {one or other for one, other in named} == {*PAGES, "messages.md"}


def test_blocks_that_are_not_run_have_a_known_reason() -> None:
    reasons = Counter(block.reason for page in PAGES for block in blocks(page) if block.reason is not None)
    assert dict(reasons) == NOT_RUN


def test_every_page_with_commands_is_followed() -> None:
    from tests.test_docs_commands import FOLLOWED

    with_blocks = {page for page in PAGES if any(block.reason is None for block in blocks(page))}
    assert with_blocks == set(FOLLOWED) | set(RUN_ELSEWHERE)
    for test in RUN_ELSEWHERE.values():
        assert (ROOT / "tests" / test).is_file()


@cache
def every_command() -> dict[str, Any]:
    group: Any = get_command(app)
    return dict(group.commands)


def indented(page: str) -> list[list[str]]:
    """Commands that stand in a page as indented lines."""
    text = (DOCS / page).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"(?<=\n\n)((?:    tag2mask [^\n]*\n)+)", text)
    return [shlex.split(line, comments=True) for block in lines for line in block.splitlines()]


@pytest.mark.parametrize("page", sorted(set(PAGES) - HISTORY))
def test_commands_exist_with_their_options(page: str) -> None:
    known = every_command()
    commands = [words for block in blocks(page) if block.kind == "sh" for words in block.commands()]
    for words in [*commands, *indented(page)]:
        if words[0] == "tag2mask" and "..." not in words and words[1] != "--version":
            name = words[1]
            assert name in known, f"{page}: {shlex.join(words)}"
            with known[name].make_context(
                name, words[2 : next((at for at, word in enumerate(words) if word in (">", "|")), None)]
            ):
                pass
        elif words[0] in ("make", "python") and words[1].startswith(("benchmarks/", "bench", "demo", "docs")):
            check_other(words, page)


def test_every_name_on_the_page_of_python_has_an_example() -> None:
    """They run in tests/test_public_api.py, which finds them by their `>>>`."""
    names = re.findall(r"^::: (\S+)$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    things = {name: pydoc.locate(name) for name in names}
    assert None not in things.values()
    assert [name for name, one in things.items() if callable(one) and ">>> " not in str(one.__doc__)] == []
