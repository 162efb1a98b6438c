"""`tag2mask studio` as a user starts, ends and kills it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tag2mask import cli
from tag2mask.images.folder import list_images
from tests.studio.projects import write_images

pytest.importorskip("uvicorn", reason="the studio's extra is not installed")
from tag2mask.studio import serve

PATIENCE = 180


def tag2mask(*words: object, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["tag2mask", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


@contextmanager
def server(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, with its address."""
    command = [sys.executable, "-m", "tag2mask", "studio", str(folder), "--port", "0", "--no-browser"]
    environment = {**os.environ, "COLUMNS": "200"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    )
    try:
        assert process.stdout is not None
        said = ""
        while not (found := re.search(r"open (http://\S+/) in a browser", said)):
            line = process.stdout.readline()
            assert line, said
            said += line
        yield process, found[1]
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def ask(address: str, method: str, path: str, body: Any = None) -> Any:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(address).netloc, timeout=PATIENCE)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read()
        assert response.status == 200, content
        return json.loads(content)
    finally:
        connection.close()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_started_killed_started_again_and_ended(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "my images", "a.png", "b.png")
    with server(folder) as (process, address):
        ask(address, "POST", "/api/classes", {"name": "cat"})
        ask(address, "POST", "/api/tags", {"changes": [{"name": "b.png", "class": 0, "value": "present"}]})
        command = [sys.executable, "-m", "tag2mask", "studio", str(folder), "--no-browser"]
        second = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert second.returncode == 1
        text = " ".join(second.stderr.split())
        assert f"process {process.pid}" in text
        assert f"or use its page: {address}" in text
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
    with server(folder) as (process, address):
        assert ask(address, "GET", "/api/images")["present"] == [[], [0]]
        # A page that listens to events must not hold the server up.
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(address).netloc, timeout=PATIENCE)
        connection.request("GET", "/api/events")
        response = connection.getresponse()
        assert response.read(5) == b"retry"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == -signal.SIGTERM
        response.read()
        connection.close()
    left = {path.name for path in (folder / "tag2mask").iterdir()}
    assert left == {".tag2mask", "project.yaml", "tags.csv", "classes.txt", "cache"}
    assert not (folder / "tag2mask" / "cache" / "address.txt").exists()


def test_the_demo_is_forty_images_without_tags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    served: list[Path] = []
    monkeypatch.setattr(serve, "serve_studio", lambda folder, **_: served.append(folder))
    monkeypatch.setattr(cli.studio, "DEMO_IMAGES", 3)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert tag2mask("studio", "--demo", "--no-browser", monkeypatch=monkeypatch) == 0
    assert [str(folder) for folder in served] == ["tag2mask-demo-1", "tag2mask-demo-2"]
    assert [name for _, name in list_images(served[0])] == ["0000.jpg", "0001.jpg", "0002.jpg"]
    assert "open them again with: tag2mask studio tag2mask-demo-1" in " ".join(capfd.readouterr().out.split())
    assert tag2mask("studio", "tag2mask-demo-1", "--demo", monkeypatch=monkeypatch) == 1
    assert "--demo needs a new folder" in " ".join(capfd.readouterr().err.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give a folder of images, or --demo"),
        (("none",), "no such folder"),
        (("images", "--host", "0.0.0.0"), "set a password in the environment variable TAG2MASK_PASSWORD"),
        (("images", "--allowed-host", "a b"), "expected a host name"),
    ],
)
def test_what_cannot_be_opened_is_said(
    words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    write_images(tmp_path / "images", "a.png")
    monkeypatch.chdir(tmp_path)
    assert tag2mask("studio", *words, monkeypatch=monkeypatch) == 1
    assert message in " ".join(capfd.readouterr().err.split())
    assert not (tmp_path / "images" / "tag2mask").exists()


def test_the_name_of_before_opens_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[Path, Any]] = []
    monkeypatch.setattr(serve, "serve_studio", lambda folder, **options: asked.append((folder, options["port"])))
    run = tmp_path / "run"
    assert tag2mask("app", run, "--port", "7860", "--palette", "voc", monkeypatch=monkeypatch) == 0
    assert asked == [(run, 7860)]
    text = " ".join(capfd.readouterr().err.split())
    assert "`tag2mask app` is now `tag2mask studio`" in text
    assert "--palette has no effect any more" in text
    assert tag2mask("--help", monkeypatch=monkeypatch) == 0
    assert " app " not in capfd.readouterr().out
