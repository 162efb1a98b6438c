from __future__ import annotations

import numpy as np
import pytest

from tag2mask.evaluation.correlation import rank_correlation


def test_rank_correlation() -> None:
    assert rank_correlation([1, 2, 3], [10, 20, 30]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 2, 4], [1, 3, 2, 4]) == pytest.approx(0.9486833)
    assert np.isnan(rank_correlation([1, 1], [1, 2]))
