"""Masks of images on any storage: parts to workers, results to storage, each once."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal, get_args

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.extras import require
from tag2mask.core.files import sweep_temporary
from tag2mask.core.lock import locked
from tag2mask.core.outcome import FAILURES, Outcome
from tag2mask.core.progress import progress_bar
from tag2mask.core.record import ImageRecord
from tag2mask.core.text import printable
from tag2mask.deploy.bulk.listing import Listed, list_source
from tag2mask.deploy.bulk.parts import Part, image_parts, shard_parts
from tag2mask.deploy.bulk.results import Target, claim, done, write_failures
from tag2mask.deploy.bulk.storage import Store
from tag2mask.deploy.bulk.tags import read_tags
from tag2mask.deploy.bulk.worker import RayWorker, Worker
from tag2mask.inference import Segmenter
from tag2mask.masks import mask_path

Engine = Literal["local", "ray"]

_log = logging.getLogger(__name__)


def bulk_predict(
    model: str | Path,
    source: str,
    out: str,
    *,
    engine: Engine = "local",
    to: Target = "parquet",
    tags: str | Path | bool = False,
    device: str = "auto",
    workers: int | None = None,
    part_size: int = 64,
    progress: bool = True,
) -> Outcome:
    """Write masks of images on any storage; the same call again does only what is missing.

    Args:
        model: folder of a run, 'user/name' on the Hugging Face Hub, or an ONNX file; every worker must reach it.
        source: an image, a folder of images or of tar shards (as WebDataset has them), local or an address of fsspec.
        out: folder of the results, local or an address.
        engine: 'local': this process; 'ray': Ray Data, on the cluster of RAY_ADDRESS or on this machine.
        to: 'parquet': tables with run lengths; 'png': palette PNGs.
        tags: False: the network decides on all classes. A file of tags, local or an address, with names below
            `source` (`SHARD/MEMBER` in shards): only tagged classes get pixels, and images without tags no mask.
            True: the tags are in the shards, as the list `tags` of the `.json` beside each image.
        device: 'auto', 'cpu', 'cuda', ... With Ray, 'cuda' and 'auto' share out the GPUs of the cluster.
        workers: with Ray, the number of processes; None: one for each GPU that is used, else for each core.
        part_size: images whose results are written at once: the most that an interruption loses, for each worker.
        progress: show a progress bar.

    Returns:
        Masks written now, images (or shards) that had their results before, and failures, also of earlier calls.

    Raises:
        ConfigError: `out` holds other results (of another network, or with tags where these are without).
        DataError: there is no image, the file of tags makes no sense, or the storage fails.
    """
    _check("engine", engine, get_args(Engine))
    _check("to", to, get_args(Target))
    onnx = Path(model).suffix.lower() == ".onnx"
    if onnx and device == "auto":
        device = "cpu"
    # With Ray, this process needs only the classes and the fingerprint; its machine may have no GPU.
    segmenter = Segmenter.from_pretrained(model, device=device if engine == "local" or onnx else "cpu")
    store = Store(out)
    found = list_source(source)
    if to == "png":
        _refuse_replacing(Store.of_source(source), store, found.images)
    with locked(Path(store.root)) if store.local else nullcontext():
        if store.local:
            sweep_temporary(Path(store.root))
        parts, kept = _parts(source, found, tags, segmenter.classes, store, to, part_size)
        claim(store, segmenter, tagged=bool(tags))
        _log.info("%d parts to do, %d images or shards are done already", len(parts), kept)
        rows = [{"part": part.to_json()} for part in parts]
        options: dict[str, Any] = {"to": to, "tagged": bool(tags)}
        if engine == "local":
            results: Iterator[dict[str, Any]] = map(Worker(segmenter, out, **options), rows)
        else:
            results = _on_ray(rows, workers, {"model": str(model), "out": out, "device": device, **options})
        outcome = Outcome(out, kept=kept)
        _collect(results, outcome, len(parts), progress=progress)
        outcome.failures = write_failures(store, to, found.failures)
    if outcome.failures:
        outcome.notes.append(f"failures are listed in {FAILURES}")
    return outcome


def _refuse_replacing(source: Store, out: Store, names: Sequence[str]) -> None:
    """Refuse an address at which a mask would replace an image.

    Raises:
        ConfigError: there is such a mask.
    """
    if type(source.fs) is not type(out.fs):
        return
    images = {source.path(name) for name in names}
    for name in names:
        if out.path(mask_path(Path(), name).as_posix()) in images:
            raise ConfigError(
                f"`out` {printable(out.url)}: the image {printable(name)} would be replaced by its mask; choose another"
            )


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"`{name}` {value}: expected {' or '.join(known)}")


def _collect(results: Iterator[dict[str, Any]], outcome: Outcome, total: int, *, progress: bool) -> None:
    """Count the masks of all parts as they are done."""
    seconds = 0.0
    with progress_bar("parts", total, shown=progress) as advance:
        for result in results:
            outcome.written += int(result["written"])
            seconds += float(result["seconds"])
            advance()
    if outcome.written:
        outcome.notes.append(f"{seconds:.0f} s of work")


def _parts(
    source: str, found: Listed, tags: str | Path | bool, classes: Sequence[str], store: Store, to: Target, size: int
) -> tuple[list[Part], int]:
    """The parts without results, and how many images or shards have theirs."""
    names, shards = found.images, found.shards
    if tags is True and not shards:
        raise DataError(f"{source}: no tags; name the file of tags in `tags` (only shards may hold their own)")
    records = [ImageRecord(name) for name in names]
    if not isinstance(tags, bool):
        records = read_tags(str(tags), source, None if shards else names, classes)
    is_done = done(store, to)
    if shards:
        parts = shard_parts(source, shards, records)
        left = [part for part in parts if not is_done(part.name)]
        return left, len(parts) - len(left)
    todo = [record for record in records if not is_done(record.name)]
    return image_parts(source, todo, size), len(records) - len(todo)


def _on_ray(rows: list[dict[str, Any]], workers: int | None, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Results of `RayWorker(**arguments)` on each row."""
    if not rows:
        return
    require("scale", "the engine ray", "ray", "pyarrow")
    ray: Any = require("scale", "the engine ray", "ray")
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    from ray.data import ActorPoolStrategy, DataContext, from_items

    DataContext.get_current().enable_progress_bars = False
    count, gpus = _workers_and_gpus(ray.cluster_resources(), arguments["device"], workers)
    worker_class: Any = RayWorker  # Ray makes one in each process
    results = from_items(rows, override_num_blocks=len(rows)).map(
        worker_class,
        fn_constructor_kwargs=arguments,
        compute=ActorPoolStrategy(size=min(len(rows), count)),
        num_cpus=1,
        num_gpus=gpus or None,
    )
    yield from results.iter_rows()


def _workers_and_gpus(resources: dict[str, float], device: str, workers: int | None) -> tuple[int, float]:
    """Number of workers, and the share of a GPU that each one has.

    Args:
        resources: of the cluster.
        device: as in `bulk_predict`.
        workers: as in `bulk_predict`.

    Raises:
        ConfigError: a GPU is asked for and there is none, or a certain one, which is for Ray to choose.
    """
    if ":" in device:
        raise ConfigError(f"`device` {device}: Ray chooses the GPU of each worker; use '{device.partition(':')[0]}'")
    gpus = int(resources.get("GPU", 0)) if device in ("auto", "cuda") else 0
    if device == "cuda" and not gpus:
        raise ConfigError("`device` cuda: Ray's cluster has no GPU; use 'cpu'")
    if not gpus:
        return workers or max(1, int(resources.get("CPU", 1))), 0.0
    count = workers or gpus
    return count, 1 / math.ceil(count / gpus)
