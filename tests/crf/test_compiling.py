"""First use, later uses, and an installation that cannot be written to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba.core.caching
import pytest

import tag2mask
from tag2mask.crf import compiling

PROGRAM = """
import time
import numpy as np
from tag2mask.crf import dense_crf
start = time.perf_counter()
image = np.zeros((8, 9, 3), np.uint8)
dense_crf(image, np.full((2, 8, 9), 0.5, np.float32), iterations=1)
print(time.perf_counter() - start)
"""


def first_call(cache: Path) -> tuple[float, str]:
    """Seconds of the first call in a fresh process, and what it said."""
    source = Path(tag2mask.__file__).parents[1]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(source)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout), done.stderr


@pytest.mark.slow
def test_compiled_once_and_announced(tmp_path: Path) -> None:
    seconds, said = first_call(tmp_path)
    assert said.count("compiling the dense CRF") == 1
    assert "happens once" in said
    assert seconds < 90, "30 s on an idle machine"
    later, said = first_call(tmp_path)
    assert said == ""
    assert later < seconds / 3


def double(x: float) -> float:
    return 2 * x


def refuse(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(("holder", "method"), [("_CacheLocator", "ensure_cache_path"), ("IndexDataCacheFile", "save")])
def test_works_without_a_folder_to_write_to(
    holder: str, method: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A read-only installation, and a disk that is full once there is something to keep."""
    monkeypatch.setattr(getattr(numba.core.caching, holder), method, refuse)
    monkeypatch.setattr(compiling._State, "cache_failed", False)
    for _ in range(2):
        assert compiling.kernel(double)(3.0) == 6.0
    assert caplog.text.count("cannot keep its compiled code") == 1
    assert "NUMBA_CACHE_DIR" in caplog.text
