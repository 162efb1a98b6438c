"""Kernels are compiled once, loaded from the cache afterwards, and work where no cache can be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numba.core.caching
import pytest

import tag2mask
from tag2mask.crf import compiling

PROGRAM = """
import json
import numpy as np
from tag2mask.crf import dense_crf, layout, update
image = np.zeros((8, 9, 3), np.uint8)
dense_crf(image, np.full((2, 8, 9), 0.5, np.float32), iterations=1)
stats = [kernel.stats for kernel in (layout.inspect, layout.pack, update.sweep, update.blur, layout.unpack)]
print(json.dumps([[sum(s.cache_hits.values()), sum(s.cache_misses.values())] for s in stats]))
"""


def first_call(cache: Path) -> tuple[list[tuple[int, int]], str]:
    """Hits and misses of Numba's cache for some kernels called in a new process, and its log messages."""
    source = Path(tag2mask.__file__).parents[1]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(source)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    return [(hits, misses) for hits, misses in json.loads(done.stdout)], done.stderr


def files_of(folder: Path) -> dict[Path, int]:
    """Files below a folder and the times they were written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_second_process_loads_from_the_cache(tmp_path: Path) -> None:
    statistics, log = first_call(tmp_path)
    assert log.count("compiling the dense CRF") == 1
    assert "happens once" in log
    assert all(hits == 0 and misses > 0 for hits, misses in statistics), statistics
    written = files_of(tmp_path)
    assert written
    statistics, log = first_call(tmp_path)
    assert log == ""
    assert all(hits > 0 and misses == 0 for hits, misses in statistics), statistics
    assert files_of(tmp_path) == written


def double(x: float) -> float:
    return 2 * x


def refuse(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(("holder", "method"), [("_CacheLocator", "ensure_cache_path"), ("IndexDataCacheFile", "save")])
def test_works_without_a_writable_cache(
    holder: str, method: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A read-only installation, and a disk that is full when compiled code is to be saved."""
    monkeypatch.setattr(getattr(numba.core.caching, holder), method, refuse)
    monkeypatch.setattr(compiling._State, "cache_failed", False)
    for _ in range(2):
        assert compiling.kernel(double)(3.0) == 6.0
    assert caplog.text.count("the compiled dense CRF cannot be saved") == 1
    assert "NUMBA_CACHE_DIR" in caplog.text
