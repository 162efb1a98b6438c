from __future__ import annotations

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("module", ["inference", "lattice", "pydensecrf.densecrf", "pydensecrf.utils"])
def test_examples_in_docstrings_run(module: str) -> None:
    result = doctest.testmod(import_module(f"tag2mask.crf.{module}"))
    assert result.attempted
    assert not result.failed
