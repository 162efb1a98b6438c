"""The README's screenshots of report and page, from the demo's run, with Debian's Chromium.

python benchmarks/screenshots.py demo-out docs/images
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from tag2mask import Segmenter
from tag2mask.models.checkpoint import RunFolder
from tag2mask.studio import Workbench, open_page

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


def save(page: Any, path: Path, **options: Any) -> None:
    """Save what a page shows, as JPEG."""
    page.screenshot(path=path.with_suffix(".png"), **options)
    with Image.open(path.with_suffix(".png")) as image:
        image.convert("RGB").save(path, quality=88)
    path.with_suffix(".png").unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demo", type=Path, help="folder that `tag2mask demo` wrote")
    parser.add_argument("out", type=Path, help="folder of the screenshots")
    args = parser.parse_args()
    run = RunFolder(args.demo / "run")
    bench = Workbench(Segmenter.from_pretrained(run.root), run)
    with open_page(bench, port=0) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1100, "height": 1500})
        page.goto((run.root / "report.html").resolve().as_uri())
        page.locator("#images").scroll_into_view_if_needed()
        page.evaluate("document.getElementById('images').scrollIntoView()")
        save(page, args.out / "report.jpg", clip={"x": 0, "y": 0, "width": 1100, "height": 1000})
        for width, name in ((1200, "app.jpg"), (390, "app-small.jpg")):
            page = browser.new_page(viewport={"width": width, "height": 1000})
            page.goto(address)
            page.wait_for_selector("#next")
            page.locator("#next").click()
            page.wait_for_function("window.tag2mask.value() !== ''")
            page.get_by_role("tab", name="Correct").click()
            page.wait_for_selector("#paint-canvas:not([hidden])")
            page.wait_for_timeout(800)
            save(page, args.out / name)
        browser.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
