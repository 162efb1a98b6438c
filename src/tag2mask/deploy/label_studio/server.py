"""Serving the backend until interrupted."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tag2mask.core.ending import told_to_end
from tag2mask.core.errors import ConfigError, DataError, Tag2MaskError
from tag2mask.core.extras import require
from tag2mask.core.hosts import in_url, is_loopback, known_hosts
from tag2mask.core.listening import BACKLOG, listen
from tag2mask.core.machine import usable_cores
from tag2mask.core.outcome import RESULT
from tag2mask.core.scratch import scratch_folder, sweep
from tag2mask.core.text import printable
from tag2mask.deploy.label_studio.addresses import AddressRules
from tag2mask.deploy.label_studio.backend import Collector, Model, PredictionOptions, Predictor
from tag2mask.deploy.label_studio.fetching import Fetcher
from tag2mask.deploy.label_studio.images import Folder, ImageSource
from tag2mask.deploy.label_studio.inbox import Inbox
from tag2mask.deploy.label_studio.project import HOME, opened
from tag2mask.deploy.label_studio.training import Trainer, TrainingPlan
from tag2mask.deploy.serving.limits import Limits
from tag2mask.deploy.serving.pool import BoundedPool
from tag2mask.inference import Segmenter

SCRATCH = "tag2mask-label-studio-"
"""How the name of the temporary folder of fetched images begins."""

_QUEUE = 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """Where images may come from.

    Attributes:
        url: address of Label Studio; None: nothing is fetched from it.
        token: of an account there.
        folders: of images on this machine.
        hosts: other hosts from which images are fetched.
        max_bytes: of a fetched image.
    """

    url: str | None = None
    token: str | None = None
    folders: Sequence[Path] = ()
    hosts: Sequence[str] = ()
    max_bytes: int = 64_000_000


@dataclass(frozen=True, slots=True)
class ProjectOptions:
    """Where annotations go.

    Attributes:
        folder: of a project; None: annotations are not taken over.
        tags: file of tags that a new project begins with.
        plan: when and how to train.
    """

    folder: Path | None = None
    tags: Path | None = None
    plan: TrainingPlan = field(default_factory=TrainingPlan)

    def __post_init__(self) -> None:
        if self.folder is None and (self.tags is not None or self.plan.after or self.plan.options):
            raise ConfigError("tags, and when and how to train, are those of a project; give its folder as `project`")


def serve_label_studio(
    model: str | Path | None,
    *,
    images: ImageOptions | None = None,
    project: ProjectOptions | None = None,
    predictions: PredictionOptions | None = None,
    options: Mapping[str, Any] | None = None,
    host: str = "127.0.0.1",
    port: int = 9090,
    password: str | None = None,
    allowed_hosts: Iterable[str] = (),
    device: str = "auto",
) -> None:
    """Serve a network to Label Studio until interrupted.

    Args:
        model: folder of a run, 'user/name' on the Hugging Face Hub, or an ONNX file; None: the newest run of `project`.
        images: where images may come from.
        project: where annotations go.
        predictions: how predictions are given.
        options: settings of prediction by dotted name.
        host: address to listen on.
        port: 0 takes a free one.
        password: that Label Studio has to send, with the user name `tag2mask`.
        allowed_hosts: names by which Label Studio reaches this server.
        device: as in `Segmenter.from_pretrained`.

    Raises:
        DataError: there is no network, or the project cannot be used.
        ConfigError: an option cannot be used.
        MissingExtraError: what serving needs is not installed.
    """
    images, project = images or ImageOptions(), project or ProjectOptions()
    hosts = known_hosts(host, allowed_hosts)
    uvicorn: Any = require("serve", "a backend for Label Studio", "uvicorn", "fastapi")
    from tag2mask.deploy.label_studio.app import Services, create_app
    from tag2mask.deploy.serving.connections import Connections

    sweep(SCRATCH)
    source = Path(model) if model is not None else newest_run(project.folder)
    limits = Limits()
    # One to two images at once: Label Studio asks for one task at a time, or for a batch in one request.
    loader = _Loader(options, device, max(1, usable_cores() // limits.parallel))
    network = Model(source.resolve().name.removesuffix(".onnx"), loader.load(source))
    with told_to_end(), scratch_folder(SCRATCH) as scratch, ExitStack() as stack:
        where = _source(images, project.folder, scratch)
        inbox, trainer = stack.enter_context(_collecting(project, network, where, loader))
        pool = BoundedPool(limits.parallel, _QUEUE)
        services = Services(Predictor(network, where, predictions or PredictionOptions()), inbox, trainer, pool)
        app = create_app(services, hosts=hosts, password=password)
        sockets = listen(host, port)
        if password is None and not is_loopback(host):
            _log.warning("listening on %s: anyone who reaches this machine may use it; there is no password", host)
        shown = sockets[0].getsockname()[1]
        _log.info("%s: %s", printable(source), ", ".join(network.current()[1].classes))
        _log.log(
            RESULT, "in Label Studio: Settings, Model, Connect Model, http://%s:%d; Ctrl+C ends", in_url(host), shown
        )
        config = uvicorn.Config(
            app,
            http=Connections(limits).protocol,
            ws="none",
            log_level="warning",
            backlog=BACKLOG,
            timeout_graceful_shutdown=int(limits.seconds),
            server_header=False,
        )
        uvicorn.Server(config).run(sockets=sockets)


def newest_run(folder: Path | None) -> Path:
    """Folder of the newest run of a project that has ended.

    Raises:
        ConfigError: no project was given.
        DataError: it has none.
    """
    if folder is None:
        raise ConfigError("give a model, or a `project` that has one")
    runs = folder / HOME / "runs"
    found = [path.parent for path in runs.glob("run-*/model.safetensors")] if runs.is_dir() else []
    if not found:
        raise DataError(f"{printable(runs)}: no trained network yet; give a model to begin with")
    return max(found, key=lambda path: int(path.name[4:]) if path.name[4:].isdecimal() else -1)


@dataclass(frozen=True, slots=True)
class _Loader:
    """Loads networks with the options of this server."""

    options: Mapping[str, Any] | None
    device: str
    threads: int

    def load(self, source: Path) -> Segmenter:
        loaded = Segmenter.from_pretrained(source, device=self.device, threads=self.threads)
        segmenter = loaded.with_options(self.options)
        # Compiles the dense CRF where that was not done yet, before the first person waits for it.
        segmenter.predict(np.zeros((64, 64, 3), np.uint8), segmenter.classes[:1])
        return segmenter


def _source(images: ImageOptions, project: Path | None, scratch: Path) -> ImageSource:
    if images.url is not None and not images.token:
        _log.warning("no token: uploads and local files are only seen where Label Studio shows them to everybody")
    rules = AddressRules(images.url, images.hosts)
    folders = [Folder(path) for path in images.folders]
    if project is not None and project.is_dir():
        folders.append(Folder(project))
    fetcher = Fetcher(rules, images.token, max_bytes=images.max_bytes)
    return ImageSource(rules, fetcher, folders, scratch=scratch)


@contextmanager
def _collecting(
    options: ProjectOptions, network: Model, images: ImageSource, loader: _Loader
) -> Iterator[tuple[Inbox | None, Trainer | None]]:
    """Take over annotations while the context lasts, where there is a project."""
    if options.folder is None:
        yield None, None
        return

    def replace(run: Path) -> None:
        try:
            network.replace(run.name, loader.load(run))
        except Tag2MaskError as error:
            _log.error("%s: not loaded (%s); predictions go on with the model before", run.name, error)
        else:
            _log.info("predictions come from %s now", run.name)

    with opened(options.folder, network.current()[1].classes, tags=options.tags) as project:
        trainer = Trainer(project, options.plan, replace)

        def changed() -> None:
            if trainer.due():
                trainer.start()

        inbox = Inbox(project.home / "label-studio", Collector(project, images, changed).handle)
        _log.info("annotations go into %s: %d images have tags", project.home, project.tagged())
        try:
            yield inbox, trainer
        finally:
            trainer.stop()
