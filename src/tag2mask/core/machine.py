"""What this machine has."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of glibc's malloc.h
_LARGE_BLOCK = 4 << 20
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def usable_cores(processes: int = 1) -> int:
    """Processor cores this process may use.

    Args:
        processes: that share the cores of this machine; where torchrun started them, it says so itself
            (`LOCAL_WORLD_SIZE`).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    started = os.environ.get("LOCAL_WORLD_SIZE", "1")
    together = max(processes, int(started) if started.isdigit() else 1)
    return max(1, cores // together)


def usable_memory() -> int:
    """Bytes of memory this process may use: the machine's, or less in a container (cgroups 1 and 2)."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on this system
        total = 8 << 30
    for name in _LIMITS:
        try:
            text = Path(name).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
        if text.isdigit():
            total = min(total, int(text))
    return total


def give_way(niceness: int) -> None:
    """Lower the priority of this thread, where the system has one for each thread (Linux)."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)


def return_freed_memory() -> None:
    """Let the C library (glibc) give large freed blocks back to the system at once, from now on.

    By default it raises the size that counts as large up to 32 MB as it sees such blocks, and keeps what is smaller for
    later: after a few images of 50 megapixels 250 MB that nothing uses.
    """
    with suppress(OSError, AttributeError):  # another C library: it has its own ways
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE_BLOCK)


def share_cores() -> None:
    """Let OpenMP's threads sleep while they wait, for this process and those it starts.

    By default they spin, which takes the cores from any other program that computes: two commands at once
    slow each other down by more than half. To be called before torch is imported, which reads the variable then;
    a value that the user has set stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
