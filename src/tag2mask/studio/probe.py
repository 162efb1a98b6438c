"""The probe behind suggested tags: a linear classifier of each class on pretrained features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import Tag
from tag2mask.data.tag_table import States

Probabilities = NDArray[np.float32]
"""(N, C) in [0, 1] that a class is present; NaN where that cannot be said."""


def probe(features: NDArray[np.float32], states: States) -> Probabilities:
    """Probabilities (N, C) of every class in every image, from a probe fitted to the known tags.

    Most people name what is there: in images where nothing is marked absent, classes that are not marked count as
    absent. So does a class that is nowhere absent in the tagged images that do not say. A class that is nowhere present
    cannot be judged, and one that is present everywhere neither: NaN.

    Args:
        features: (N, D).
        states: (N, C) of `Tag` values.
    """
    import torch

    from tag2mask.training.probe import fit_classifier

    tagged = np.flatnonzero((states != Tag.UNKNOWN).any(axis=1))
    known = states[tagged].copy()
    is_named = (known == Tag.PRESENT).any(axis=1) & ~(known == Tag.ABSENT).any(axis=1)
    known[is_named] = np.where(known[is_named] == Tag.UNKNOWN, Tag.ABSENT, known[is_named])
    silent = ~(known == Tag.ABSENT).any(axis=0)
    known[:, silent] = np.where(known[:, silent] == Tag.UNKNOWN, Tag.ABSENT, known[:, silent])
    judged = (known == Tag.PRESENT).any(axis=0) & (known == Tag.ABSENT).any(axis=0)
    found = np.full(states.shape, np.nan, np.float32)
    if judged.any():
        # Of one length, so that contrast and brightness count less: a tenth fewer wrong tags.
        inputs = torch.nn.functional.normalize(torch.from_numpy(features), dim=1) * features.shape[1] ** 0.5
        weight, bias = fit_classifier(inputs[torch.from_numpy(tagged)], torch.from_numpy(known[:, judged]))
        found[:, judged] = torch.sigmoid(inputs @ weight.T + bias).numpy()
    return found
