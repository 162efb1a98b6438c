"""The README's images from the demo's run, with Debian's Chromium: a strip of masks, the report, the studio's views.

python benchmarks/screenshots.py demo-out docs/images
python benchmarks/screenshots.py demo-out /tmp/shots --width 390 --height 844 --scheme dark --scale 1
"""

from __future__ import annotations

import argparse
import io
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image
from playwright.sync_api import sync_playwright

from tag2mask import Dataset, Segmenter
from tag2mask.demo.run import write_sheet
from tag2mask.studio.api.app import create_app
from tag2mask.studio.api.state import Studio
from tag2mask.studio.opening import open_project

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
VIEWS = {"tag": ".tile img", "train": ".presets", "review": ".legend-row .swatch", "export": ".formats"}
"""The studio's views, and what is there once one is drawn."""

MOST_BYTES = 250_000
"""Of an image: it is loaded with the README."""

STRIP_ROWS = 4
REVIEWED = 2
"""Which of the least certain masks is shown, from 0."""


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Serve the studio of a run or of a folder of images; gives its address."""
    with open_project(folder) as project, socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        studio = Studio(project)
        served = uvicorn.Server(uvicorn.Config(create_app(studio), log_level="warning"))
        thread = threading.Thread(target=served.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            studio.events.close()
            served.should_exit = True
            thread.join()


def save(image: Image.Image, path: Path) -> None:
    """Save an image as WebP, with the highest quality that is small enough."""
    for quality in (90, 80, 70, 55, 40):
        stream = io.BytesIO()
        image.convert("RGB").save(stream, format="WEBP", quality=quality, method=6)
        if stream.tell() <= MOST_BYTES:
            break
    path.write_bytes(stream.getvalue())
    print(f"{path}: {image.width} x {image.height}, {stream.tell() / 1000:.0f} kB, quality {quality}")


def shot(page: Any, path: Path, **options: Any) -> None:
    """Save what a page shows."""
    save(Image.open(io.BytesIO(page.screenshot(**options))), path)


def strip(demo: Path, out: Path) -> None:
    """Each step of the method for some scenes that the network has never seen."""
    held_out = demo / "scenes" / "val"
    dataset = Dataset.load(held_out / "images", held_out / "tags.csv", masks=held_out / "masks")
    with tempfile.TemporaryDirectory() as scratch:
        sheet = Path(scratch) / "sheet.png"
        segmenter = Segmenter.from_pretrained(demo / "run")
        write_sheet(sheet, segmenter, dataset, demo / "predictions", rows=STRIP_ROWS)
        with Image.open(sheet) as image:
            save(image, out / "demo.webp")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demo", type=Path, help="folder that `tag2mask demo` wrote")
    parser.add_argument("out", type=Path, help="folder of the images")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=800)
    parser.add_argument("--scale", type=float, default=1.5, help="pixels of the image for each of the page")
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    dark = "-dark" if args.scheme == "dark" else ""
    run = args.demo / "run"
    strip(args.demo, args.out)
    with server(run) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        window = browser.new_context(
            viewport={"width": args.width, "height": args.height},
            device_scale_factor=args.scale,
            color_scheme=args.scheme,
        )
        page = window.new_page()
        page.goto((run / "report.html").resolve().as_uri())
        page.evaluate("document.getElementById('images').scrollIntoView()")
        shot(page, args.out / f"report{dark}.webp")
        for view, ready in VIEWS.items():
            page.goto(f"{address}/#{view}")
            page.wait_for_selector(ready, state="attached")
            page.wait_for_timeout(4000)  # thumbnails and masks are drawn
            if view == "review":
                for _ in range(REVIEWED):
                    page.keyboard.press("PageDown")
                    page.wait_for_timeout(1500)
            shot(page, args.out / f"studio-{view}{dark}.webp")
        browser.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
