"""The part of Label Studio's HTTP interface that a backend calls: files, with tokens, and redirects."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.local_server import QuietHandler, serving

LEGACY = "c9524eca2db027d71d4f1d2cb5b1a5e3d6b72183"


def jwt(kind: str, seconds: float = 300) -> str:
    """A JSON Web Token as Label Studio's, with a signature that nobody checks."""

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    head = part({"alg": "HS256", "typ": "JWT"})
    return f"{head}.{part({'token_type': kind, 'exp': time.time() + seconds, 'jti': 'x'})}.c2ln"


PERSONAL = jwt("refresh", 10**6)


class FakeLabelStudio(ThreadingHTTPServer):
    """Serves files.

    Attributes:
        files: content by path with query.
        moved: where a path redirects to.
        accepted: values of the `Authorization` header that are let in.
        asked: path and `Authorization` of every request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.moved: dict[str, str] = {}
        self.accepted = {f"Token {LEGACY}"}
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(QuietHandler, BaseHTTPRequestHandler):
    server: FakeLabelStudio

    def do_GET(self) -> None:
        token = self.headers.get("Authorization")
        self.server.asked.append((self.path, token))
        if self.path in self.server.moved:
            self.answer(302, b"", ("Location", self.server.moved[self.path]))
        elif urlsplit(self.path).path.startswith("/public/"):
            self._file(self.path)
        elif token not in self.server.accepted:
            self.answer(401, b'{"detail": "Authentication credentials were not provided."}')
        else:
            self._file(self.path)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        if self.path == "/api/token/refresh/" and body == {"refresh": PERSONAL}:
            access = jwt("access")
            self.server.accepted.add(f"Bearer {access}")
            self.answer(200, json.dumps({"access": access}).encode())
        else:
            self.answer(401, b'{"detail": "Token is invalid or expired"}')

    def _file(self, path: str) -> None:
        content = self.server.files.get(path)
        if content is None:
            self.answer(404, b"")
        else:
            self.answer(200, content)


@contextmanager
def label_studio() -> Iterator[FakeLabelStudio]:
    """A running one."""
    with serving(FakeLabelStudio()) as server:
        yield server


def presigned(address: str, task: int) -> str:
    """Path at which Label Studio gives access to an image in cloud storage."""
    return f"/tasks/{task}/presign/?fileuri={base64.urlsafe_b64encode(address.encode()).decode()}"


def decoded(path: str) -> str:
    """The address in a path of `presigned`."""
    return base64.urlsafe_b64decode(parse_qs(urlsplit(path).query)["fileuri"][0]).decode()
