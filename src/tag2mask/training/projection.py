"""Principal components of the joined features of several stages and backbones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Moments:
    """Mean and covariance of samples that come in parts, so that no more than one part is in memory.

    Products are taken in single precision around the mean of the first part, and added up in double precision.
    """

    def __init__(self) -> None:
        self.count = 0
        self._shift = self._sum = self._products = torch.zeros(0)

    def add(self, samples: Tensor) -> None:
        """Count further samples (M, C)."""
        samples = samples.float()
        if not self.count:
            self._shift = samples.mean(dim=0)
            self._sum = torch.zeros(samples.shape[1], dtype=torch.float64)
            self._products = torch.zeros(samples.shape[1], samples.shape[1], dtype=torch.float64)
        centred = samples - self._shift
        self._sum += centred.sum(dim=0, dtype=torch.float64)
        self._products += centred.T @ centred
        self.count += len(samples)

    def mean(self) -> Tensor:
        """Mean (C,), float64."""
        return self._shift.double() + self._sum / self.count

    def covariance(self) -> Tensor:
        """Covariance (C, C), float64."""
        offset = self._sum / self.count
        return self._products / self.count - torch.outer(offset, offset)


class Projection(NamedTuple):
    """A projection of features as they are.

    Attributes:
        weight: (D, C).
        bias: (D,).
        share: of the variance that is kept, in [0, 1].
    """

    weight: Tensor
    bias: Tensor
    share: float


def fit_projection(moments: Moments, groups: Sequence[int], channels: int, *, unit: bool = False) -> Projection:
    """Fit a projection to the directions of most variance.

    Each group of channels (a stage of a backbone) is centred and divided by the root of its channels' mean variance
    first, so that no stage counts more because its numbers are larger.

    Args:
        moments: of features (sum of groups,) of some pixels.
        groups: channels of each stage.
        channels: D, of the result.
        unit: scale the result to a root mean square of 1 over all samples and channels.
    """
    mean, covariance = moments.mean(), moments.covariance()
    scales = [one.mean().clamp_min(0).sqrt().clamp_min(1e-6) for one in covariance.diagonal().split(list(groups))]
    scale = torch.cat([one.expand(count) for one, count in zip(scales, groups, strict=True)])
    values, vectors = torch.linalg.eigh(covariance / torch.outer(scale, scale))
    chosen = vectors[:, -channels:].flip(1).T
    # Signs of eigenvectors are arbitrary; fixed ones make two fits alike.
    signs = torch.gather(chosen, 1, chosen.abs().argmax(dim=1, keepdim=True)).sign()
    weight = chosen * signs / scale
    if unit:  # the variance along a component is its eigenvalue
        weight = weight / values[-channels:].mean().clamp_min(0).sqrt().clamp_min(1e-6)
    share = float(values[-channels:].sum() / values.sum().clamp_min(1e-12))
    return Projection(weight.float(), (-weight @ mean).float(), share)
