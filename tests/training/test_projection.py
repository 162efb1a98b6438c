"""Principal components against NumPy's singular value decomposition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tag2mask.training.projection import Moments, fit_projection


@pytest.mark.parametrize("unit", [False, True])
def test_components_of_parts_are_those_of_the_whole(unit: bool) -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(9, 9)) * np.array([5, 4, 3, 2, 1, 1, 20, 10, 5])
    samples = (rng.normal(size=(600, 9)) @ mixing + 100).astype(np.float32)
    moments = Moments()
    for part in np.split(samples, [7, 150, 151, 480]):
        moments.add(torch.from_numpy(part))
    weight, bias, share = fit_projection(moments, [6, 3], 4, unit=unit)
    found = samples @ weight.numpy().T + bias.numpy()

    centred = samples.astype(np.float64) - samples.mean(axis=0, dtype=np.float64)
    for group in (slice(0, 6), slice(6, 9)):
        centred[:, group] /= np.sqrt(centred[:, group].var())
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    expected = (left * values)[:, :4]
    if unit:
        expected = expected / np.sqrt((expected**2).mean())
    signs = np.sign((found * expected).sum(axis=0))
    assert found == pytest.approx(expected * signs, abs=2e-3 * np.abs(expected).max())
    assert share == pytest.approx((values[:4] ** 2).sum() / (values**2).sum(), abs=1e-4)


def test_constant_features_do_no_harm() -> None:
    moments = Moments()
    moments.add(torch.full((20, 4), 3.0))
    weight, bias, _ = fit_projection(moments, [4], 2, unit=True)
    assert torch.isfinite(weight).all() and torch.isfinite(bias).all()
