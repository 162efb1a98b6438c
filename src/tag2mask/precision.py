"""Which numeric precision a device trains and predicts fastest in without harm."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


def resolve_precision(wanted: str, device: torch.device) -> Precision:
    """Turn 'auto' into mixed precision where `device` has fast instructions for it.

    bfloat16 on GPUs and CPUs (AMX) that multiply it natively, float16 on older GPUs, else float32.
    """
    if wanted in ("32-true", "bf16-mixed", "16-mixed"):
        return wanted  # type: ignore[return-value]
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    if device.type == "cpu" and torch.cpu._is_amx_tile_supported():
        return "bf16-mixed"
    return "32-true"


def autocast_dtype(precision: Precision) -> torch.dtype | None:
    """Data type for `torch.autocast`; None for full precision."""
    return {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}[precision]
