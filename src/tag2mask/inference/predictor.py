"""Image, with or without tags, to mask: the one way, behind command line, web page and library."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tag2mask.config.schema import Config, PredictionConfig
from tag2mask.core.constants import Tag
from tag2mask.core.errors import ConfigError
from tag2mask.images.decode import scaled_size
from tag2mask.inference.prediction import MaskMaker, Prediction, Request, Scores, check_image, seen_side
from tag2mask.method.blocks import CRF_PIXELS, crf_size
from tag2mask.method.large import Coarse, mask_by_blocks, stack_grid
from tag2mask.method.refine import foreground_first
from tag2mask.method.tiles import Tile, tiled_pass, tiles_of, window_logits
from tag2mask.method.torch_generate import Pass, averaged_stack, gated_probs, mask_steps, unflip
from tag2mask.method.uncertainty import Doubt, doubt_of
from tag2mask.models import Recognition, TagSegmenter
from tag2mask.models.checkpoint import RunFolder, load_model
from tag2mask.models.precision import autocast
from tag2mask.portable.hub import fetch, is_hub_name
from tag2mask.training.transforms import network_input, resize, to_tensor

_MULTIPLE = 32
_MEDIAN_PLACES = 200_000

__all__ = ["Prediction", "Predictor", "Request", "Steps", "choose_device"]


@dataclass(frozen=True, slots=True)
class Steps:
    """Each step of the method for one photograph, at its size (H, W), values in [0, 1].

    Attributes:
        classes: names of the K present classes.
        maps: (K, H, W) class maps.
        prior: (H, W) foreground prior.
        background: (H, W) background map.
        stack: (K + 1, H, W) background and class maps as probabilities.
        indices: (K,) class indices of `classes`.
    """

    classes: tuple[str, ...]
    maps: NDArray[np.float32]
    prior: NDArray[np.float32]
    background: NDArray[np.float32]
    stack: NDArray[np.float32]
    indices: NDArray[np.uint8]

    def thresholded(self, threshold: float) -> NDArray[np.uint8]:
        """Plain thresholded CAM: the best class map where it exceeds `threshold`, else background."""
        if not self.classes:
            return np.zeros(self.prior.shape, dtype=np.uint8)
        best = self.indices[self.maps.argmax(axis=0)]
        return np.where(self.maps.max(axis=0) > threshold, best, 0).astype(np.uint8)


class Predictor(MaskMaker):
    """A trained network with its classes and settings.

    Attributes:
        classes: names, without background; class index k is `classes[k - 1]`.
        config: the configuration of its run.
    """

    def __init__(
        self,
        network: TagSegmenter,
        classes: Sequence[str],
        config: Config,
        *,
        device: str | torch.device = "auto",
    ):
        self.classes = tuple(classes)
        self.config = config
        self.device = choose_device(device)
        self.network = network.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    @classmethod
    def load(cls, run: str | Path, *, device: str | torch.device = "auto") -> Predictor:
        """Read the trained network of a run's folder, or of 'user/name' on the Hugging Face Hub.

        Raises:
            DataError: no trained network there.
            WeightsError: damaged files.
        """
        if is_hub_name(run):
            run = fetch(Path(run).as_posix())
        network, classes, config = load_model(RunFolder(Path(run)))
        return cls(network, classes, config, device=device)

    def fingerprint(self) -> str:
        """Digest of weights and settings: masks with the same one come from the same network."""
        digest = hashlib.sha256(self.config.prediction.model_dump_json().encode())
        for name, tensor in self.network.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @torch.inference_mode()
    def score(
        self, request: Request, *, settings: PredictionConfig | None = None, size: tuple[int, int] | None = None
    ) -> Scores:
        """Scores before the dense CRF; see `MaskMaker.score`."""
        settings = settings or self.config.prediction
        evidence = self._evidence(request, settings)
        shape = size or (request.image.shape[0], request.image.shape[1])
        probs = gated_probs(evidence.logits, evidence.allowed, shape, reassign=settings.reassign)
        if evidence.stack is not None:
            stack = F.interpolate(evidence.stack, shape, mode="bilinear", align_corners=False)
            probs = torch.lerp(probs, stack, settings.prior_weight)
        decided = foreground_first(probs[0].cpu().numpy(), power=settings.share_power)
        return Scores(decided, evidence.tag_probs[0].cpu().numpy(), evidence.doubt)

    def _evidence(self, request: Request, settings: PredictionConfig) -> _Evidence:
        """What the network says of a photograph, on coarse grids."""
        check_image(request.image)
        pixels = self._upload(request.image)
        shape = (request.image.shape[0], request.image.shape[1])
        side = seen_side(shape, settings, self.config)
        size = scaled_size(shape, side, multiple=_MULTIPLE)
        total: Tensor | None = None
        tag_total: Tensor | None = None
        passes: list[Pass] = []
        views: list[Tensor] = []
        for scale in settings.scales:
            scaled = scaled_size(shape, side * scale, multiple=_MULTIPLE)
            recognition, logits = self._look(pixels, scaled, settings)
            grid = (size[0] // 8, size[1] // 8)
            logits = F.interpolate(logits.float(), grid, mode="bilinear", align_corners=False)
            views += torch.cat([logits[:1], logits[1:].flip(-1)]).split(1)
            logits = unflip(logits)
            tag_logits = self._tag_logits(recognition, scaled, side, scale)
            passes.append(Pass(recognition, logits))
            total = logits if total is None else total + logits
            tag_total = tag_logits if tag_total is None else tag_total + tag_logits
        assert total is not None and tag_total is not None
        tag_probs = (tag_total / len(settings.scales)).sigmoid()
        allowed = tag_probs >= settings.gate
        if request.tags is not None:
            allowed = (allowed & self._named(request.maybe)) | self._named(request.tags)
        stack = None
        if settings.prior_weight and self.config.training.supervision == "tags":
            grid = stack_grid(size, self.config.masks.stride, len(self.classes))
            stack = averaged_stack(passes, allowed.to(torch.int8), grid, self.config.masks)
        doubt = self._doubt(views, stack, allowed, tag_probs, request, settings)
        return _Evidence(total / len(settings.scales), stack, allowed, tag_probs, doubt)

    def _doubt(
        self,
        views: Sequence[Tensor],
        stack: Tensor | None,
        allowed: Tensor,
        tag_probs: Tensor,
        request: Request,
        settings: PredictionConfig,
    ) -> Doubt:
        """How uncertain the scores are, on a coarse grid."""
        size = (views[0].shape[-2], views[0].shape[-1])
        fields = [gated_probs(view, allowed, size, reassign=settings.reassign)[0].cpu().numpy() for view in views]
        other = None if stack is None else F.interpolate(stack, size, mode="area")[0].cpu().numpy()
        return doubt_of(fields, other, self._tag_doubt(tag_probs[0].cpu().numpy(), request))

    def _tag_logits(self, recognition: Recognition, size: tuple[int, int], side: int, scale: float) -> Tensor:
        """Tag logits (1, C); of an image seen larger than in training, the highest of any part of that size."""
        logits = recognition.tag_logits.float()
        if side > self.config.data.image_size:
            stride = size[0] // recognition.cams.shape[-2]
            window = max(1, round(self.config.data.image_size * scale / stride))
            logits = window_logits(recognition.cams.float(), self.network.recognition.classifier.bias.float(), window)
        return logits.mean(dim=0, keepdim=True)

    def _begin(self, request: Request, settings: PredictionConfig) -> Callable[[], Prediction]:
        """As that of any predictor; where even the CRF needs pieces, all is done here and now."""
        check_image(request.image)
        seen = self._seen(request.image, settings)
        size = crf_size((request.image.shape[0], request.image.shape[1]), seen)
        if not settings.tile or size[0] * size[1] <= 1.05 * CRF_PIXELS:
            return super()._begin(request, settings)
        with torch.inference_mode():
            evidence = self._evidence(request, settings)
        shown = np.flatnonzero(evidence.allowed[0].cpu().numpy()) + 1
        coarse = Coarse(
            channels=np.concatenate([[0], shown]),
            logits=evidence.logits[0].cpu().numpy(),
            stack=None if evidence.stack is None else evidence.stack[0].cpu().numpy(),
            weight=settings.prior_weight,
            reassign=settings.reassign,
            power=settings.share_power,
        )
        scale = max(size) / seen_side((request.image.shape[0], request.image.shape[1]), settings, self.config)
        mask, probs = mask_by_blocks(request.image, coarse, size, settings.crf, pixel_scale=scale)
        doubt = self._with_missing(evidence.doubt, mask, request)
        prediction = Prediction(mask, probs, evidence.tag_probs[0].cpu().numpy(), doubt)
        return lambda: prediction

    @torch.inference_mode()
    def steps(self, image: NDArray[np.uint8], tags: Iterable[str], *, deep: bool = False) -> Steps:
        """Every step of the method before the dense CRF, for looking at.

        Args:
            image: (H, W, 3) uint8 RGB.
            tags: names of the present classes.
            deep: class maps and prior of the last features, also where the network has a contrast head.
        """
        check_image(image)
        states = self._named(tags).to(torch.int8)
        shape = (image.shape[0], image.shape[1])
        size = scaled_size(shape, self.config.data.image_size, multiple=_MULTIPLE)
        recognition, _ = self._run(self._upload(image), size, flip=False)
        if deep:
            recognition = recognition._replace(contrast=None)
        steps = mask_steps(recognition, states, shape, self.config.masks)
        present = np.flatnonzero((states[0] == Tag.PRESENT).cpu().numpy())
        return Steps(
            classes=tuple(self.classes[index] for index in present),
            maps=steps.maps[0].cpu().numpy()[present],
            prior=steps.prior[0].cpu().numpy(),
            background=steps.background[0].cpu().numpy(),
            stack=steps.stack[0].cpu().numpy()[[0, *(present + 1)]],
            indices=(present + 1).astype(np.uint8),
        )

    def _upload(self, image: NDArray[np.uint8]) -> Tensor:
        pixels: Tensor = to_tensor(image).as_subclass(Tensor)
        return pixels.to(self.device)

    def _look(self, pixels: Tensor, size: tuple[int, int], settings: PredictionConfig) -> tuple[Recognition, Tensor]:
        """Both streams' output at `size`, whole or from tiles."""
        if not settings.tile or max(size) <= settings.tile:
            return self._run(pixels, size, flip=settings.flip)
        resized = resize(pixels, size)
        median = self._median(resized, settings)

        def look(tile: Tile) -> tuple[Recognition, Tensor]:
            return self._both(resized[:, tile.rows, tile.columns][None], flip=settings.flip, median=median)

        layers = self.config.masks.prior_layers
        return tiled_pass(size, look, side=settings.tile, flip=settings.flip, energy_layers=layers)

    def _median(self, resized: Tensor, settings: PredictionConfig) -> Tensor | None:
        """Median (1, D) over a whole image of what the contrast head compares, from a sample where it is large."""
        if self.network.contrast is None:
            return None
        size = (resized.shape[-2], resized.shape[-1])
        step = max(1, round((size[0] * size[1] / 64 / _MEDIAN_PLACES) ** 0.5))
        sample: list[Tensor] = []
        for tile in tiles_of(size, settings.tile):
            with self._autocast():
                shallow = self.network.shallow(self._batch(resized[:, tile.rows, tile.columns][None], flip=False))
            assert shallow is not None
            sample.append(shallow[0, :, ::step, ::step].flatten(1))
        return torch.cat(sample, dim=1).median(dim=1).values[None]

    def _run(self, pixels: Tensor, size: tuple[int, int], *, flip: bool) -> tuple[Recognition, Tensor]:
        return self._both(resize(pixels, size)[None], flip=flip)

    def _both(self, images: Tensor, *, flip: bool, median: Tensor | None = None) -> tuple[Recognition, Tensor]:
        batch = self._batch(images, flip=flip)
        if median is not None:
            median = median.expand(len(batch), -1)
        with self._autocast():
            result: tuple[Recognition, Tensor] = self.network.both(batch, median=median)
        return result

    def _batch(self, images: Tensor, *, flip: bool) -> Tensor:
        """Network input of an image (1, 3, H, W) and, with `flip`, of its mirror image."""
        return network_input(images, self.network.backbone.preprocessing, flip=flip)

    def _autocast(self) -> AbstractContextManager[object]:
        return autocast(self.config.training.precision, self.device)

    def _named(self, names: Iterable[str]) -> Tensor:
        """Which classes are named, (1, C) bool."""
        return torch.from_numpy(self._which(names))[None].to(self.device)


class _Evidence(NamedTuple):
    """Logits (1, C + 1, h, w), stack (1, C + 1, h', w') or None, allowed classes, tag probabilities (1, C), doubt."""

    logits: Tensor
    stack: Tensor | None
    allowed: Tensor
    tag_probs: Tensor
    doubt: Doubt


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """Turn 'auto' into the best device there is.

    Raises:
        ConfigError: the device is unknown or not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--device {device}: not usable here ({str(error).splitlines()[0]}); try 'cpu'") from None
    return chosen
