"""Which parameters a stage depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from tag2mask.models.backbone import Backbone


def reached_parameters(backbone: Backbone, stage: int) -> set[int]:
    """Identities of the parameters that a stage's features depend on, from the graph of one small forward pass."""
    parameters = list(backbone.parameters())
    wanted = [parameter.requires_grad for parameter in parameters]
    was_training = backbone.training
    backbone.eval()
    for parameter in parameters:
        parameter.requires_grad_(True)
    side = max(64, 2 * backbone.input_multiple, backbone.plan.probe.smallest)
    with torch.enable_grad():
        features: Tensor = backbone(torch.zeros(1, 3, side, side, device=parameters[0].device if parameters else None))[
            stage
        ]
    for parameter, before in zip(parameters, wanted, strict=True):
        parameter.requires_grad_(before)
    backbone.train(was_training)
    return _leaves(features.grad_fn)


def _leaves(root: Any) -> set[int]:
    """Identities of the variables at the leaves of an autograd graph."""
    found: set[int] = set()
    seen: set[Any] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        waiting.extend(following for following, _ in node.next_functions)
    return found
