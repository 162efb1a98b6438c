"""The page towards others: foreign hosts and pages, wrong passwords, what is left of uploads."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tag2mask.inference import Segmenter
from tag2mask.models.checkpoint import RunFolder
from tests.helpers import TinyDataset

pytest.importorskip("gradio", reason="Gradio is not installed")
from tag2mask.studio import Workbench, open_page
from tag2mask.studio.server import UPLOADS

PATIENCE = 180
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::UserWarning")


@pytest.fixture(scope="module")
def bench(trained: Path) -> Workbench:
    return Workbench(Segmenter.from_pretrained(trained), RunFolder(trained))


@pytest.fixture(scope="module")
def address(bench: Workbench) -> Iterator[str]:
    with open_page(bench, port=0) as found:
        yield found


def ask(address: str, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(address).netloc, timeout=PATIENCE)
    try:
        connection.request(method, path, body or None, {key.replace("_", "-"): text for key, text in headers.items()})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def upload(address: str, content: bytes, **headers: str) -> tuple[int, bytes]:
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + content + b"\r\n--x--\r\n"
    return ask(address, "POST", "/gradio_api/upload", body, Content_Type="multipart/form-data; boundary=x", **headers)


def test_a_rebound_name_gets_nothing(address: str) -> None:
    port = urllib.parse.urlsplit(address).port
    assert ask(address, "GET", "/")[0] == 200
    assert ask(address, "GET", "/", Host=f"localhost:{port}")[0] == 200
    for path in ("/", "/config", "/gradio_api/info", "/login"):
        status, body = ask(address, "GET", path, Host=f"evil.example:{port}")
        assert status == 403
        assert b"does not answer to the host" in body
    assert upload(address, b"x", Host=f"evil.example:{port}", Origin=f"http://evil.example:{port}")[0] == 403


def test_another_site_cannot_upload(address: str) -> None:
    own = address.rstrip("/")
    assert upload(address, b"x", Origin=own, Sec_Fetch_Site="same-origin")[0] == 200
    assert upload(address, b"x", Origin=own)[0] == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", "http://localhost:3000"):
        assert upload(address, b"x", Origin=origin)[0] == 403
    assert upload(address, b"x", Sec_Fetch_Site="cross-site")[0] == 403


def test_allowed_hosts(bench: Workbench) -> None:
    with open_page(bench, port=0, allowed_hosts=["masks.example.org"]) as address:
        assert ask(address, "GET", "/", Host="masks.example.org")[0] == 200
        assert upload(address, b"x", Origin="https://masks.example.org")[0] == 200
        assert ask(address, "GET", "/", Host="evil.example")[0] == 403


def test_wrong_passwords(bench: Workbench, caplog: pytest.LogCaptureFixture) -> None:
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    with open_page(bench, port=0, password="correct horse") as address:
        for _ in range(2):
            status, body = ask(address, "POST", "/login", b"username=tag2mask&password=battery", **form)
            assert status == 400
            assert b"Incorrect credentials" in body
        assert ask(address, "POST", "/login", b"username=tag2mask&password=correct+horse", **form)[0] == 200
    said = [record.getMessage() for record in caplog.records if record.name == "tag2mask.studio.logins"]
    assert said == [
        f"wrong user name or password from 127.0.0.1, {count} in a row; the next attempt waits {count} s"
        for count in (1, 2)
    ]


def start(run: Path, folder: Path) -> tuple[subprocess.Popen[str], str]:
    """The command with a folder of its own for temporary files; the process and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tag2mask", "app", str(run), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    assert process.stdout
    for line in process.stdout:
        if found := re.search(r"open (http://\S+) in", line):
            return process, found[1]
    raise AssertionError(f"ended with {process.wait()}")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.thorough
def test_uploads_are_removed_at_the_end_and_what_a_kill_left_at_the_next_start(
    trained: Path, shapes: TinyDataset, tmp_path: Path
) -> None:
    other = tmp_path / f"{UPLOADS}of-somebody-else"
    other.mkdir()
    content = next(iter(shapes.images.iterdir())).read_bytes()

    def left() -> list[Path]:
        return [path for path in tmp_path.rglob("*.png") if path.read_bytes() == content]

    for number, remaining in ((signal.SIGKILL, 1), (signal.SIGTERM, 0)):
        process, address = start(trained, tmp_path)
        try:
            assert left() == []  # the second start has swept what the first one left
            assert upload(address, content)[0] == 200
            assert len(left()) == 1
            process.send_signal(number)
            assert process.wait(PATIENCE) == -number
        finally:
            process.kill()
            process.communicate()
        assert len(left()) == remaining
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(UPLOADS)] == [other.name]
    assert tempfile.gettempdir() != str(tmp_path)
