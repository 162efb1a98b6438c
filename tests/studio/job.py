"""Server and browser of one person, both killed and started again at any moment: same project, same profile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.browser import ARGUMENTS
from tests.studio.runs import end_trainings

PATIENCE = 300.0
VIEW = {"width": 1280, "height": 800}


class Job:
    """One project with its server and browser.

    Attributes:
        folder: of the images.
        page: the open page.
    """

    def __init__(self, playwright: Any, folder: Path, place: Path):
        """Nothing is started yet; `place` takes the log and the browser's profile."""
        self.folder = folder
        self.page: Any = None
        self._playwright, self._profile, self._log = playwright, place / "profile", place / "log"
        self._server: subprocess.Popen[bytes] | None = None
        with socket.socket() as one:  # what waits in the browser belongs to one address
            one.bind(("127.0.0.1", 0))
            self.address = f"http://127.0.0.1:{one.getsockname()[1]}"
        self._path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
        if self._path is None:
            pytest.skip("no Chromium here; `make browser` installs Debian's")

    @property
    def home(self) -> Path:
        """The project's own folder."""
        return self.folder / "tag2mask"

    def start(self, view: str = "") -> Any:
        """Start server and browser, and open a view of the page; returns the page."""
        port = self.address.rsplit(":", 1)[1]
        words = [sys.executable, "-m", "tag2mask", "studio", str(self.folder), "--port", port, "--no-browser"]
        with self._log.open("ab") as log:
            self._server = subprocess.Popen([*words, "--device", "cpu"], stdout=log, stderr=log)
        self.wait(self._answers)
        context = self._playwright.chromium.launch_persistent_context(
            str(self._profile), executable_path=self._path, args=list(ARGUMENTS), viewport=VIEW, accept_downloads=True
        )
        self.page = context.pages[0]
        self.page.set_default_timeout(PATIENCE * 1000)
        self.page.goto(f"{self.address}/#{view}")
        self.page.locator(".top").wait_for()
        self.wait(lambda: self.page.locator("text=Loading…").count() == 0)
        return self.page

    def kill_server(self) -> None:
        """End the server as a power cut does."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def kill(self) -> None:
        """End server and browser so."""
        self.kill_server()
        mark = f"--user-data-dir={self._profile}".encode()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if mark in path.read_bytes().split(b"\0"):
                    os.kill(int(path.parent.name), signal.SIGKILL)
            except (OSError, ValueError):
                continue
        if self.page is not None:
            from playwright.sync_api import Error

            with suppress(Error):  # the browser may have gone before the client has heard of it
                self.page.context.close()
            self.page = None

    def close(self) -> None:
        """End everything, trainings too."""
        self.kill()
        end_trainings(self.home)

    def ask(self, path: str) -> Any:
        """An answer of the server."""
        with urllib.request.urlopen(f"{self.address}/api/{path}", timeout=60) as answer:
            return json.load(answer)

    def wait(self, is_true: Callable[[], Any]) -> None:
        """Wait until something is true."""
        end = time.monotonic() + PATIENCE
        while not is_true():
            assert time.monotonic() < end, self._log.read_text() if self._log.exists() else "it did not come true"
            if self.page is None:
                time.sleep(0.05)
            else:
                self.page.wait_for_timeout(50)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """A point of the canvas on the page, by shares of its sides."""
        box = self.page.locator("#canvas").bounding_box()
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def stroke(self, start: tuple[float, float], end: tuple[float, float], *, is_ended: bool = True) -> None:
        """Draw a line on the canvas."""
        self.page.mouse.move(*self.point(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.point(*end), steps=5)
        if is_ended:
            self.page.mouse.up()

    def _answers(self) -> bool:
        try:
            self.ask("project")
        except OSError:
            assert self._server is not None and self._server.poll() is None, self._log.read_text()
            return False
        return True
