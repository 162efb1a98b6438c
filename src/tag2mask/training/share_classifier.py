"""Fits the classifier that shares the foreground of an image among classes, on kept features and the tags.

Class activation maps are made class by class: two classes that lie against each other, or one that nearly every image
has, are not told apart by them. Here all classes compete at each pixel (softmax), and tags of whole images say where
the competition went wrong: pixels of an image that go to an absent class, and a present class that gets none. This is
multiple-instance learning, as Pathak et al. (arXiv:1412.7144) use it for segmentation, on features that stay.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tag2mask.config.schema import Config
from tag2mask.core.constants import Tag
from tag2mask.inference.backends.torch import to_outputs
from tag2mask.method.class_scores import class_scores
from tag2mask.models.frozen import FrozenSegmenter
from tag2mask.training.feature_files import FeatureStore

_STEPS = 300
_BATCH = 16
_LEARNING_RATE = 1e-3
_START = 0.3
"""Of the tag classifier's weights, from which it starts: as they are, they leave it too sure to learn."""

_SEEN = 0.05
"""Share of an image's pixels that a present class is asked of: those that show it best."""

_LEAST = 1e-3


def fit_share_classifier(
    network: FrozenSegmenter, store: FeatureStore, tags: NDArray[np.int8], config: Config
) -> float:
    """Fit `network.recognition.shares` to the tags (N, C), `Tag` values, of all images of `store`.

    The tag classifier must have been fitted: it says where foreground is, and the fit starts from it.

    Returns:
        Mean loss of the last tenth of the steps; 0 where no image has a present class.
    """
    layer = network.recognition.shares
    assert layer is not None
    device = layer.weight.device
    size = float(torch.stack([store.maps(index).std() for index in range(min(len(tags), _BATCH))]).mean())
    with torch.no_grad():  # of features divided by `size`, so that one learning rate fits all backbones
        weight = (_START * size * network.recognition.classifier.weight).clone().requires_grad_()
        bias = (_START * network.recognition.classifier.bias).clone().requires_grad_()
    optimiser = torch.optim.AdamW([weight, bias], lr=_LEARNING_RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LEARNING_RATE, total_steps=_STEPS)
    known = torch.from_numpy(tags).to(device)
    tagged = torch.from_numpy(np.flatnonzero((tags == Tag.PRESENT).any(axis=1)))
    if not len(tagged):
        return 0.0
    generator = torch.Generator().manual_seed(config.training.seed)
    foreground: dict[int, Tensor] = {}
    losses: list[float] = []
    for _ in range(_STEPS):
        chosen = tagged[torch.randint(len(tagged), (_BATCH,), generator=generator)].tolist()
        parts = []
        for index in chosen:
            if index not in foreground:
                foreground[index] = _foreground(network, store, index, tags[index], config)
            logits = (weight / size) @ store.maps(index).to(device).flatten(1) + bias[:, None]
            parts.append(_loss(logits, foreground[index].to(device), known[index]))
        loss = torch.stack(parts).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    with torch.no_grad():
        layer.weight.copy_(weight / size)
        layer.bias.copy_(bias)
    return float(np.mean(losses[-_STEPS // 10 :]))


def _loss(logits: Tensor, foreground: Tensor, tags: Tensor) -> Tensor:
    """Loss of one image.

        - mean over present c of log(mean over the pixels that show it best of f(x) p_c(x))
        - sum over absent c of log(1 - sum_x f(x) p_c(x) / sum_x f(x))

    Args:
        logits: (C, N) at its pixels; p is their softmax over the classes.
        foreground: (N,) f, the probability that a pixel is foreground.
        tags: (C,) `Tag` values.
    """
    weighted = F.softmax(logits, dim=0) * foreground
    shares = weighted.sum(dim=1) / foreground.sum().clamp_min(_LEAST)
    count = max(1, int(_SEEN * weighted.shape[1]))
    best = weighted[tags == Tag.PRESENT].topk(count, dim=1).values.mean(dim=1)
    absent = shares[tags == Tag.ABSENT]
    loss: Tensor = -torch.log(best + _LEAST / 10).mean() - torch.log(1 - absent + _LEAST).sum()
    return loss


def _foreground(
    network: FrozenSegmenter, store: FeatureStore, index: int, tags: NDArray[np.int8], config: Config
) -> Tensor:
    """Probability (N,) that each pixel of the grid is foreground, by the evidence as first masks have it."""
    features = store.features(index, next(network.parameters()).device)
    with torch.no_grad():
        recognition = network.recognition(features)
        [output] = to_outputs(recognition, recognition.cams, config.masks.prior_layers)
    present = np.flatnonzero(tags == Tag.PRESENT)
    grid = features.maps.shape[-2:]
    scores = class_scores(output, present, (grid[0], grid[1]), config.masks, config.paper).scores
    return torch.from_numpy(1 - scores[0]).flatten()
