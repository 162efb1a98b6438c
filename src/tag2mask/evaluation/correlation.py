"""How two rankings of the same things agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr


def rank_correlation(
    first: Sequence[float] | NDArray[np.float64], second: Sequence[float] | NDArray[np.float64]
) -> float:
    """Spearman's rank correlation, ties at their mean rank.

    Args:
        first: N values.
        second: N values of the same things, in the same order.

    Returns:
        In [-1, 1]; NaN where one side does not vary.

    >>> round(rank_correlation([1, 2, 3, 4], [10, 30, 20, 40]), 2)
    0.8
    """
    if np.ptp(first) == 0 or np.ptp(second) == 0:  # SciPy gives NaN too, but warns
        return float("nan")
    return float(spearmanr(first, second).statistic)
