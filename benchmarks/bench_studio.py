"""How long a person waits in the studio's review: median milliseconds over HTTP, as the page asks.

    python benchmarks/bench_studio.py [--images FOLDER --run RUN] [--count 12]

Without a run a tiny network is trained on 24 generated images of 500 x 375 first: what is measured is the same but for
the first prediction of an image, which depends on the network.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
from PIL import Image

SIZE = (375, 500)
OPTIONS = {
    "data.image_size": 128,
    "data.crop_size": 128,
    "data.workers": 0,
    "model.backbone": "test_resnet",
    "model.weights": "none",
    "training.epochs": 1,
    "training.loggers": [],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder of images that the run was trained on; it is copied")
    parser.add_argument("--run", type=Path, help="folder that `tag2mask train` wrote")
    parser.add_argument("--count", type=int, default=12, help="images that are reviewed")
    arguments = parser.parse_args()
    if (arguments.images is None) != (arguments.run is None):
        parser.error("--images and --run belong together")
    with TemporaryDirectory() as place:
        folder = Path(place, "images")
        if arguments.run is None:
            make_project(folder, Path(place, "run"))
            run = Path(place, "run")
        else:
            shutil.copytree(arguments.images, folder)
            run = arguments.run
        shutil.copytree(run, folder / "tag2mask" / "runs" / "run-1")
        classes = json.loads((run / "collection.json").read_text(encoding="utf-8"))["classes"]
        (folder / "tag2mask" / "classes.txt").write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
        with server(folder) as ask:
            measure(ask, arguments.count)


def make_project(folder: Path, run: Path) -> None:
    """Write generated images with tags, and train a tiny network on them."""
    from tag2mask import Dataset, train

    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["image,tags"]
    for number in range(24):
        image = cv2.resize(
            rng.integers(60, 200, (12, 16, 3)).astype(np.uint8), SIZE[::-1], interpolation=cv2.INTER_CUBIC
        )
        name, colour = [("disc", (210, 60, 50)), ("square", (50, 90, 210))][number % 2]
        centre = tuple(int(value) for value in rng.integers(100, 270, 2))
        cv2.circle(image, centre, 60, colour, -1) if name == "disc" else cv2.rectangle(
            image, centre, (centre[0] + 90, centre[1] + 90), colour, -1
        )
        noisy = np.clip(image.astype(int) + rng.integers(-8, 9, image.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number:02d}.jpg", quality=92)
        rows.append(f"{number:02d}.jpg,{name}")
    tags = folder.with_name("tags.csv")
    tags.write_text("\n".join(rows) + "\n", encoding="utf-8")
    train(Dataset.load(folder, tags), run, options=OPTIONS, make_report=False, progress=False)


Ask = Callable[..., bytes]


@contextmanager
def server(folder: Path) -> Iterator[Ask]:
    """A server of the project; gives a function that asks it and raises where the answer is no success."""
    words = [sys.executable, "-m", "tag2mask", "studio", str(folder), "--port", "0", "--no-browser"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        port = next(int(line.split(":")[2].split("/")[0]) for line in process.stdout if "http://" in line)
        connection = HTTPConnection("127.0.0.1", port, timeout=600)

        def ask(method: str, path: str, body: bytes | None = None) -> bytes:
            kind = {"Content-Type": "application/json"} if method == "POST" else {}
            connection.request(method, f"/api/{path}", body, kind)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {content[:200]!r}")
            return content

        yield ask
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def measure(ask: Ask, count: int) -> None:
    """Review images, and print the medians."""
    names = json.loads(ask("GET", "queue"))["order"][: count + 1]
    seconds: dict[str, list[float]] = {}

    def timed(what: str, *requests: tuple[Any, ...]) -> bytes:
        began = time.perf_counter()
        contents = [ask(*one) for one in requests]
        seconds.setdefault(what, []).append(time.perf_counter() - began)
        return contents[-1]

    def predict(name: str, width: float) -> tuple[str, str, bytes]:
        body = {"name": name, "tags": None, "crf": {"bilateral_xy": width}}
        return "POST", "predict", json.dumps(body).encode()

    for place, name in enumerate(names):
        if place == 1:  # the first image loads the network and compiles kernels
            seconds.clear()
        asked = quote(name)
        mask = timed("next image: pixels and mask", *(("GET", f"{x}?name={asked}") for x in ("pixels", "mask")))
        with Image.open(io.BytesIO(mask)) as opened:
            draft = np.full((opened.height, opened.width), 255, np.uint8)
        draft[::7, 10:90] = 1
        timed("first prediction with other tags", predict(name, 50))
        for width in (30, 40, 60):
            timed("changed setting of the CRF", predict(name, width))
        content = cv2.imencode(".png", draft)[1].tobytes()
        timed("draft saved", ("PUT", f"draft?name={asked}", content))
        timed("superpixels", ("GET", f"superpixels?name={asked}"))
        timed("class map", ("GET", f"class-map?name={asked}&class=0"))
        timed("steps listed", ("GET", f"steps?name={asked}"))
    print(f"{len(names) - 1} images, the last of {draft.shape[1]} x {draft.shape[0]} pixels; milliseconds")
    for what, found in seconds.items():
        print(f"{what:36} median {1000 * statistics.median(found):7.1f}   most {1000 * max(found):7.1f}")


if __name__ == "__main__":
    main()
