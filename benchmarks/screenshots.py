"""Screenshots of a run's report and of the studio's views, with Debian's Chromium.

python benchmarks/screenshots.py demo-out/run docs/images
python benchmarks/screenshots.py photos/ /tmp/shots --width 390 --scheme dark      # a project, see docs/studio.md
"""

from __future__ import annotations

import argparse
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image
from playwright.sync_api import sync_playwright

from tag2mask.studio.api.app import create_app
from tag2mask.studio.api.state import Studio
from tag2mask.studio.opening import open_project

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
VIEWS = {"tag": ".tile img", "train": ".presets", "review": ".legend-row .swatch", "export": ".formats"}
"""Views, and what is there once one is drawn."""


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Serve a project; gives its address."""
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


def save(page: Any, path: Path, **options: Any) -> None:
    """Save what a page shows, as JPEG."""
    page.screenshot(path=path.with_suffix(".png"), **options)
    with Image.open(path.with_suffix(".png")) as image:
        image.convert("RGB").save(path, quality=88)
    path.with_suffix(".png").unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of a run, or of images with a project")
    parser.add_argument("out", type=Path, help="folder of the screenshots")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=800)
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    dark = "-dark" if args.scheme == "dark" else ""
    with server(args.folder) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        report = args.folder / "report.html"
        if report.is_file():
            page = browser.new_page(viewport={"width": 1100, "height": 1500}, color_scheme=args.scheme)
            page.goto(report.resolve().as_uri())
            page.locator("#images").scroll_into_view_if_needed()
            page.evaluate("document.getElementById('images').scrollIntoView()")
            save(page, args.out / f"report{dark}.jpg", clip={"x": 0, "y": 0, "width": 1100, "height": 1000})
        page = browser.new_page(viewport={"width": args.width, "height": args.height}, color_scheme=args.scheme)
        for view, ready in VIEWS.items():
            page.goto(f"{address}/#{view}")
            page.wait_for_selector(ready, state="attached")
            page.wait_for_timeout(2500)  # thumbnails and masks are drawn
            save(page, args.out / f"studio-{view}{dark}.jpg")
        browser.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
