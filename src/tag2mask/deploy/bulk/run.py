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
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.extras import require
from tag2mask.deploy.bulk.storage import Part, Store, find_parts
from tag2mask.deploy.bulk.table import Row, encode_rows, failure_row, mask_row, read_rows
from tag2mask.deploy.bulk.tags import Tagged, read_tags, tags_from_json, tags_of_parts
from tag2mask.images.decode import read_image
from tag2mask.inference.prediction import MaskMaker, Request
from tag2mask.masks import mask_path
from tag2mask.masks.palette_png import encode_mask

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
        known = None if row["tags"] is None else tags_from_json(row["tags"])
        rows: list[Row] = []
        written = 0
        for name, request in self._requests(part, known):
            if isinstance(request, str):
                rows.append(failure_row(name, request))
                continue
            try:
                prediction = self.predictor.predict(request.image, request.tags, maybe=request.maybe)
            except DataError as error:  # tags beside it in a shard may be anything
                rows.append(failure_row(name, str(error)))
                continue
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

    def _requests(self, part: Part, known: dict[str, Tagged] | None) -> Iterator[tuple[str, Request | str]]:
        """Decoded photographs, with their tags if `known` is not None, or why they are not."""
        with tempfile.TemporaryDirectory(prefix="tag2mask-") as folder:
            path = Path(folder) / "photograph"
            for name, content, beside in part.photographs():
                if isinstance(content, DataError):
                    yield name, str(content)
                    continue
                tagged: Tagged | None = None
                if known is not None:
                    tagged = known.get(name) or (None if beside is None else Tagged(beside))
                    if tagged is None:
                        yield name, f"{name}: no tags for this photograph"
                        continue
                path.write_bytes(content)
                try:
                    image = read_image(path)
                except DataError as error:
                    yield name, str(error).replace(str(path), name)
                    continue
                yield name, Request(image) if tagged is None else Request(image, tagged.tags, tagged.maybe)


def bulk_predict(
    model: str | Path,
    source: str,
    out: str,
    *,
    engine: Literal["local", "ray"] = "local",
    form: Form = "parquet",
    tags: str | Path | bool = False,
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
        tags: False: the network says what is there. A file of tags, local or an address, with the photographs' names
            below `source` (`SHARD/MEMBER` in shards): only tagged classes get pixels, and photographs without tags
            no mask. True: tags are in the shards, as the list `tags` of the `.json` beside each photograph.
        workers: with Ray, processes at work; None: one a core.
        part_size: photographs that are written at once: what an interruption loses at most, per worker.
        report: called with lines for people.

    Raises:
        ConfigError: `out` holds results of another network, or with tags where these are without.
        DataError: there is no photograph, the file of tags makes no sense, or the storage fails.
    """
    store = Store(out)
    predictor = load(str(model))
    known: dict[str, Tagged] | None = {} if tags else None

    def choose(names: list[str] | None) -> list[str]:
        if isinstance(tags, bool):
            if tags and names is not None:
                raise DataError(
                    f"{source}: no tags; give the file of tags with --tags (only shards may hold their own)"
                )
            return names or []
        assert known is not None
        known.update(read_tags(str(tags), str(source), names, predictor.classes, report))
        return list(known)

    parts, kept = find_parts(str(source), _done(store, form), size=part_size, choose=choose)
    _claim(store, predictor, tagged=bool(tags))
    outcome = BulkOutcome(out, kept=kept)
    report(f"{len(parts)} parts to do, {kept} photographs or shards done already")
    for number, result in enumerate(_results(parts, known, str(model), out, form, engine, workers), start=1):
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
    parts: Sequence[Part],
    known: dict[str, Tagged] | None,
    model: str,
    out: str,
    form: Form,
    engine: str,
    workers: int | None,
) -> Iterator[dict[str, Any]]:
    tags = [None] * len(parts) if known is None else tags_of_parts(parts, known)
    rows = [{"part": part.to_json(), "tags": some} for part, some in zip(parts, tags, strict=True)]
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


def _claim(store: Store, predictor: MaskMaker, *, tagged: bool) -> None:
    """Record which network the results come from, and whether tags were given; refuse to mix two."""
    about: dict[str, Any] = {"network": predictor.fingerprint(), "classes": list(predictor.classes)}
    if tagged:
        about["tags"] = "given"
    if ABOUT in store.names(ABOUT):
        if json.loads(store.read(ABOUT)) != about:
            raise ConfigError(
                f"{store.url}: results of other weights or settings, or with tags where these "
                "are without, are here; choose another --out"
            )
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
