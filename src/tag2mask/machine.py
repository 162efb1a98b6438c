"""What this machine has."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Processor cores this process may use: its share, where several train together on this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    together = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return max(1, cores // max(1, int(together) if together.isdigit() else 1))
