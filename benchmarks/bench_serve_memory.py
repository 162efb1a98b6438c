"""What one request adds to the memory of a server, and how long it takes, by the size of the image.

    python benchmarks/bench_serve_memory.py MODEL [--bound 2GiB]

MODEL is a file of `tag2mask export-model` or the folder of a run, which is exported first. For each size a server of
its own, without a bound and with `--max-memory`: peak resident memory of the process after its start and after three
requests one after the other, and seconds of the slowest. The images are mosaics of images of the animals' validation
split (`bench_tiles`). The last rows send eight of the largest at once: what is answered, and with which peak.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from bench_serve import _as_onnx, _await, _free_port, post
from bench_tiles import IMAGES, mosaic

SIZES = ((375, 500), (1000, 1500), (2880, 4320))
"""Height and width of 0.2, 1.5 and 12.4 megapixels; 12.5 are taken at most by default."""

_REPEATS = 3
_AT_ONCE = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--bound", default="2GiB")
    args = parser.parse_args()
    if not IMAGES.is_dir():
        raise SystemExit(f"skipped: {IMAGES} is not here")
    print(f"{'megapixels':>10} {'bound':>7} {'start, MiB':>11} {'peak, MiB':>10} {'slowest, s':>11}  answers")
    with tempfile.TemporaryDirectory() as folder:
        model = _as_onnx(args.model, Path(folder))
        for size in SIZES:
            content = _jpeg(size)
            for bound in (None, args.bound):
                _row(model, size, content, bound, at_once=1)
        for bound in (None, args.bound):
            _row(model, SIZES[-1], _jpeg(SIZES[-1]), bound, at_once=_AT_ONCE)


def _row(model: Path, size: tuple[int, int], content: bytes, bound: str | None, *, at_once: int) -> None:
    port = _free_port()
    limit = [] if bound is None else ["--max-memory", bound]
    command = [sys.executable, "-m", "tag2mask", "serve", str(model), "--port", str(port), *limit]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        _await(port)
        start = _peak(server.pid)
        with ThreadPoolExecutor(at_once) as pool:
            answers = list(pool.map(lambda _: _timed(port, content), range(_REPEATS if at_once == 1 else at_once)))
        peak = _peak(server.pid)
    finally:
        server.terminate()
        server.wait(60)
    count = Counter(status for status, _ in answers)
    said = ", ".join(f"{number} x {status}" for status, number in sorted(count.items()))
    many = f"{at_once} at once" if at_once > 1 else ""
    megapixels, slowest = size[0] * size[1] / 1e6, max(seconds for _, seconds in answers)
    numbers = f"{megapixels:>10.1f} {bound or '-':>7} {start:>11.0f} {peak:>10.0f} {slowest:>11.1f}"
    print(f"{numbers}  {said} {many}", flush=True)


def _timed(port: int, content: bytes) -> tuple[int, float]:
    """Status and seconds of a request."""
    started = time.perf_counter()
    status, _ = post(port, content)
    return status, time.perf_counter() - started


def _jpeg(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(mosaic(IMAGES, size, piece=1200, seed=1)).save(file, "JPEG", quality=92)
    return file.getvalue()


def _peak(pid: int) -> float:
    """Peak resident memory of a process in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()
