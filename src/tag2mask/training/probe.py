"""A linear probe of the pretrained network: where the tag classifier starts from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tag2mask.config.schema import Config
from tag2mask.data import Dataset
from tag2mask.images.decode import scaled_size
from tag2mask.models import TagSegmenter
from tag2mask.models.precision import autocast
from tag2mask.training.losses import tag_loss
from tag2mask.training.transforms import network_input, resize, to_tensor

_MULTIPLE = 32
_IMAGES = 4000  # a linear classifier learns little from more
_DECAY = 1e-2


def is_probed(config: Config) -> bool:
    """Whether the tag classifier starts from a probe: `training.probe`, where there is something to probe."""
    return config.training.probe and not config.paper.cam_channels and config.model.weights != "none"


@torch.no_grad()
def start_classifier(
    network: TagSegmenter,
    collection: Dataset,
    config: Config,
    read: Callable[[Path], NDArray[np.uint8]],
    *,
    device: torch.device,
) -> None:
    """Set the tag classifier to a logistic regression on the averaged last features, fitted to the tags.

    Fine-tuning from a fitted head bends the pretrained features less than from a random one, and
    generalises better (Kumar et al., ICLR 2022, arXiv:2202.10054).

    Args:
        network: pretrained; its classifier is changed in place.
        collection: whose images (evenly spaced ones, at most 4,000) and tags are fitted.
        config: the configuration.
        read: from a path to an image (H, W, 3) uint8.
        device: where to compute.
    """
    count = len(collection.records)
    chosen = np.unique(np.linspace(0, count - 1, min(count, _IMAGES)).round().astype(int)).tolist()
    was_training = network.training
    before = next(network.parameters()).device
    network.to(device).eval()
    features = _features(network, [collection.records[index].path for index in chosen], config, read, device)
    network.to(before).train(was_training)
    weight, bias = fit_classifier(features, torch.from_numpy(collection.tags()[chosen]))
    network.recognition.classifier.weight.copy_(weight)
    network.recognition.classifier.bias.copy_(bias)


def _features(
    network: TagSegmenter,
    paths: Sequence[Path],
    config: Config,
    read: Callable[[Path], NDArray[np.uint8]],
    device: torch.device,
) -> Tensor:
    """Averaged last features (N, D) of whole images and, averaged with them, of their mirror images."""
    found = []
    for image in map(read, paths):
        pixels = to_tensor(image).as_subclass(Tensor).to(device)
        size = scaled_size((image.shape[0], image.shape[1]), config.data.image_size, multiple=_MULTIPLE)
        batch = network_input(resize(pixels, size)[None], network.backbone.preprocessing, flip=True)
        with autocast(config.training.precision, device):
            last = network.backbone(batch)[-1]
        found.append(last.float().mean(dim=(0, 2, 3)).cpu())
    return torch.stack(found)


def fit_classifier(features: Tensor, tags: Tensor, *, decay: float = _DECAY) -> tuple[Tensor, Tensor]:
    """Logistic regression of each class on standardised features, by L-BFGS.

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
