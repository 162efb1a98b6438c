"""Files of pseudo masks for a dataset, made with the network as it is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tag2mask.config.schema import Config
from tag2mask.core.constants import Tag
from tag2mask.core.machine import usable_cores
from tag2mask.core.progress import progress_bar
from tag2mask.data import Dataset
from tag2mask.images.decode import read_image
from tag2mask.images.resize import resize_image, scaled_size
from tag2mask.inference.backends import Backend
from tag2mask.inference.views import run_views
from tag2mask.masks import mask_path, write_mask
from tag2mask.method.output import NetworkOutput
from tag2mask.method.pseudo_masks import Measured, measure_evidence, pseudo_mask, sample_evidence

_SAMPLE = 200  # images on which the threshold is measured
_AHEAD = 4  # images decoded in advance
_MOST_THREADS = 8


class PseudoMaskFiles:
    """Writes a pseudo mask for each image of a dataset.

    The masks lie in `folder` by name, at about `data.image_size / masks.stride` pixels. A mask without the foreground
    that its tags ask for is 255 everywhere, which the pixel loss leaves out. Images with a corrected mask need none.
    """

    def __init__(
        self,
        dataset: Dataset,
        folder: Path,
        *,
        read: Callable[[Path], NDArray[np.uint8]] = read_image,
        processes: int = 1,
    ):
        """Prepare to write.

        Args:
            dataset: images and tags.
            folder: where the masks go.
            read: from a file to an image (H, W, 3) uint8.
            processes: that share the cores of this machine.
        """
        self.records = dataset.records
        self.tags = dataset.tags()
        self.folder = folder
        self.read = read
        self.threads = min(_MOST_THREADS, usable_cores(processes))
        self.wanted = [index for index, record in enumerate(self.records) if record.corrected is None]

    def path(self, index: int) -> Path:
        """File of the mask of image `index`."""
        return mask_path(self.folder, self.records[index].name)

    def complete(self) -> bool:
        """Whether each image has its mask, as it has unless someone removed them."""
        return all(self.path(index).is_file() for index in self.wanted)

    def write(
        self,
        backend: Backend,
        *,
        teacher_weight: float,
        share: tuple[int, int] = (0, 1),
        progress: bool = False,
    ) -> float:
        """Write all masks.

        Args:
            backend: the network that makes them; its configuration has the settings.
            teacher_weight: share of the segmentation head in the scores, in [0, 1].
            share: (k, n): write every n-th mask from the k-th on, where n processes work together.
            progress: show a progress bar.

        Returns:
            Share of the images with a present class whose mask holds no foreground.
        """
        chosen = self.wanted[share[0] :: share[1]]
        empty = tagged = 0
        with (
            ThreadPoolExecutor(self.threads) as pool,
            progress_bar("pseudo masks", len(chosen), shown=progress) as advance,
        ):
            pending: deque[Future[bool]] = deque()
            for index, (views, small) in zip(chosen, self._seen(pool, backend, chosen), strict=True):
                tagged += bool((self.tags[index] == Tag.PRESENT).any())
                pending.append(pool.submit(self._write, index, small, views, backend.config, teacher_weight))
                while len(pending) > 2 * self.threads:
                    empty += not pending.popleft().result()
                advance()
            empty += sum(not future.result() for future in pending)
        return empty / max(1, tagged)

    def measure(self, backend: Backend) -> Measured | None:
        """What `masks.soft_threshold` and `masks.spread` are for the whole dataset, measured on some tagged images.

        A fixed number does not fit every network and size of image, since some spread their evidence thinner than
        others; a number for each image would cut a close-up and a far view to about the same share.

        Args:
            backend: the network; its configuration has the settings.

        Returns:
            See `measure_evidence`; None where no image has a present class.
        """
        tagged = [index for index in self.wanted if bool((self.tags[index] == Tag.PRESENT).any())]
        positions = np.linspace(0, len(tagged) - 1, min(len(tagged), _SAMPLE)).round().astype(int)
        chosen = [tagged[position] for position in positions]
        samples = []
        with ThreadPoolExecutor(self.threads) as pool:
            for index, (views, small) in zip(chosen, self._seen(pool, backend, chosen), strict=True):
                size = (small.shape[0], small.shape[1])
                samples.append(sample_evidence(views, self.tags[index], size, backend.config))
        return measure_evidence(samples, backend.config.masks) if samples else None

    def _seen(
        self, pool: ThreadPoolExecutor, backend: Backend, chosen: Sequence[int]
    ) -> Iterator[tuple[list[NetworkOutput], NDArray[np.uint8]]]:
        """The network's outputs on each chosen image, and the image (H, W, 3) on the grid of its mask."""
        for image in self._images(pool, chosen):
            yield self._views(backend, image)

    def _images(self, pool: ThreadPoolExecutor, chosen: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        """Decode a few images ahead."""
        paths = iter([self.records[index].path for index in chosen])
        pending = deque(pool.submit(self.read, path) for path in islice(paths, _AHEAD))
        while pending:
            image = pending.popleft().result()
            pending.extend(pool.submit(self.read, path) for path in islice(paths, 1))
            yield image

    def _views(self, backend: Backend, image: NDArray[np.uint8]) -> tuple[list[NetworkOutput], NDArray[np.uint8]]:
        """The network's outputs on an image, and the image (H, W, 3) on the grid of its mask."""
        data, masks = backend.config.data, backend.config.masks
        views = run_views(backend, image, side=data.image_size, scales=masks.scales, flip=masks.flip)
        size = scaled_size((image.shape[0], image.shape[1]), data.image_size / masks.stride)
        return views, resize_image(image, size, exact=True)

    def _write(
        self,
        index: int,
        small: NDArray[np.uint8],
        views: list[NetworkOutput],
        config: Config,
        teacher_weight: float,
    ) -> bool:
        """Make and write one mask; false if it lacks the foreground that its tags ask for."""
        mask, complete = pseudo_mask(
            small,
            views,
            self.tags[index],
            config,
            teacher_weight=teacher_weight,
            pixel_scale=1 / config.masks.stride,
        )
        write_mask(self.path(index), mask)
        return complete
