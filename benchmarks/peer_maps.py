"""The class maps of `grad-cam` and `torchcam`, and pydensecrf, for `bench_peers.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tag2mask.models.network import TagSegmenter

Maps = NDArray[np.float32]
"""(K, h, w) in [0, 1], one for each present class."""

Explain = Callable[[Tensor, list[int]], Maps]
"""From a normalised image (1, 3, h, w) and positions of classes to their maps."""

Make = Callable[["TagClassifier", int], Explain | None]
"""From a classifier and the side of its input to its explanation; None where a layer is missing."""


class TagClassifier(nn.Module):
    """The fitted tag classifier as these packages want it: images to logits, its last features the output of a layer.

    Attributes:
        last: layer whose output are the last features.
        head: linear layer after their mean.
        deep: gradients end at the last features, which saves the way back through the backbone.
    """

    def __init__(self, network: TagSegmenter):
        super().__init__()
        self.backbone, self.head, self.last = network.backbone, network.recognition.classifier, nn.Identity()
        self.deep = True

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, C) of normalised images (B, 3, h, w)."""
        features = self.backbone(images)[-1]
        if self.deep:
            features = features.detach().requires_grad_()
        logits: Tensor = self.head(self.last(features).mean(dim=(2, 3)))
        return logits

    def stage(self, index: int, side: int) -> nn.Module | None:
        """The layer whose output are the features of a stage; None where there is none that gives just these."""
        outputs: list[tuple[nn.Module, Any]] = []
        hooks = [
            module.register_forward_hook(lambda module, _, output: outputs.append((module, output)))
            for module in self.backbone.modules()
        ]
        with torch.no_grad():
            wanted = self.backbone(torch.zeros(1, 3, side, side))[index]
        for hook in hooks:
            hook.remove()
        return next((module for module, output in outputs if output is wanted), None)


def peers(wanted: list[str] | None) -> Iterator[tuple[str, Make]]:
    """The peers' methods by name."""
    found = [*_grad_cam(), *_torchcam()]
    # Hundreds of passes a class, or maps whose sign is left to chance (Eigen): only by name.
    left_out = ("ScoreCAM", "AblationCAM", "SSCAM", "ISCAM", "Eigen")
    for name, make in found:
        if any(part in name for part in wanted) if wanted else not any(part in name for part in left_out):
            yield name, make


def _grad_cam() -> Iterator[tuple[str, Make]]:
    try:
        import pytorch_grad_cam as package
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    except ImportError as error:
        print(f"grad-cam left out: {error}")
        return

    def make(method: str, smooth: bool, stages: tuple[int, ...]) -> Make:
        def made(model: TagClassifier, side: int) -> Explain | None:
            layers = _layers(model, stages, side)
            if layers is None:
                return None
            cam = getattr(package, method)(model=model, target_layers=layers)

            def explain(image: Tensor, positions: list[int]) -> Maps:
                targets = [ClassifierOutputTarget(position) for position in positions]
                batch = image.expand(len(positions), -1, -1, -1)
                return np.asarray(cam(input_tensor=batch, targets=targets, aug_smooth=smooth), np.float32)

            return explain

        return made

    for method in ("GradCAM", "GradCAMPlusPlus", "LayerCAM", "EigenGradCAM", "ScoreCAM", "AblationCAM"):
        yield f"grad-cam {method}", make(method, False, (-1,))
    yield "grad-cam LayerCAM, last two stages", make("LayerCAM", False, (-2, -1))
    yield "grad-cam GradCAM, aug_smooth", make("GradCAM", True, (-1,))


def _torchcam() -> Iterator[tuple[str, Make]]:
    try:
        from torchcam import methods
    except ImportError as error:
        print(f"torchcam left out: {error}")
        return

    def make(method: str, stages: tuple[int, ...]) -> Make:
        def made(model: TagClassifier, side: int) -> Explain | None:
            layers = _layers(model, stages, side)
            if layers is None:
                return None
            more = {"fc_layer": "head"} if method == "CAM" else {}
            cam = getattr(methods, method)(model, target_layer=layers, **more)

            def explain(image: Tensor, positions: list[int]) -> Maps:
                batch = image.expand(len(positions), -1, -1, -1)
                maps = cam.fuse_cams(cam(list(positions), model(batch)))
                return resized(maps.detach().numpy(), (image.shape[2], image.shape[3]))

            return explain

        return made

    for method in ("CAM", "GradCAMpp", "LayerCAM", "XGradCAM", "ScoreCAM", "SSCAM", "ISCAM"):
        yield f"torchcam {method}", make(method, (-1,))
    yield "torchcam LayerCAM, last two stages", make("LayerCAM", (-2, -1))


def _layers(model: TagClassifier, stages: tuple[int, ...], side: int) -> list[nn.Module] | None:
    """Layers of stages of the backbone, with gradients as far back as they need; None where one has none."""
    model.deep = stages == (-1,)
    model.backbone.requires_grad_(not model.deep)
    layers = [model.last if stage == -1 else model.stage(stage, side) for stage in stages]
    found = [layer for layer in layers if layer is not None]
    return found if len(found) == len(stages) else None


def with_crf(image: NDArray[np.uint8], labels: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """The labels (H, W) after pydensecrf, with the usual settings for class maps (IRNet)."""
    from pydensecrf.densecrf import DenseCRF2D
    from pydensecrf.utils import unary_from_labels

    height, width = labels.shape
    crf = DenseCRF2D(width, height, count)
    crf.setUnaryEnergy(unary_from_labels(labels, count, gt_prob=0.7, zero_unsure=False))
    crf.addPairwiseGaussian(sxy=3, compat=3)
    crf.addPairwiseBilateral(sxy=50, srgb=5, rgbim=np.ascontiguousarray(image), compat=10)
    marginals = np.array(crf.inference(10), np.float32).reshape(count, height, width)
    return np.asarray(marginals.argmax(axis=0), np.intp)


def resized(maps: Maps, size: tuple[int, int]) -> Maps:
    large = np.empty((len(maps), *size), np.float32)
    for k, one in enumerate(maps):
        large[k] = cv2.resize(one, size[::-1])
    return large
