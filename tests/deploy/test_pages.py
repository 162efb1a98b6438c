"""docs/label-studio.md and docs/cvat.md: every command that can run here, as it stands there, in order."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import pages
from tests.deploy.fake_cvat import running_cvat
from tests.deploy.label_studio.fake_label_studio import label_studio
from tests.helpers import TinyDataset, draw_shapes

pytest.importorskip("fastapi")
pytest.importorskip("cvat_sdk")

PATIENCE = 120
ELSEWHERE = ("pip install", "label-studio start", "docker compose", "nuctl ", "cvat-cli --auth admin function ")
"""Commands that need another program, or an account: not run here."""


def commands(page: str) -> list[str]:
    """Lines of a page's fenced blocks, without comments."""
    blocks = [block.text for block in pages.blocks(page) if block.kind == "sh"]
    return [re.sub(r"\s{2,}# .*", "", line) for block in blocks for line in block.splitlines()]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


class Reader:
    """Somebody who follows a page, with other ports."""

    def __init__(self, folder: Path, changes: dict[str, str]):
        self.folder = folder
        self._changes = changes
        self._servers = ExitStack()
        self.ran: list[str] = []
        binaries = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        home = str(folder)
        self._environment = {"PATH": binaries, "HOME": home, "XDG_CACHE_HOME": home, "OMP_NUM_THREADS": "1"}

    def follow(self, page: str) -> None:
        with self._servers:
            for line in commands(page):
                if not line.startswith(ELSEWHERE):
                    self._run(line)
                    self.ran.append(line)

    def _run(self, line: str) -> None:
        if found := re.fullmatch(r"export (\w+)=(\S+)", line):
            self._environment[found[1]] = found[2]
            return
        for old, new in self._changes.items():
            line = line.replace(old, new)
        is_server = "--interface" not in line and re.match(r"tag2mask (label-studio|serve) ", line)
        if is_server:
            self._servers.close()
            place = self._changes["localhost:9090" if "label-studio" in line else "localhost:8000"]
            self._start(f"{line} --port {place.split(':')[1]}", f"http://{place}/health")
            return
        done = subprocess.run(
            line, shell=True, cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        self.said = done.stdout

    def _start(self, line: str, health: str) -> None:
        log = (self.folder / "server.log").open("w")
        server = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {line}"], cwd=self.folder, env=self._environment, stdout=log, stderr=log
        )

        def end() -> None:
            server.terminate()
            server.wait(PATIENCE)
            log.close()

        self._servers.callback(end)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            assert server.poll() is None, (self.folder / "server.log").read_text()
            try:
                urllib.request.urlopen(health, timeout=5).close()
            except urllib.error.HTTPError as error:
                error.close()
                assert error.code == 401
                return
            except OSError:
                time.sleep(0.2)
            else:
                return
        raise AssertionError(f"{line}: no answer; {(self.folder / 'server.log').read_text()}")


@pytest.fixture
def folder(trained: Path, shapes: TinyDataset, tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(trained, tmp_path / "runs/mine")
    shutil.copytree(shapes.images, tmp_path / "photos")
    shutil.copy(shapes.tags, tmp_path / "tags.csv")
    shutil.copytree(trained, tmp_path / "photos/tag2mask/runs/run-1")  # as if it had been trained from annotations
    yield tmp_path


@pytest.mark.thorough  # as for the other pages; `tests/test_docs.py` holds that commands and options exist
def test_the_page_of_label_studio(folder: Path) -> None:
    ours = f"localhost:{free_port()}"
    with label_studio() as server:
        reader = Reader(folder, {"http://localhost:8080": server.url, "localhost:9090": ours})
        reader.follow("label-studio.md")
    assert len(reader.ran) == 11
    assert '<Label value="disc"' in (folder / "interface.xml").read_text()
    assert (folder / "photos/tag2mask/tags.csv").read_text().startswith("image,disc,square\n")
    assert reader.said == "Basic dGFnMm1hc2s6Y29ycmVjdC1ob3JzZQ==\n"


@pytest.mark.thorough
def test_the_page_of_cvat(folder: Path) -> None:
    pytest.importorskip("onnx")
    images = {f"{k}.png": draw_shapes(("disc", "square"), seed=k)[0] for k in range(2)}
    with running_cvat(images, ["disc", "square"]) as server:
        masks = f"localhost:{free_port()}"
        reader = Reader(folder, {"http://localhost:8080": server.url, "localhost:8000": masks})
        reader.follow("cvat.md")
        first, second = server.annotations
    assert len(reader.ran) == 6
    assert [len(sent["shapes"]) > 0 for sent in (first, second)] == [True, True]
    assert json.dumps(first) == json.dumps(second)
    assert {path.name for path in (folder / "cvat-function").iterdir()} == {"function.yaml", "main.py", "model.onnx"}
