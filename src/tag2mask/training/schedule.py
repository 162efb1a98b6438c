"""How long to train, and what learns how fast."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from tag2mask.config.schema import Config
from tag2mask.training.probe import is_probed


def choose_epochs(config: Config, images: int) -> int:
    """Epochs as configured, or as many as show about `training.samples` images, 4 to 100."""
    training = config.training
    return training.epochs or min(100, max(4, math.ceil(training.samples / max(1, images))))


def warmup_epochs(config: Config, epochs: int) -> int:
    """Epochs with the tag loss alone; none where ground truth trains the fully supervised upper bound.

    What makes the pseudo masks gets one epoch at least if it starts from random weights, and so does the joint phase.
    """
    if config.training.supervision == "masks":
        return 0
    wanted = round(config.training.warmup * epochs)
    untaught = not is_probed(config) or bool(config.model.contrast_stages)
    least = 1 if config.training.warmup and untaught else 0
    return min(max(wanted, least), epochs - 1)


def refreshes(epoch: int, joint_epochs: int, every: int) -> bool:
    """Whether pseudo masks are made before this epoch of the joint phase (0 is its first): not just before the end."""
    return epoch % every == 0 and (epoch == 0 or 2 * (joint_epochs - epoch) >= every)


def parameter_groups(network: nn.Module, config: Config) -> list[dict[str, Any]]:
    """Heads learn faster than the backbone and a probed classifier; one-dimensional parameters are not decayed."""
    training = config.training
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        of_backbone = name.startswith(("backbone.", "own_backbone."))
        slow = of_backbone or (is_probed(config) and name.startswith("recognition.classifier."))
        rate = training.learning_rate * (1.0 if slow else training.head_factor)
        decay = training.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": group, "lr": rate, "weight_decay": decay} for (rate, decay), group in groups.items()]
