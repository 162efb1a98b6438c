"""Principal components of the joined features of several stages and backbones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def fit_projection(samples: Tensor, groups: Sequence[int], channels: int) -> tuple[Tensor, Tensor, float]:
    """Fit a projection to the directions of most variance.

    Each group of channels (a stage of a backbone) is centred and divided by the root of its channels' mean variance
    first, so that no stage counts more because its numbers are larger.

    Args:
        samples: (M, sum of groups), features of some pixels.
        groups: channels of each stage.
        channels: D, of the result.

    Returns:
        Weights (D, sum of groups) and biases (D,) for features as they are, and the share of the variance that is kept.
    """
    mean = samples.mean(dim=0)
    centred = (samples - mean).split(list(groups), dim=1)
    scales = [one.square().mean().sqrt().clamp_min(1e-6) for one in centred]
    scale = torch.cat([one.expand(count) for one, count in zip(scales, groups, strict=True)])
    joined = (samples - mean) / scale
    covariance = joined.T @ joined / len(joined)
    values, vectors = torch.linalg.eigh(covariance.double())
    chosen = vectors[:, -channels:].flip(1).T.float()
    # Signs of eigenvectors are arbitrary; fixed ones make two fits alike.
    signs = torch.gather(chosen, 1, chosen.abs().argmax(dim=1, keepdim=True)).sign()
    weight = chosen * signs / scale
    share = float(values[-channels:].sum() / values.sum().clamp_min(1e-12))
    return weight, -weight @ mean, share
