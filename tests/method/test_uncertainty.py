"""Uncertainty of masks, from the probabilities alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tag2mask.config.schema import Config
from tag2mask.method.evidence import combine
from tag2mask.method.output import NetworkOutput
from tag2mask.method.uncertainty import Uncertainty, expected_error, undecided


def field(*probs: float) -> NDArray[np.float32]:
    return np.tile(np.array(probs, np.float32)[:, None, None], (1, 4, 4))


def test_what_is_certain_is_decided() -> None:
    assert undecided(field(0, 1, 0)) == 0
    assert undecided(field(1, 0, 0)) == 0


def test_the_less_certain_the_less_decided() -> None:
    values = [undecided(field(1 - p, p)) for p in (0.95, 0.8, 0.6)]
    assert values == sorted(values)
    assert values[0] > 0
    assert values[2] == pytest.approx(0.4 / 1.01)


def test_expected_errors() -> None:
    half = np.concatenate([field(0.9, 0.1), field(0.4, 0.6)], axis=2)
    assert expected_error(half) == pytest.approx(0.25)
    assert Uncertainty(pixels=0.2).total > Uncertainty(heads=0.2, views=0.2).total


@pytest.mark.parametrize("untrained", [0.0, 5.0])
def test_a_segmentation_head_without_share_has_no_say(untrained: float) -> None:
    """First masks come before it is trained: its noise says nothing of them."""
    rng = np.random.default_rng(0)
    output = NetworkOutput(
        np.array([2.0, -2.0], np.float32),
        (untrained * rng.standard_normal((3, 8, 8))).astype(np.float32),
        rng.standard_normal((2, 8, 8)).astype(np.float32),
        (np.abs(rng.standard_normal((8, 8))).astype(np.float32),),
    )
    config = Config().override({"prediction.prior_weight": 1.0})
    present = np.array([True, False])
    found = combine([output], (64, 64), config, config.prediction, present=present, unknown=np.zeros(2, bool))
    assert found.scores is not None
    plain = NetworkOutput(output.tag_logits, np.zeros((3, 8, 8), np.float32), output.cams, output.energies)
    alone = combine([plain], (64, 64), config, config.prediction, present=present, unknown=np.zeros(2, bool))
    assert found.uncertainty.heads == pytest.approx(alone.uncertainty.heads)
    assert 0 < found.uncertainty.heads < 1
