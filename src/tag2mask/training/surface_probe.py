"""Fits the classifier of what stands out from a surface to the tags, on kept features."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tag2mask.models.surface import Differences, SurfaceContrast
from tag2mask.training.feature_files import FeatureStore
from tag2mask.training.losses import tag_loss

_STEPS = 100
"""Few: a classifier that is fitted longer recognises a class by the part of it that is easiest to recognise, and its
class maps shrink to that part."""

_BATCH = 16
_LEARNING_RATE = 1e-3


def fit_surface_classifier(head: SurfaceContrast, store: FeatureStore, tags: NDArray[np.int8], *, seed: int) -> float:
    """Fit the classifier of `head` to the tags (N, C), `Tag` values, of all images of `store`.

    Returns:
        Mean loss of the last tenth of the steps.
    """
    device = next(head.classifier.parameters()).device
    known = torch.from_numpy(tags)
    generator = torch.Generator().manual_seed(seed)
    for layer in head.classifier:
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=generator)
            assert layer.bias is not None
            torch.nn.init.zeros_(layer.bias)
    optimiser = torch.optim.AdamW(head.classifier.parameters(), lr=_LEARNING_RATE, weight_decay=1e-4)
    order: list[int] = []
    losses: list[float] = []
    for _ in range(_STEPS):
        while len(order) < _BATCH:
            order += torch.randperm(len(tags), generator=generator).tolist()
        batch, order = order[:_BATCH], order[_BATCH:]
        logits = torch.cat([_tag_logits(head, store, index, device) for index in batch])
        loss = tag_loss(logits, known[batch].to(device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return float(np.mean(losses[-_STEPS // 10 :]))


def _tag_logits(head: SurfaceContrast, store: FeatureStore, index: int, device: torch.device) -> Tensor:
    maps = store.differences(index)
    assert maps is not None
    differences = Differences(maps[None].to(device), store.contrast_prior(index)[None].to(device))
    logits: Tensor = head(differences).tag_logits
    return logits
