"""The settings of the ablations in benchmarks/ are ones that exist and have an effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from tag2mask.ablation.plan import load_ablation
from tag2mask.config.load import load_config
from tag2mask.config.schema import Config

FILES = sorted((Path(__file__).parents[2] / "benchmarks").glob("ablation*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_part_can_be_configured(path: Path) -> None:
    ablation = load_ablation(path, {"BENCH": "/bench", "NAME": "voc_animals", "WEIGHTS": "/weights"})
    full = (load_config(ablation.config) if ablation.config else Config()).override(ablation.settings)
    for name, settings in ablation.parts.items():
        assert full.override(settings) != full, name
