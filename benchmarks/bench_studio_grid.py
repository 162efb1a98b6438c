"""The server of the studio on many images: time to open the project, to answer, and its memory.

    python benchmarks/bench_studio_grid.py [--images 10000] [--classes 20] [--all] [--frames]

Small JPEGs are made in a temporary folder. Measured: from the start of the process to the first answer, `/api/images`
and its size, 60 thumbnails as a screen of the grid asks for them, for the first time and again, a batch of 10,000
changes of tags, and the largest memory of the server, in which all thumbnails have been made with `--all`. With
`--frames`, in Chromium: seconds until the grid is shown, and frames a second while it is scrolled by the wheel.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

SIZE = (240, 320)
SCREEN = 60
CONNECTIONS = 6  # of a browser to one host
STEPS = 300  # of the wheel, 300 pixels each
_COUNT = """() => {
  window.drawn = [];
  const frame = (now) => { window.drawn.push(now); requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--all", action="store_true", help="ask for all thumbnails, as a person who scrolls to the end")
    parser.add_argument("--frames", action="store_true", help="count frames in Chromium")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        write_images(Path(folder), arguments.images)
        for what in ("first start, no project yet", "second start, all tagged"):
            print(f"\n{what}")
            measure(Path(folder), arguments.classes, scroll=arguments.all, frames=arguments.frames)


def write_images(folder: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (200, 6, 8, 3)).astype(np.uint8)
    for number in range(count):
        place = folder / f"part {number // 1000}"
        place.mkdir(exist_ok=True)
        image = Image.fromarray(small[number % len(small)]).resize(SIZE[::-1])
        image.save(place / f"image_{number:05d}.jpg", quality=85)


def measure(folder: Path, classes: int, *, scroll: bool, frames: bool) -> None:
    """Start a server, ask it, and print what it took."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "tag2mask", "studio", str(folder), "--port", "0", "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        address = address_of(process)
        ask(f"{address}api/project")
        show("start to the first answer", time.perf_counter() - started)
        images, seconds = timed(f"{address}api/images")
        show(f"/api/images, {len(images) / 1e6:.2f} MB", seconds)
        names = json.loads(images)["names"]
        if not json.loads(ask(f"{address}api/project"))["classes"]:
            for number in range(classes):
                ask(f"{address}api/classes", {"name": f"class {number}"})
        for turn in ("new", "kept"):
            show(f"{SCREEN} thumbnails, {turn}", thumbnails(address, names[5000:][:SCREEN] or names[:SCREEN]))
        changes = [
            {"name": name, "class": number % classes, "value": ("present", "absent")[number % 2]}
            for number, name in enumerate(names[:10_000])
        ]
        body, seconds = timed(f"{address}api/tags", {"changes": changes})
        show(f"{len(changes)} changes of tags, {json.loads(body)['tagged']} tagged", seconds)
        if scroll:
            show(f"all {len(names)} thumbnails", thumbnails(address, names))
        if frames:
            count_frames(address)
        print(f"{'largest memory of the server':50} {memory(process.pid):8.0f} MiB")
    finally:
        process.terminate()
        process.communicate()


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = ""
    while (found := re.search(r"open (http://\S+/) in a browser", said)) is None:
        line = process.stdout.readline()
        if not line:
            raise SystemExit(said)
        said += line
    return found[1]


def ask(url: str, body: Any = None) -> bytes:
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=600) as response:
        found: bytes = response.read()
        return found


def timed(url: str, body: Any = None) -> tuple[bytes, float]:
    started = time.perf_counter()
    return ask(url, body), time.perf_counter() - started


def thumbnails(address: str, names: list[str]) -> float:
    started = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for _ in pool.map(lambda name: ask(f"{address}api/thumb?side=192&name={urllib.parse.quote(name)}"), names):
            pass
    return time.perf_counter() - started


def count_frames(address: str) -> None:
    """Scroll through the grid as a wheel does, and count the frames that the page draws."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"]).new_page()
        page.set_viewport_size({"width": 1440, "height": 900})
        started = time.perf_counter()
        page.goto(f"{address}#tag")
        page.locator(".grid-box img").nth(10).wait_for(timeout=60_000)
        show("grid shown", time.perf_counter() - started)
        page.locator(".grid-box").hover()
        page.evaluate(_COUNT)
        for _ in range(STEPS):
            page.mouse.wheel(0, 300)
            page.wait_for_timeout(16)
        times = np.diff(page.evaluate("window.drawn"))
        print(f"{'frames a second while scrolling, mean':50} {1000 / times.mean():8.0f}")
        print(f"{'time of a frame, 95th percentile':50} {np.quantile(times, 0.95):8.0f} ms", flush=True)


def memory(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s*(\d+) kB", text)
    return int(found[1]) / 1024 if found else float("nan")


def show(what: str, seconds: float) -> None:
    print(f"{what:50} {1000 * seconds:8.0f} ms", flush=True)


if __name__ == "__main__":
    main()
