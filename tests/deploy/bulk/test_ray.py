"""A real Ray with two processes and an object store on loopback; one test, since both start slowly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tag2mask.deploy.bulk import bulk_predict, read_masks
from tag2mask.inference import Segmenter
from tests.deploy.bulk.conftest import COUNT
from tests.helpers import write_tags

pytest.importorskip("fsspec", reason="fsspec is not installed")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(1200), pytest.mark.slow]


@pytest.fixture
def ray_of_two(bucket: str) -> Iterator[None]:
    """Ray with two processes, which inherit from the environment how to reach the object store."""
    ray: Any = pytest.importorskip("ray", reason="Ray is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000)
    yield
    ray.shutdown()


@pytest.mark.usefixtures("ray_of_two")
def test_ray_and_an_object_store(trained: Path, images: Path, bucket: str, tmp_path: Path) -> None:
    s3fs: Any = pytest.importorskip("s3fs", reason="s3fs is not installed")
    store, segmenter = s3fs.S3FileSystem(), Segmenter.from_pretrained(trained)
    names = sorted(path.relative_to(images).as_posix() for path in images.rglob("*.*"))
    cells = {name: ("disc", "disc ?square", "none")[k % 3] for k, name in enumerate(names[:-1])}
    store.put(f"{images}/", f"{bucket}/images/", recursive=True)
    store.put(str(write_tags(tmp_path / "tags.csv", cells)), f"{bucket}/tags.csv")
    source, out, tags = f"{bucket}/images", f"{bucket}/masks", f"{bucket}/tags.csv"
    outcome = bulk_predict(trained, source, out, engine="ray", tags=tags, device="cpu", workers=2, part_size=3)
    masks = dict(read_masks(out))
    assert (outcome.written, len(outcome.failures)) == (COUNT - 2, 1)  # one is damaged, one has no tags
    for name, mask in masks.items():
        present = ["disc"] if "disc" in cells[name] else []
        unknown = ["square"] if "?" in cells[name] else []
        np.testing.assert_array_equal(mask, segmenter.predict(images / name, present, unknown=unknown).mask, name)
    assert "truncated" in store.cat(f"{out}/failures.csv").decode()
    # One engine goes on where the other stopped.
    again = bulk_predict(trained, source, out, tags=tags, part_size=3)
    assert (again.written, again.kept) == (0, COUNT - 2)
