"""Images to work on in bulk, and an object store on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.helpers import TinyDataset

COUNT = 10


@pytest.fixture(scope="module")
def images(shapes: TinyDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten images, one of them damaged."""
    folder = tmp_path_factory.mktemp("bulk") / "images"
    (folder / "sub").mkdir(parents=True)
    for index, path in enumerate(sorted(shapes.images.iterdir())[:COUNT]):
        shutil.copy(path, folder / ("sub" if index % 2 else ".") / path.name)
    damaged = next((folder / "sub").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:200])
    return folder


@pytest.fixture(scope="package")
def object_store() -> Iterator[dict[str, str]]:
    """An S3 server on loopback; what the environment must say to reach it."""
    server: Any = pytest.importorskip("moto.server", reason="moto is not installed")
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    yield environment
    running.stop()


@pytest.fixture
def bucket(object_store: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket of that server."""
    s3fs: Any = pytest.importorskip("s3fs", reason="s3fs is not installed")

    for variable, value in object_store.items():
        monkeypatch.setenv(variable, value)
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"bucket-{uuid4().hex[:8]}"
    s3fs.S3FileSystem().mkdir(name)
    yield f"s3://{name}"
    s3fs.S3FileSystem.clear_instance_cache()
