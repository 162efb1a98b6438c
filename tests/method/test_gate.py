"""The gate in NumPy against that on torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tag2mask.method.gate import gated_softmax
from tag2mask.method.torch_generate import gated_probs


@pytest.mark.parametrize("reassign", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("allowed", [[0, 2], [1], [0, 1, 2, 3], []])
def test_numpy_and_torch_agree(allowed: list[int], reassign: float) -> None:
    logits = torch.randn(1, 5, 6, 7, generator=torch.Generator().manual_seed(4)) * 3
    which = torch.zeros(1, 4, dtype=torch.bool)
    which[0, allowed] = True
    expected = gated_probs(logits, which, (6, 7), reassign=reassign)[0].numpy()
    channels = np.array([0, *(k + 1 for k in allowed)])
    np.testing.assert_allclose(gated_softmax(logits[0].numpy(), channels, reassign), expected[channels], atol=1e-6)
    assert not np.delete(expected, channels, axis=0).any()


def test_large_logits() -> None:
    probs = gated_softmax(np.array([[[1000.0]], [[1000.0]]], dtype=np.float32), np.array([0, 1]), 1.0)
    np.testing.assert_allclose(probs, 0.5)
