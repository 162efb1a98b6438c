"""The public names and their examples, which run as they are printed."""

from __future__ import annotations

import doctest
import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tag2mask
from tag2mask.config.schema import Config
from tests.conftest import TINY_OPTIONS
from tests.helpers import TinyDataset

PUBLIC = {"Dataset", "Segmenter", "dense_crf", "evaluate", "train"}
MOST_NAMES = 10
SOURCE = Path(tag2mask.__file__).parent
WITH_EXAMPLES = [
    ".".join(["tag2mask", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")
    for path in sorted(SOURCE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.fixture
def workplace(shapes: TinyDataset, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyDataset:
    """The folder that examples run in.

    It has `photos/`, `tags.csv`, `classes.txt` (disc, square), ground truth in `gt/`, a trained network in `runs/mine`,
    and `tiny.yaml`, a configuration that trains in seconds.
    """
    shutil.copytree(shapes.images, tmp_path / "photos")
    shutil.copytree(shapes.masks, tmp_path / "gt")
    shutil.copytree(trained, tmp_path / "runs" / "mine")
    for path in (shapes.tags, shapes.class_file):
        shutil.copy(path, tmp_path / path.name)
    tiny = Config().override({**TINY_OPTIONS, "training.epochs": 1})
    (tmp_path / "tiny.yaml").write_text(tiny.to_yaml(), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return shapes


def examples_of(thing: Any, name: str, module: Any) -> list[doctest.DocTest]:
    return [test for test in doctest.DocTestFinder().find(thing, name, module=module) if test.examples]


def failures(test: doctest.DocTest) -> str:
    """What the examples print otherwise than they say; '' if nothing."""
    lines: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).run(test, out=lines.append)
    return "".join(lines)


def test_names() -> None:
    assert set(tag2mask.__all__) >= PUBLIC
    assert len(tag2mask.__all__) <= MOST_NAMES
    assert {*tag2mask.__all__, "__version__"} <= set(dir(tag2mask))
    with pytest.raises(AttributeError, match="nothing"):
        _ = tag2mask.nothing


def test_names_are_loaded_on_first_use() -> None:
    code = "import sys, tag2mask; sys.exit(bool({'torch', 'numba', 'cv2', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_torch_before_a_network_is_loaded() -> None:
    names = ("Dataset", "dense_crf", "evaluate", "Segmenter")
    code = (
        f"import sys, tag2mask\nfor name in {names}:\n    getattr(tag2mask, name)\n"
        "    if 'torch' in sys.modules:\n        sys.exit(name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr} imports torch"


@pytest.mark.parametrize("name", sorted({*tag2mask.__all__} | PUBLIC))
def test_every_public_name_has_an_example_that_runs(name: str, workplace: TinyDataset) -> None:
    thing = getattr(tag2mask, name)
    tests = examples_of(thing, name, importlib.import_module(thing.__module__))
    assert tests, f"the docstring of tag2mask.{name} has no example"
    for test in tests:
        skipped = [one.source for one in test.examples if one.options.get(doctest.SKIP)]
        assert not skipped, f"an example that does not run: {skipped[0]}"
        assert not failures(test)


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_in_the_code(module: str, workplace: TinyDataset) -> None:
    found = importlib.import_module(module)
    for test in examples_of(found, module, found):
        assert not failures(test)
