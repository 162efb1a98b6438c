"""What a network says of one image: the only thing that the method knows of a backend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tag2mask.method.affinity import Affinity

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class NetworkOutput:
    """Output of the network on one image, float32, each map on a grid of its own.

    Attributes:
        tag_logits: (C,) of the tag classifier.
        pixel_logits: (C + 1, h, w) of the segmentation head, background first.
        cams: (C, h, w) raw class activation maps: the tag classifier's weights on the features before pooling.
            Their mean over the image plus the classifier's bias is `tag_logits`. None where the network was
            exported without.
        energies: (h_i, w_i) each, the features of the prior's layers, summed over channels by magnitude.
        contrast_logits: (C, h, w) class logits of the contrast head at every pixel, or None without such a head.
        contrast_prior: (h, w) in [0, 2], how much a pixel stands out from its image, or None.
        affinity: between the parts of the image, from the attention of a vision transformer, or None without one.
        share_logits: (C, h, w) which class a pixel of foreground shows, a softmax over all classes makes it
            probabilities; or None where the class maps alone say so.
    """

    tag_logits: Array
    pixel_logits: Array
    cams: Array | None = None
    energies: tuple[Array, ...] = ()
    contrast_logits: Array | None = None
    contrast_prior: Array | None = None
    affinity: Affinity | None = None
    share_logits: Array | None = None

    @property
    def has_class_maps(self) -> bool:
        """Whether class maps and foreground prior can be made from it."""
        return self.contrast_prior is not None or (self.cams is not None and bool(self.energies))

    @property
    def tag_bias(self) -> Array:
        """(C,) bias of the tag classifier, from the logits and the maps that they are the mean of."""
        if self.cams is None:
            raise ValueError("this output holds no class activation maps")
        bias: Array = self.tag_logits - self.cams.mean(axis=(1, 2))
        return bias

    def flipped(self) -> NetworkOutput:
        """The output mirrored left to right: that of a horizontally flipped image, back on the image's own pixels."""
        return NetworkOutput(
            self.tag_logits,
            self.pixel_logits[..., ::-1],
            None if self.cams is None else self.cams[..., ::-1],
            tuple(energy[..., ::-1] for energy in self.energies),
            None if self.contrast_logits is None else self.contrast_logits[..., ::-1],
            None if self.contrast_prior is None else self.contrast_prior[..., ::-1],
            None if self.affinity is None else self.affinity.flipped(),
            None if self.share_logits is None else self.share_logits[..., ::-1],
        )
