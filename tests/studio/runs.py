"""Projects with a trained run, for tests of the studio."""

from __future__ import annotations

import io
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from tag2mask.training.process import RunProcess
from tests.conftest import TINY_OPTIONS
from tests.helpers import TinyDataset


def copy_images(shapes: TinyDataset, folder: Path, count: int = 12) -> Path:
    """Copy the first images of a tiny dataset; returns their folder, to open with the dataset's tags."""
    folder.mkdir(parents=True)
    for path in sorted(shapes.images.iterdir())[:count]:
        shutil.copy(path, folder)
    return folder


def add_run(home: Path, trained: Path, number: int = 1) -> Path:
    """Copy a trained run into the folder of a project."""
    run = home / "runs" / f"run-{number}"
    shutil.copytree(trained, run)
    return run


def write_settings(home: Path, **options: Any) -> None:
    """Write settings of training that take seconds: the project's own `train.yaml`."""
    tree: dict[str, Any] = {}
    given = {name.replace("__", "."): value for name, value in options.items()}
    for name, value in {**TINY_OPTIONS, "training.loggers": [], **given}.items():
        place = tree
        *sections, last = name.split(".")
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    (home / "train.yaml").write_text(yaml.safe_dump(tree))


def png_of(mask: NDArray[Any], mode: str = "L") -> bytes:
    """A mask as the page sends it."""
    stream = io.BytesIO()
    image = Image.fromarray(mask.astype(np.uint8)).convert(mode)
    image.save(stream, format="PNG")
    return stream.getvalue()


def mask_of(content: bytes) -> NDArray[Any]:
    """The values of a PNG that the server sent."""
    with Image.open(io.BytesIO(content)) as image:
        return np.array(image)


def end_trainings(home: Path) -> None:
    """End what trains in a project, so that a test that failed leaves no process."""
    for path in (home / "runs").glob("*/studio/process.json"):
        process = RunProcess(path.parents[1], path.parent)
        process.send(signal.SIGKILL)
        for _ in range(100):
            if not process.lives():
                break
            time.sleep(0.1)


def start_server(folder: Path, log: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A server of its own, and its address."""
    words = [sys.executable, "-m", "tag2mask", "studio", str(folder), "--port", "0", "--no-browser"]
    with log.open("wb") as file:
        process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT, cwd=folder)
    for _ in range(600):
        found = [word for word in log.read_text().split() if word.startswith("http://")]
        if found:
            return process, found[0].rstrip("/")
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())
