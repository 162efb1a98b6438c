"""Training masks made on whole images every few epochs, instead of for each batch from its crops."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from tag2mask.config.schema import Config
from tag2mask.core.constants import IGNORE_INDEX, Tag
from tag2mask.core.machine import usable_cores
from tag2mask.data import Dataset
from tag2mask.images.decode import read_image, scaled_size
from tag2mask.masks import mask_path, write_mask
from tag2mask.method.refine import foreground_first, refine, to_mask
from tag2mask.method.torch_generate import Pass, averaged_stack, evidence
from tag2mask.models import TagSegmenter
from tag2mask.models.precision import autocast
from tag2mask.training.transforms import network_input, resize, to_tensor

_MULTIPLE = 32
_SAMPLE = 200  # images and places in each that foreground is measured on
_PLACES = 1000


class MaskRefresh:
    """Writes a training mask for each image of a collection, from a network as it is now.

    The masks lie in `folder` by name, at about image_size / stride; an image with tags whose mask
    would hold no foreground gets 255 everywhere, which the pixel loss leaves out. Images with a
    corrected mask need none.
    """

    def __init__(
        self,
        collection: Dataset,
        config: Config,
        folder: Path,
        read: Callable[[Path], NDArray[np.uint8]] = read_image,
    ):
        self.records = collection.records
        self.tags = torch.from_numpy(collection.tags())
        self.config = config
        self.folder = folder
        self.read = read

    def path(self, index: int) -> Path:
        """Where the mask of image `index` lies."""
        return mask_path(self.folder, self.records[index].name)

    def complete(self) -> bool:
        """Whether each image has its mask, as it has unless someone took them away."""
        return all(self.path(index).is_file() for index in self._wanted())

    def _wanted(self) -> list[int]:
        return [index for index, item in enumerate(self.records) if item.corrected is None]

    @torch.no_grad()
    def __call__(
        self,
        network: TagSegmenter,
        *,
        device: torch.device,
        teacher_weight: float,
        shift: float = 0.0,
        share: tuple[int, int] = (0, 1),
        advance: Callable[[], None] = lambda: None,
    ) -> float:
        """Make all masks anew.

        Args:
            network: the network that makes them.
            device: where it is.
            teacher_weight: share of the segmentation stream in the stack, in [0, 1].
            shift: added to the log-odds of foreground everywhere; above 0 masks get larger.
            share: (k, n): make every n-th mask from the k-th on, where n processes work together.
            advance: called once an image.

        Returns:
            Share of the images with tags whose mask holds no foreground.
        """
        was_training = network.training
        network.eval()
        threads = min(8, usable_cores())
        empty = tagged = 0
        with ThreadPoolExecutor(threads) as pool:
            pending: deque[Future[bool]] = deque()
            wanted = self._wanted()[share[0] :: share[1]]
            for index, image in zip(wanted, self._images(pool, wanted), strict=True):
                stack, small = self._stack(network, image, index, device, teacher_weight)
                tagged += bool((self.tags[index] == Tag.PRESENT).any())
                pending.append(pool.submit(self._write, index, stack, small, shift))
                while len(pending) > 2 * threads:
                    empty += pending.popleft().result()
                advance()
            empty += sum(future.result() for future in pending)
        network.train(was_training)
        return empty / max(1, tagged)

    @torch.no_grad()
    def foreground(self, network: TagSegmenter, *, device: torch.device, teacher_weight: float) -> NDArray[np.float32]:
        """Probability of foreground before the CRF, at places all over some tagged images, the same each time.

        Args:
            network: as when called.
            device: as when called.
            teacher_weight: as when called.

        Returns:
            (N,), as many places from each image; empty where no image has a tag.
        """
        found = [np.empty(0, np.float32)]
        for index, image in self._sampled(network):
            stack, _ = self._stack(network, image, index, device, teacher_weight)
            found.append(_some(1 - stack[0]))
        return np.concatenate(found)

    @torch.no_grad()
    def threshold(self, network: TagSegmenter, *, device: torch.device) -> float | None:
        """Threshold of the evidence for the whole collection: what `masks.soft_threshold=auto` stands for.

        The mean of the evidence over some tagged images: where there is more of it than on average is
        foreground. A fixed number does not fit every network and size of image, since some spread their
        evidence thinner than others; a number for each image would cut a close-up and a far view to
        about the same share.

        Args:
            network: as when called.
            device: as when called.

        Returns:
            In [0, 1]; None where no image has a tag.
        """
        masks = self.config.masks
        found = []
        for index, image in self._sampled(network):
            passes, size = self._passes(network, _pixels(image, device))
            values = evidence(passes, self.tags[index : index + 1].to(device), size, masks)
            found.append(float(values.mean()))
        if not found:
            return None
        return round(min(1.0, masks.soft_factor * fmean(found)), 4)

    def _sampled(self, network: TagSegmenter) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Some tagged images all over the collection, the same each time; the network evaluates meanwhile."""
        tagged = [index for index in self._wanted() if bool((self.tags[index] == Tag.PRESENT).any())]
        places = np.linspace(0, len(tagged) - 1, min(len(tagged), _SAMPLE)).round().astype(int)
        chosen = [tagged[place] for place in places]
        was_training = network.training
        network.eval()
        with ThreadPoolExecutor(min(8, usable_cores())) as pool:
            yield from zip(chosen, self._images(pool, chosen), strict=True)
        network.train(was_training)

    def _images(self, pool: ThreadPoolExecutor, wanted: list[int], ahead: int = 4) -> Iterator[NDArray[np.uint8]]:
        """Decode a few images ahead."""
        paths = iter([self.records[index].path for index in wanted])
        pending = deque(pool.submit(self.read, path) for path in islice(paths, ahead))
        while pending:
            image = pending.popleft().result()
            pending.extend(pool.submit(self.read, path) for path in islice(paths, 1))
            yield image

    def _stack(
        self, network: TagSegmenter, image: NDArray[np.uint8], index: int, device: torch.device, teacher_weight: float
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """The stack (C + 1, H, W) of an image, and the image (H, W, 3) on its grid."""
        pixels = _pixels(image, device)
        passes, size = self._passes(network, pixels)
        tags = self.tags[index : index + 1].to(device)
        stack = averaged_stack(passes, tags, size, self.config.masks, teacher_weight=teacher_weight)
        small = F.interpolate(pixels[None].float(), size, mode="bilinear", antialias=True)[0]
        small = small.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous()
        return stack[0].float().cpu().numpy(), small.cpu().numpy()

    def _passes(self, network: TagSegmenter, pixels: torch.Tensor) -> tuple[list[Pass], tuple[int, int]]:
        """What the network says of an image (3, H, W) at each scale, and the size (H, W) of its mask."""
        data, masks = self.config.data, self.config.masks
        shape = (pixels.shape[1], pixels.shape[2])
        passes: list[Pass] = []
        for scale in masks.scales:
            resized = resize(pixels, scaled_size(shape, data.image_size * scale, multiple=_MULTIPLE))[None]
            batch = network_input(resized, network.backbone.preprocessing, flip=masks.flip)
            with autocast(self.config.training.precision, pixels.device):
                passes.append(Pass(*network.both(batch)))
        return passes, scaled_size(shape, data.image_size / masks.stride)

    def _write(self, index: int, stack: NDArray[np.float32], small: NDArray[np.uint8], shift: float) -> bool:
        """Refine and write one mask; true if it should hold foreground and does not."""
        masks = self.config.masks
        stack = foreground_first(stack, power=masks.share_power, shift=shift)
        marginals = refine([small], [stack], masks.crf, pixel_scale=1 / masks.stride)[0]
        mask = to_mask(marginals, confidence=masks.confidence)
        empty = bool((self.tags[index] == Tag.PRESENT).any()) and not ((mask > 0) & (mask != IGNORE_INDEX)).any()
        if empty:
            mask[:] = IGNORE_INDEX
        write_mask(self.path(index), mask)
        return empty


def _pixels(image: NDArray[np.uint8], device: torch.device) -> torch.Tensor:
    pixels: torch.Tensor = to_tensor(image).as_subclass(torch.Tensor).to(device)
    return pixels


def _some(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values at places all over an array (H, W), as many from any."""
    flat = values.ravel()
    chosen: NDArray[np.float32] = flat[np.linspace(0, len(flat) - 1, _PLACES).round().astype(int)]
    return chosen


def shift_to_share(foreground: NDArray[np.float32], share: float) -> float:
    """What must be added to the log-odds of `foreground` (N,) for `share` of it to exceed even odds."""
    if not len(foreground):
        return 0.0
    even = float(np.clip(np.quantile(foreground, 1 - share), 1e-3, 1 - 1e-3))
    return -float(np.log(even / (1 - even)))
