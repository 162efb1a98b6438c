"""Class maps: where in an image each class is, in [0, 1].

`class_maps` scales class activation maps (Zhou et al., CVPR 2016, arXiv:1512.04150) as Redondo-Cabrera et al. do
(IEEE TIP 2019, doi 10.1109/TIP.2019.2901393). `contrast_maps` is for images without objects before a background.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from tag2mask.method.output import Array
from tag2mask.method.resize import resize_maps
from tag2mask.method.scaling import EPSILON, min_max

__all__ = ["EPSILON", "class_maps", "contrast_maps", "min_max"]


def class_maps(cams: Array, size: tuple[int, int], *, scaling: Literal["min_max", "positive"] = "positive") -> Array:
    """Scale class activation maps to [0, 1].

    Args:
        cams: (K, h, w) raw class activation maps of the K present classes.
        size: (H, W) of the result.
        scaling: 'positive': negative evidence is 0, the maximum of each map 1; 'min_max': each map by its own
            minimum and maximum, as the paper.

    Returns:
        (K, H, W) in [0, 1].
    """
    maps = resize_maps(cams, size)
    if scaling == "min_max":
        return min_max(maps)
    maps = np.maximum(maps, 0)
    scaled: Array = maps / np.maximum(maps.max(axis=(1, 2), keepdims=True), EPSILON)
    return scaled


def contrast_maps(logits: Array, prior: Array, size: tuple[int, int]) -> Array:
    """Class maps of what stands out: the geometric mean of prior and class evidence.

        map_c(x) = sqrt(prior(x) * max(0, logits_c(x) - median over the image of logits_c))

    The maps of an image keep their ratios among themselves and have 1 as their common maximum.

    Args:
        logits: (K, h, w) class logits of every pixel, of the K present classes.
        prior: (h, w), at least 0: how much a pixel stands out from its image.
        size: (H, W) of the result.

    Returns:
        (K, H, W) in [0, 1].
    """
    flat = logits.reshape(len(logits), prior.size)
    middle = (flat.shape[1] - 1) // 2  # of an even number of pixels the lower of the two middle values
    excess = logits - np.partition(flat, middle, axis=1)[:, middle, None, None]
    maps = resize_maps(np.sqrt(np.maximum(excess, 0) * prior), size)
    scaled: Array = maps / np.maximum(maps.max(initial=0), EPSILON)
    return scaled
