"""Several processes that train one network together: which of them this one is, and what only the first does."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed

from tag2mask.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Devices:
    """On how many devices to train.

    Attributes:
        count: devices (or, without a GPU, processes) of each machine.
        nodes: machines.
        strategy: 'auto' (one device alone, or else 'ddp') or 'ddp'.
    """

    count: int = 1
    nodes: int = 1
    strategy: str = "auto"

    def __post_init__(self) -> None:
        if self.count < 1 or self.nodes < 1:
            raise ConfigError(f"`devices` {self.count}, `nodes` {self.nodes}: expected 1 or more")
        if self.strategy == "fsdp":
            raise ConfigError(
                "`strategy` fsdp: not supported, the EMA teacher needs whole weights on every device; "
                "these networks fit on one device: use ddp"
            )
        if self.strategy not in ("auto", "ddp"):
            raise ConfigError(f"`strategy` {self.strategy}: expected auto or ddp")

    @property
    def total(self) -> int:
        """Processes in all."""
        return self.count * self.nodes

    def batch_of_each(self, batch_size: int) -> int:
        """Images that each process sees at a step.

        Raises:
            ConfigError: the batch cannot be dealt out evenly.
        """
        if batch_size % self.total:
            raise ConfigError(
                f"training.batch_size: {batch_size} images cannot be dealt out evenly to {self.total} processes; "
                f"choose a multiple of {self.total}"
            )
        return batch_size // self.total

    def trainer_options(self, device: torch.device) -> dict[str, Any]:
        """Arguments of Lightning's Trainer."""
        if self.total == 1:
            return {"devices": [device.index or 0] if device.type == "cuda" else 1}
        return {
            "devices": self.count,
            "num_nodes": self.nodes,
            # During warm-up the segmentation stream takes no part.
            "strategy": "ddp_find_unused_parameters_true",
            "sync_batchnorm": device.type == "cuda",
        }


def rank_here() -> int:
    """Number of this process among those that a launcher has started, 0 for a single one."""
    value = os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or "0"
    return int(value) if value.isdigit() else 0


def any_process(value: bool) -> bool:
    """Whether it is true in any process; all get the same answer."""
    if not distributed.is_initialized():
        return value
    answer = torch.tensor(int(value))
    if distributed.get_backend() == "nccl":
        answer = answer.cuda()
    distributed.all_reduce(answer, op=distributed.ReduceOp.MAX)
    return bool(answer.item())
