"""A linear probe of the pretrained network: where the tag classifier starts from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tag2mask.config.schema import Config
from tag2mask.data import Dataset
from tag2mask.images.resize import resize_image, scaled_size
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.training.losses import tag_loss

_IMAGES = 4000  # a linear classifier learns little from more
_DECAY = 1e-2


def is_probed(config: Config) -> bool:
    """Whether the tag classifier starts from a probe: `training.probe`, where there is something to probe."""
    return config.training.probe and not config.paper.cam_channels and config.model.weights != "none"


@torch.no_grad()
def start_classifier(backend: TorchBackend, dataset: Dataset, read: Callable[[Path], NDArray[np.uint8]]) -> None:
    """Set the tag classifier to a logistic regression on the averaged last features, fitted to the tags.

    Fine-tuning from a fitted head bends the pretrained features less than from a random one, and generalises better
    (Kumar et al., ICLR 2022, arXiv:2202.10054).

    Args:
        backend: a pretrained network; its classifier is changed in place.
        dataset: whose images (evenly spaced ones, at most 4,000) and tags are fitted.
        read: from a file to an image (H, W, 3) uint8.
    """
    count = len(dataset.records)
    chosen = np.unique(np.linspace(0, count - 1, min(count, _IMAGES)).round().astype(int)).tolist()
    features = torch.stack([_pooled(backend, read(dataset.records[index].path)) for index in chosen])
    weight, bias = fit_classifier(features, torch.from_numpy(dataset.tags()[chosen]))
    classifier = backend.network.recognition.classifier
    classifier.weight.copy_(weight)
    classifier.bias.copy_(bias)


def _pooled(backend: TorchBackend, image: NDArray[np.uint8]) -> Tensor:
    """Averaged last features (D,) of an image and of its horizontal flip."""
    shape = (image.shape[0], image.shape[1])
    size = scaled_size(shape, backend.config.data.image_size, multiple=backend.input_multiple)
    small = resize_image(image, size)
    return backend.pooled_features(np.stack([small, small[:, ::-1]])).mean(dim=0)


def fit_classifier(features: Tensor, tags: Tensor, *, decay: float = _DECAY) -> tuple[Tensor, Tensor]:
    """Logistic regression of each class on standardised features, by L-BFGS.

    In torch and not scikit-learn: it needs no further dependency, fits all classes at once, and its loss is the tag
    loss, which leaves unknown tags out.

    Args:
        features: (N, D).
        tags: (N, C) `Tag` values; unknown ones do not count.
        decay: weight of the squared norm of the weights, beside the mean loss.

    Returns:
        Weights (C, D) and biases (C,) for features that are not standardised.
    """
    mean, deviation = features.mean(dim=0), features.std(dim=0, correction=0).clamp_min(1e-3)
    inputs = (features - mean) / deviation
    weight = torch.zeros(tags.shape[1], features.shape[1], requires_grad=True)
    bias = torch.zeros(tags.shape[1], requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        with torch.enable_grad():
            value = tag_loss(inputs @ weight.T + bias, tags) + decay * weight.square().sum()
        value.backward()
        return value

    solver.step(loss)
    weight, bias = weight.detach() / deviation, bias.detach()
    return weight, bias - weight @ mean
