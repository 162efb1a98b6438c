"""A trained network: images in, masks out. What command line, studio, server and Ray workers use.

`predict` takes an RGB array, `evidence` runs the network on it and combines the outputs, `finish` applies the CRF.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.config.schema import Config, PredictionConfig
from tag2mask.core.errors import ConfigError
from tag2mask.core.extras import require
from tag2mask.core.machine import usable_cores
from tag2mask.core.record import ImageRecord
from tag2mask.images.reading import Reading
from tag2mask.images.resize import scaled_size
from tag2mask.inference.backends import Backend
from tag2mask.inference.inputs import ImageInput, as_rgb
from tag2mask.inference.memory import InWork, memory_bound
from tag2mask.inference.prediction import Prediction
from tag2mask.inference.tag_states import Tags, tag_states
from tag2mask.inference.views import PixelSource, run_views
from tag2mask.method.class_scores import ClassScores, class_scores
from tag2mask.method.evidence import Evidence, combine
from tag2mask.method.memory import MemoryBound
from tag2mask.method.output import NetworkOutput
from tag2mask.method.tiling import CRF_PIXELS, segment
from tag2mask.method.uncertainty import with_missing

if TYPE_CHECKING:
    from tag2mask.core.outcome import Outcome
    from tag2mask.data.dataset import Dataset
    from tag2mask.inference.backends.torch import TorchBackend
    from tag2mask.portable.onnx_metadata import Metadata

_MOST_THREADS = 8


class Segmenter:
    """A trained network with its classes and settings.

    Example, in a folder with a trained network and images of discs and squares:
        >>> segmenter = Segmenter.from_pretrained("runs/mine")
        >>> segmenter.classes
        ('disc', 'square')
        >>> segmenter.predict("photos/shape_000.png", tags="disc").found
        ('disc',)
        >>> print(segmenter.predict_folder("photos", "masks", tags="tags.csv", progress=False).summary())
        48 masks written to masks
    """

    def __init__(self, backend: Backend, *, threads: int | None = None):
        """Take a loaded network; `from_pretrained` is the usual way.

        Args:
            backend: the network, on PyTorch or ONNX Runtime.
            threads: images (or blocks of a large one) whose dense CRF runs at once; None: one a core, at most 8.
        """
        self.backend = backend
        self.threads = threads or min(_MOST_THREADS, usable_cores())

    @classmethod
    def from_pretrained(
        cls, source: str | PathLike[str], *, device: str = "auto", threads: int | None = None
    ) -> Segmenter:
        """Load a trained network.

        Args:
            source: folder that `train` or `save_pretrained` wrote, 'user/name' on the Hugging Face Hub, or ONNX file.
            device: 'auto', 'cpu', 'cuda', 'cuda:1', ...; an ONNX file runs on the CPU.
            threads: cores to use; None: all that the process may use.

        Raises:
            DataError: there is no trained network.
            WeightsError: its files are damaged.
            MissingExtraError: what it runs on is not installed.
        """
        if Path(source).suffix.lower() == ".onnx":
            from tag2mask.inference.backends.onnx import OnnxBackend

            if device not in ("auto", "cpu"):
                raise ConfigError(f"{source}: an ONNX file runs on the CPU, `device` is {device}; leave it out")
            return cls(OnnxBackend.load(Path(source), threads=threads), threads=threads)
        require("train", f"{source}: running a network on PyTorch")
        from tag2mask.inference.backends.torch import TorchBackend
        from tag2mask.models.checkpoint import RunFolder, load_model
        from tag2mask.portable.hub import fetch, is_hub_name

        folder = fetch(Path(source).as_posix()) if is_hub_name(source) else Path(source)
        network, classes, config = load_model(RunFolder(folder))
        return cls(TorchBackend(network, classes, config, device=device), threads=threads)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the C classes, without background; class index k is `classes[k - 1]`."""
        return self.backend.classes

    @property
    def config(self) -> Config:
        """The configuration of the run that trained the network."""
        return self.backend.config

    @property
    def reading(self) -> Reading:
        """Bands and range of values of the images that the network was trained on: files are read so here, too."""
        return Reading.of(self.config.data)

    def fingerprint(self) -> str:
        """SHA-256 of weights and settings: masks with the same one come from the same network."""
        return self.backend.fingerprint()

    def with_options(self, options: Mapping[str, Any] | None) -> Segmenter:
        """The same network with other settings of prediction, by dotted name, e.g. `{"prediction.gate": 0.1}`.

        Raises:
            ConfigError: an unknown setting, a value out of range, or one that only training has.
        """
        for name in options or {}:
            if not name.startswith("prediction."):
                raise ConfigError(f"{name}: a trained network takes settings of prediction alone, e.g. prediction.gate")
        if not options:
            return self
        backend = copy(self.backend)
        backend.config = self.config.override(options)
        return Segmenter(backend, threads=self.threads)

    def predict(
        self,
        image: ImageInput,
        tags: Tags = None,
        *,
        unknown: Tags = None,
        settings: PredictionConfig | None = None,
        max_memory: int | str | None = None,
    ) -> Prediction:
        """Segment one image.

        Args:
            image: a file, PIL image, array or tensor; see `tag2mask.inference.inputs.as_rgb`.
            tags: names of the classes that are present; a text is one name; None: the network decides on all classes.
            unknown: beside `tags`, classes of which nothing is known: the network decides on these.
            settings: gate, scales, CRF, ...; None: those of the run.
            max_memory: bytes that the process may take, such as "2GiB"; see `tag2mask.inference.memory`.

        Raises:
            ConfigError: `max_memory` is no amount, or too small for any image.
            DataError: no image, an unknown name, or an image that `max_memory` cannot hold.
        """
        settings = settings or self.config.prediction
        bound = memory_bound(self.backend, settings, max_memory)
        pixels = as_rgb(image, self.reading)
        present, open_classes = tag_states(self.classes, tags, unknown)
        evidence = self._evidence(pixels, present, open_classes, settings)
        return self._finish(pixels, evidence, present, settings, bound=bound)

    def predict_many(
        self,
        images: Iterable[tuple[ImageInput, ImageRecord | Tags]],
        *,
        settings: PredictionConfig | None = None,
        max_memory: int | str | None = None,
        known: Callable[[ImageRecord], list[NetworkOutput] | None] | None = None,
    ) -> Iterator[Prediction]:
        """Segment many images in order; the dense CRF of one runs beside the network of the next, memory permitting.

        Args:
            images: pairs of an image and its tags: names, None, or an `ImageRecord` whose `tags` and `unknown` count.
            settings: None: those of the run.
            max_memory: as in `predict`; None: half of this machine's memory, for how many images are in work at once.
            known: the network's outputs on the views of a record's image where they are known; None: it is run.

        Raises:
            ConfigError, DataError: as `predict`.
        """
        settings = settings or self.config.prediction
        bound = memory_bound(self.backend, settings, max_memory)
        work: InWork[Prediction] = InWork(bound.available, self.threads)
        with ThreadPoolExecutor(self.threads) as pool:
            for image, tags in images:
                pixels = as_rgb(image, self.reading)
                del image
                shape = (pixels.shape[0], pixels.shape[1])
                given = (tags.tags, tags.unknown) if isinstance(tags, ImageRecord) else (tags, None)
                present, open_classes = tag_states(self.classes, *given)
                cost = bound.cost(shape, len(self.classes) + 1, CRF_PIXELS)
                yield from work.beside(cost)
                views = known(tags) if known is not None and isinstance(tags, ImageRecord) else None
                evidence = self._evidence(pixels, present, open_classes, settings, views)
                del views
                future = pool.submit(self._finish, pixels, evidence, present, settings, threads=1, bound=bound)
                work.add(cost, future)
                del pixels, evidence, future
                yield from work.beside(bound.next_cost(shape))
            yield from work.rest()

    def predict_folder(
        self,
        images: str | PathLike[str] | Dataset,
        out: str | PathLike[str],
        *,
        tags: str | PathLike[str] | None = None,
        to: str = "png",
        overlays: str | PathLike[str] | None = None,
        confidence: str | PathLike[str] | None = None,
        confidence_bits: int = 8,
        options: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        strict: bool = False,
        progress: bool = True,
        max_memory: int | str | None = None,
    ) -> Outcome:
        """Write a mask for every image of a folder or a dataset; the same call again does what is missing.

        Args:
            images: an image, a folder of images, or a dataset: its tags then say which classes may get pixels.
            out: folder of the masks: palette PNGs by name, `classes.txt`, `uncertainty.csv`, and `failures.csv` with
                the reason of each image without a mask. It may lie in the folder of images.
            tags: file of tags of the images in the folder; None: the network decides on all classes.
            to: "png"; "geotiff": TIFF with transform and CRS of its image, of images of any size; or "tiff": likewise,
                of images without a CRS, too.
            overlays: folder for the images with their masks laid over, as JPEG.
            confidence: folder for the probability of each pixel's class, as grey PNG.
            confidence_bits: of those, 8 or 16.
            options: settings of prediction by dotted name, on top of the run's.
            overwrite: replace masks that are there.
            strict: stop at the first unreadable image instead of skipping it.
            progress: show a progress bar.
            max_memory: as in `predict_many`; an image that cannot be held is a failure.

        Raises:
            ConfigError: `out` holds masks of another network and `overwrite` is off, a result would replace an image,
                or an option cannot be used.
            DataError: there is no image, the tags make no sense, `out` cannot be written to, or another process is
                writing there.
        """
        from tag2mask.inference.find_images import find_images
        from tag2mask.inference.folder import FolderOptions, write_masks

        segmenter = self.with_options(options)
        chosen = FolderOptions(
            out=Path(out),
            to=to,
            overlays=None if overlays is None else Path(overlays),
            confidence=None if confidence is None else Path(confidence),
            confidence_bits=confidence_bits,
            overwrite=overwrite,
            strict=strict,
            progress=progress,
            max_memory=max_memory,
        )
        found = find_images(images, tags, segmenter.classes, out=chosen.out, strict=strict)
        return write_masks(segmenter, found.records, chosen, failures=found.failures, problems=found.problems)

    def steps(
        self, image: ImageInput, tags: str | Iterable[str], *, deep: bool = False
    ) -> tuple[ClassScores, NDArray[np.intp]]:
        """Every step of the method before the dense CRF, for looking at.

        Args:
            image: as in `predict`.
            tags: names of the present classes.
            deep: class maps and prior of the last features, also where the network has a contrast head.

        Returns:
            Class maps, prior, background and class scores at the image's size, and (K,) positions of present classes.
        """
        pixels = as_rgb(image, self.reading)
        shape = (pixels.shape[0], pixels.shape[1])
        present, _ = tag_states(self.classes, tags)
        assert present is not None
        positions = np.flatnonzero(present)
        [view] = run_views(self.backend, pixels, side=self.config.data.image_size, scales=(1.0,), flip=False)
        if deep:
            view = replace(view, contrast_logits=None, contrast_prior=None)
        return class_scores(view, positions, shape, self.config.masks, self.config.paper), positions

    def evidence(
        self,
        image: NDArray[np.uint8] | PixelSource,
        tags: Tags = None,
        *,
        unknown: Tags = None,
        settings: PredictionConfig | None = None,
    ) -> Evidence:
        """What is known of an image (H, W, 3) uint8 RGB, or read by tiles, before the CRF; arguments as `predict`."""
        present, open_classes = tag_states(self.classes, tags, unknown)
        return self._evidence(image, present, open_classes, settings or self.config.prediction)

    def finish(
        self,
        image: NDArray[np.uint8],
        evidence: Evidence,
        tags: Tags = None,
        *,
        settings: PredictionConfig | None = None,
    ) -> Prediction:
        """From the evidence of an image (H, W, 3) uint8 RGB to its prediction; `settings.crf` may have changed."""
        present, _ = tag_states(self.classes, tags)
        return self._finish(image, evidence, present, settings or self.config.prediction)

    def save_pretrained(self, folder: str | PathLike[str]) -> Path:
        """Write the network into a folder that `from_pretrained` reads: `model.safetensors` and `model.yaml`.

        Raises:
            ConfigError: the network runs on ONNX Runtime.
            DataError: the folder cannot be written to.
        """
        from tag2mask.models.checkpoint import RunFolder, save_model

        backend = self._on_torch("`save_pretrained`")
        run = RunFolder(Path(folder))
        save_model(run, backend.network, self.classes, self.config)
        return run.root

    def export_onnx(self, path: str | PathLike[str]) -> Metadata:
        """Write the network as one ONNX file of any batch and image size, with its classes and settings inside.

        Raises:
            ConfigError: the network runs on ONNX Runtime already, or the name does not end in .onnx.
            MissingExtraError: what the export needs is not installed.
        """
        backend = self._on_torch("`export_onnx`")
        from tag2mask.portable.onnx_export import export_onnx

        return export_onnx(backend.network, self.classes, self.config, Path(path))

    def push_to_hub(self, name: str, **options: Any) -> str:
        """Put the network on the Hugging Face Hub under 'user/name'; see `tag2mask.portable.hub.push_to_hub`."""
        from tempfile import TemporaryDirectory

        from tag2mask.portable.hub import push_to_hub

        with TemporaryDirectory(prefix="tag2mask-") as folder:
            return push_to_hub(self.save_pretrained(folder), name, **options)

    def _on_torch(self, purpose: str) -> TorchBackend:
        require("train", purpose)
        from tag2mask.inference.backends.torch import TorchBackend

        if not isinstance(self.backend, TorchBackend):
            raise ConfigError(
                f"{purpose}: this network was loaded from an ONNX file; load it from the folder of its run"
            )
        return self.backend

    def _evidence(
        self,
        image: NDArray[np.uint8] | PixelSource,
        present: NDArray[np.bool_] | None,
        unknown: NDArray[np.bool_],
        settings: PredictionConfig,
        views: list[NetworkOutput] | None = None,
    ) -> Evidence:
        side, seen = self._seen(image, settings)
        if views is None:
            views = run_views(
                self.backend, image, side=side, scales=settings.scales, flip=settings.flip, tile=settings.tile
            )
        return combine(views, seen, self.config, settings, present=present, unknown=unknown)

    def _finish(
        self,
        image: NDArray[np.uint8],
        evidence: Evidence,
        present: NDArray[np.bool_] | None,
        settings: PredictionConfig,
        *,
        threads: int | None = None,
        bound: MemoryBound | None = None,
    ) -> Prediction:
        side, seen = self._seen(image, settings)
        scale = max(image.shape[:2]) / side
        mask, probs = segment(
            image,
            evidence,
            settings.crf,
            seen=seen,
            pixel_scale=scale,
            limited=bool(settings.tile),
            threads=threads or self.threads,
            bound=bound,
        )
        uncertainty = with_missing(evidence.uncertainty, mask, present)
        return Prediction(mask, probs, evidence.tag_probs, self.classes, uncertainty, image)

    def _seen(self, image: NDArray[np.uint8] | PixelSource, settings: PredictionConfig) -> tuple[int, tuple[int, int]]:
        """Long side and size (H, W) at which the network sees an image at scale 1."""
        shape = (image.shape[0], image.shape[1])
        wanted = self.config.data.image_size if settings.image_size is None else settings.image_size
        side = wanted or max(shape)
        return side, scaled_size(shape, side, multiple=self.backend.input_multiple)
