"""Which numeric precision a device trains and predicts fastest in without harm."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


def resolve_precision(wanted: str, device: torch.device) -> Precision:
    """Turn 'auto' into mixed precision where `device` has fast instructions for it.

    bfloat16 on GPUs and CPUs (AMX, AVX-512 BF16) that multiply it natively, float16 on older GPUs, else float32.
    """
    if wanted in ("32-true", "bf16-mixed", "16-mixed"):
        return wanted  # type: ignore[return-value]
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    return "bf16-mixed" if device.type == "cpu" and _processor_has_bfloat16() else "32-true"


def autocast(wanted: str, device: torch.device) -> AbstractContextManager[object]:
    """The context to run a network in outside of training, in the precision that `resolve_precision` chooses."""
    precision = resolve_precision(wanted, device)
    dtype = torch.float16 if precision == "16-mixed" else torch.bfloat16
    return torch.autocast(device.type, dtype=dtype, enabled=precision != "32-true")


def _processor_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 in instructions of its own."""
    try:
        capabilities = torch.cpu.get_capabilities()
    except AttributeError:  # torch before 2.10
        return bool(torch.cpu._is_amx_tile_supported())
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
