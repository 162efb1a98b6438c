"""The foreground prior: what a recognition network attends to, whatever the class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tag2mask.method.class_maps import min_max
from tag2mask.method.output import Array
from tag2mask.method.resize import resize_maps


def foreground_prior(energies: Sequence[Array], size: tuple[int, int]) -> Array:
    """Combine the energy of mid- and high-level features (Redondo-Cabrera et al., IEEE TIP 2019).

    The energy of a layer is the sum of its activations over channels; those of networks without ReLU count by
    magnitude. Each is resized to one grid and scaled to [0, 1] by its minimum and maximum; their sum is scaled again.

    Args:
        energies: (h_i, w_i) of each layer.
        size: (H, W) of the result.

    Returns:
        (H, W) in [0, 1].
    """
    return min_max(np.sum([min_max(resize_maps(energy[None], size)[0]) for energy in energies], axis=0))
