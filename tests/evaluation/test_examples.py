from __future__ import annotations

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    "module", ["average_precision", "by_size", "consensus", "correlation", "folders", "label_free", "metrics"]
)
def test_examples_in_docstrings_run(module: str) -> None:
    result = doctest.testmod(import_module(f"tag2mask.evaluation.{module}"))
    assert result.attempted
    assert not result.failed
