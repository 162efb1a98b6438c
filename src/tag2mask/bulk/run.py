"""The work itself: parts to workers, results to storage, once each."""

from __future__ import annotations

import csv
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from tag2mask.api import load
from tag2mask.bulk.storage import Part, Store, find_parts
from tag2mask.bulk.table import Row, encode_rows, failure_row, mask_row, read_rows
from tag2mask.errors import ConfigError, DataError
from tag2mask.extras import require
from tag2mask.images import read_image
from tag2mask.masks_io import mask_path
from tag2mask.masks_io.palette_png import encode_mask
from tag2mask.prediction import MaskMaker, Request

Form = Literal["parquet", "png"]
ABOUT = "about.json"
FAILURES = "failures.csv"


@dataclass(slots=True)
class BulkOutcome:
    """What became of the photographs.

    Attributes:
        out: address of the results.
        written: masks written now.
        kept: photographs (or shards) that had their results already.
        failures: name and reason of each photograph without a mask, also of earlier runs.
        seconds: that all workers together spent on the photographs.
    """

    out: str
    written: int = 0
    kept: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    def summary(self) -> str:
        """One line for people."""
        parts = [f"{self.written} masks written to {self.out}"]
        if self.kept:
            parts.append(f"{self.kept} were there already")
        if self.failures:
            parts.append(f"{len(self.failures)} images failed, listed in {FAILURES}")
        return ", ".join(parts)


class Worker:
    """Loads the network once and works on part after part; Ray makes one in each of its processes."""

    def __init__(self, model: str, out: str, form: Form, threads: int | None = None):
        if threads is not None:
            _limit_threads(threads)
        self.predictor: MaskMaker = load(model)
        self.store = Store(out)
        self.form = form

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Work on the part that `row` holds; its counts."""
        part, started = Part.from_json(row["part"]), time.monotonic()
        rows: list[Row] = []
        written = 0
        for name, request in self._requests(part):
            if isinstance(request, str):
                rows.append(failure_row(name, request))
                continue
            prediction = self.predictor.predict(request.image)
            written += 1
            if self.form == "png":
                content = encode_mask(prediction.mask, classes=len(self.predictor.classes))
                self.store.write(mask_path(Path(), name).as_posix(), content)
            else:
                rows.append(mask_row(name, prediction.mask, self.predictor.classes, prediction.doubt.total))
        if self.form == "parquet" or rows or part.shard is not None:  # of PNGs: what failed, and that a shard is done
            folder = "" if self.form == "parquet" else "parts/"
            self.store.write(f"{folder}{part.name}.parquet", encode_rows(rows))
        return {"written": written, "seconds": time.monotonic() - started}

    def _requests(self, part: Part) -> Iterator[tuple[str, Request | str]]:
        """Decoded photographs, or why they are not."""
        with tempfile.TemporaryDirectory(prefix="tag2mask-") as folder:
            path = Path(folder) / "photograph"
            for name, content in part.photographs():
                if isinstance(content, DataError):
                    yield name, str(content)
                    continue
                path.write_bytes(content)
                try:
                    yield name, Request(read_image(path))
                except DataError as error:
                    yield name, str(error).replace(str(path), name)


def bulk_predict(
    model: str | Path,
    source: str,
    out: str,
    *,
    engine: Literal["local", "ray"] = "local",
    form: Form = "parquet",
    workers: int | None = None,
    part_size: int = 64,
    report: Callable[[str], None] = lambda line: None,
) -> BulkOutcome:
    """Write masks of photographs on any storage; running it again does only what is missing.

    Args:
        model: folder of a run, 'user/name' on the Hub, or an ONNX file; every worker must reach it.
        source: folder of photographs or of tar shards (as WebDataset has them), local or an address of fsspec.
        out: folder for the results, local or an address.
        engine: 'local': this process; 'ray': Ray Data, on the cluster of RAY_ADDRESS or on this machine.
        form: 'parquet': tables with run lengths; 'png': palette PNGs.
        workers: with Ray, processes at work; None: one a core.
        part_size: photographs that are written at once: what an interruption loses at most, per worker.
        report: called with lines for people.

    Raises:
        ConfigError: `out` holds results of another network.
        DataError: there is no photograph, or the storage fails.
    """
    store = Store(out)
    _claim(store, load(str(model)))
    parts, kept = find_parts(str(source), _done(store, form), size=part_size)
    outcome = BulkOutcome(out, kept=kept)
    report(f"{len(parts)} parts to do, {kept} photographs or shards done already")
    for number, result in enumerate(_results(parts, str(model), out, form, engine, workers), start=1):
        outcome.written += int(result["written"])
        outcome.seconds += float(result["seconds"])
        if number == len(parts) or number % max(1, len(parts) // 20) == 0:
            report(f"part {number} of {len(parts)}, {outcome.written} masks")
    outcome.failures = _failures(store, form)
    if outcome.failures:
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows([("image", "reason"), *outcome.failures])
        store.write(FAILURES, stream.getvalue().encode())
    return outcome


def _results(
    parts: Sequence[Part], model: str, out: str, form: Form, engine: str, workers: int | None
) -> Iterator[dict[str, Any]]:
    rows = [{"part": part.to_json()} for part in parts]
    if not rows:
        return
    if engine == "local":
        worker = Worker(model, out, form)
        yield from (worker(row) for row in rows)
        return
    if engine != "ray":
        raise ConfigError(f"--engine {engine}: expected local or ray")
    ray: Any = require("scale", "the engine ray", "ray")
    require("scale", "the engine ray", "ray", "pyarrow")
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    from ray.data import ActorPoolStrategy, DataContext, from_items

    DataContext.get_current().enable_progress_bars = False
    count = min(len(rows), workers or int(ray.cluster_resources().get("CPU", 1)))
    worker_class: Any = Worker  # Ray makes one in each process
    results = from_items(rows, override_num_blocks=len(rows)).map(
        worker_class,
        fn_constructor_kwargs={"model": model, "out": out, "form": form, "threads": 1},
        compute=ActorPoolStrategy(size=count),
        num_cpus=1,
    )
    yield from results.iter_rows()


def _claim(store: Store, predictor: MaskMaker) -> None:
    """Record which network the results come from; refuse to mix two."""
    about = {"network": predictor.fingerprint(), "classes": list(predictor.classes)}
    if ABOUT in store.names(ABOUT):
        if json.loads(store.read(ABOUT)) != about:
            raise ConfigError(f"{store.url}: results of other weights or settings are here; choose another --out")
        return
    store.write(ABOUT, json.dumps(about, ensure_ascii=False, indent=1).encode())
    store.write("classes.txt", "".join(f"{name}\n" for name in predictor.classes).encode())


def _done(store: Store, form: Form) -> Callable[[str], bool]:
    """What tells whether a photograph or a shard's part has its results; failed photographs are tried again."""
    tables = store.names(".parquet")
    found = {PurePosixPath(name).stem for name in tables}
    if form == "png":
        masks = set(store.names(".png"))
        return lambda name: name in found or mask_path(Path(), name).as_posix() in masks
    for table in tables:
        found |= {row["name"] for row in read_rows(store, table, ["name", "error"]) if row["error"] is None}
    return lambda name: name in found


def _failures(store: Store, form: Form) -> list[tuple[str, str]]:
    """Photographs that have failed and have no mask from a later run."""
    is_done = _done(store, form)
    failed: dict[str, str] = {}
    for table in store.names(".parquet"):
        for row in read_rows(store, table, ["name", "error"]):
            if row["error"] is not None and not is_done(row["name"]):
                failed[row["name"]] = row["error"]
    return sorted(failed.items())


def _limit_threads(threads: int) -> None:
    """One worker a core: none takes the others' cores."""
    import os

    os.environ["LOCAL_WORLD_SIZE"] = str(max(1, (os.cpu_count() or 1) // threads))
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(threads)
