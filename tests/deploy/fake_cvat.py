"""The part of CVAT's HTTP interface that its SDK uses to annotate a task: one task of images, its labels and data."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.local_server import QuietHandler, serving

NOW = "2026-01-05T09:12:03.611000Z"
NOTHING = {"count": 0, "url": None}


class FakeCvat(ThreadingHTTPServer):
    """Has task 1.

    Attributes:
        images: of the task, by name, in the order of its frames.
        labels: of the task.
        annotations: what was sent.
        version: that the server says it has: that of the SDK.
    """

    daemon_threads = True

    def __init__(self, images: Mapping[str, NDArray[np.uint8]], labels: Sequence[str], kind: str = "any") -> None:
        from cvat_sdk.version import VERSION

        super().__init__(("127.0.0.1", 0), _Handler)
        self.images = dict(images)
        self.labels: list[dict[str, Any]] = [
            {
                "id": 70 + number,
                "name": name,
                "color": "#ff0000",
                "attributes": [],
                "type": kind,
                "svg": "",
                "sublabels": [],
                "project_id": None,
                "task_id": 1,
                "parent_id": None,
                "has_parent": False,
            }
            for number, name in enumerate(labels)
        ]
        self.annotations: list[dict[str, Any]] = []
        self.version = VERSION

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def task(self) -> dict[str, Any]:
        user = {"url": f"{self.url}/api/users/1", "id": 1, "username": "user", "first_name": "", "last_name": ""}
        return {
            "url": f"{self.url}/api/tasks/1",
            "id": 1,
            "name": "shapes",
            "project_id": None,
            "mode": "annotation",
            "owner": user,
            "assignee": None,
            "bug_tracker": "",
            "created_date": NOW,
            "updated_date": NOW,
            "overlap": 0,
            "segment_size": len(self.images),
            "status": "annotation",
            "data_chunk_size": 2,
            "data_compressed_chunk_type": "imageset",
            "data_original_chunk_type": "imageset",
            "guide_id": None,
            "size": len(self.images),
            "image_quality": 70,
            "data": 1,
            "dimension": "2d",
            "subset": "",
            "organization": None,
            "target_storage": None,
            "source_storage": None,
            "jobs": {"count": 1, "completed": 0, "validation": 0, "url": f"{self.url}/api/jobs"},
            "labels": {"url": f"{self.url}/api/labels?task_id=1"},
        }

    def meta(self) -> dict[str, Any]:
        frames = [
            {"width": image.shape[1], "height": image.shape[0], "name": name, "related_files": 0, "size": 1}
            for name, image in self.images.items()
        ]
        return {
            "chunk_size": 2,
            "size": len(frames),
            "image_quality": 70,
            "start_frame": 0,
            "stop_frame": len(frames) - 1,
            "frame_filter": "",
            "frames": frames,
            "deleted_frames": [],
            "included_frames": None,
            "cloud_storage_id": None,
            "storage": "local",
            "storage_method": "cache",
            "chunks_updated_date": NOW,
        }

    def chunk(self, number: int) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for k, image in enumerate(list(self.images.values())[2 * number : 2 * number + 2]):
                picture = io.BytesIO()
                Image.fromarray(image).save(picture, "PNG")
                archive.writestr(f"{k:06}.png", picture.getvalue())
        return stream.getvalue()


class _Handler(QuietHandler, BaseHTTPRequestHandler):
    server: FakeCvat

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path.rstrip("/"), parse_qs(urlsplit(self.path).query)
        here = self.server
        if path == "/api/server/about":
            about = {"name": "CVAT", "description": "", "subtitle": "", "version": here.version, "logo_url": ""}
            self._json(about)
        elif path == "/api/tasks/1":
            self._json(here.task())
        elif path == "/api/labels":
            self._json({"count": len(here.labels), "next": None, "previous": None, "results": here.labels})
        elif path == "/api/tasks/1/data/meta":
            self._json(here.meta())
        elif path == "/api/tasks/1/data" and query["type"] == ["chunk"]:
            self.answer(200, here.chunk(int(query["number"][0])), ("Content-Type", "application/zip"))
        else:
            self._json({"detail": f"not in this fake: {self.path}"}, 404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/api/auth/login"):
            self._json({"key": "token"}, 200, ["sessionid=s; Path=/", "csrftoken=c; Path=/"])
        else:
            self._json({"detail": "ok"})

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.annotations.append(body)
        self._json({"version": 1, "tags": [], "shapes": [], "tracks": []})

    def do_PUT(self) -> None:  # in place of those that are there
        self.do_PATCH()

    def _json(self, value: object, status: int = 200, cookies: Sequence[str] = ()) -> None:
        headers = [("Content-Type", "application/vnd.cvat+json"), *(("Set-Cookie", cookie) for cookie in cookies)]
        self.answer(status, json.dumps(value).encode(), *headers)


@contextmanager
def running_cvat(images: Mapping[str, NDArray[np.uint8]], labels: Sequence[str]) -> Iterator[FakeCvat]:
    """A running one."""
    with serving(FakeCvat(images, labels)) as server:
        yield server
