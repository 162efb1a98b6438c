"""A hub on loopback that speaks as much of the Hub's HTTP as pushing and fetching a network take."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.local_server import QuietHandler, serving

TOKEN = "hf_test"


@dataclass
class FakeHub:
    """Repositories by name, each a mapping of path to content; what LFS has, by SHA-256; requests seen."""

    endpoint: str = ""
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def commit_id(self, name: str) -> str:
        return hashlib.sha1(repr(sorted(self.repos[name].items())).encode()).hexdigest()


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    with serving(server):
        yield hub


class _Handler(QuietHandler, BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self._body()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._error(401, "Unauthorized")
        elif self.path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}" if wanted.get("organization") else wanted["name"]
            exists = name in self.hub.repos
            self.hub.repos.setdefault(name, {})
            self.hub.private.setdefault(name, wanted.get("private", False) or wanted.get("visibility") == "private")
            self._json({"url": f"{self.hub.endpoint}/{name}"}, 409 if exists else 200)
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            modes = [
                {
                    "path": one["path"],
                    "uploadMode": "lfs" if one["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for one in files
            ]
            self._json({"files": modes})
        elif self.path.endswith("/info/lfs/objects/batch"):
            actions = []
            for one in json.loads(body)["objects"]:
                upload = {"href": f"{self.hub.endpoint}/lfs/{one['oid']}"}
                actions.append({"oid": one["oid"], "size": one["size"], "actions": {"upload": upload}})
            self._json({"transfer": "basic", "objects": actions})
        elif "/commit/" in self.path:
            self._commit(self.path.split("/api/models/")[1].split("/commit/")[0], body)
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        else:
            self._error(404, "Not found")

    def do_PUT(self) -> None:
        content = self._body()
        oid = self.path.rsplit("/", 1)[1]
        if hashlib.sha256(content).hexdigest() != oid:
            self._error(400, "another digest")
            return
        self.hub.objects[oid] = content
        self._json({})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self._body()
        path = self.path.split("?")[0]
        if path.startswith("/api/models/") and "/tree/" in path:
            files = self.hub.repos[path.removeprefix("/api/models/").split("/tree/")[0]]
            self._json(
                [
                    {"type": "file", "path": one, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                    for one, data in files.items()
                ]
            )
        elif path.startswith("/api/models/"):
            name = path.removeprefix("/api/models/").split("/revision/")[0]
            if name not in self.hub.repos:
                self._error(401, "Repository not found", code="RepoNotFound")
                return
            siblings = [{"rfilename": one} for one in self.hub.repos[name]]
            self._json({"id": name, "modelId": name, "sha": self.hub.commit_id(name), "siblings": siblings})
        elif "/resolve/" in path:
            name, rest = path[1:].split("/resolve/")
            self._send(self.hub.repos[name][rest.split("/", 1)[1]], name)
        else:
            self._error(404, "Not found")

    def _commit(self, name: str, body: bytes) -> None:
        for line in body.splitlines():
            part = json.loads(line)
            if part["key"] == "file":
                self.hub.repos[name][part["value"]["path"]] = base64.b64decode(part["value"]["content"])
            elif part["key"] == "lfsFile":
                self.hub.repos[name][part["value"]["path"]] = self.hub.objects[part["value"]["oid"]]
        oid = self.hub.commit_id(name)
        self._json({"success": True, "commitOid": oid, "commitUrl": f"{self.hub.endpoint}/{name}/commit/{oid}"})

    def _body(self) -> bytes:
        self.hub.requests.append(f"{self.command} {self.path}")
        if self.headers.get("Transfer-Encoding") == "chunked":
            content = b""
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _send(self, content: bytes, name: str) -> None:
        digest = f'"{hashlib.sha256(content).hexdigest()}"'
        self.answer(200, content, ("ETag", digest), ("X-Repo-Commit", self.hub.commit_id(name)))

    def _json(self, value: Any, status: int = 200, code: str = "") -> None:
        headers = [("X-Error-Code", code)] if code else []
        self.answer(status, json.dumps(value).encode(), *headers, ("Content-Type", "application/json"))

    def _error(self, status: int, message: str, code: str = "") -> None:
        self._json({"error": message}, status, code)
