"""Pooled features of a pretrained backbone, once an image: what the suggestions are fitted on.

Every few images are a file of their own, so that what was computed stays.
"""

from __future__ import annotations

import hashlib
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError
from tag2mask.core.files import atomic_path, make_folder

if TYPE_CHECKING:
    from tag2mask.models import Backbone

SIDE = 320
"""Long side in pixels at which the backbone sees an image; at 256, a third more tags are wrong."""

Features = NDArray[np.float16]
"""(D,) of an image."""

_PART = 64  # images a file
_PART_SECONDS = 4.0
_VERSION = 1


class FeatureCache:
    """Features in a folder by the versions of their images; a part of it a file."""

    def __init__(self, folder: Path, backbone: str, weights: str):
        """Name the folder of a backbone's features.

        Args:
            folder: of all backbones' features.
            backbone: name in timm.
            weights: where they come from; of a file, size and time of change count.
        """
        about = [_VERSION, backbone, weights, SIDE]
        if Path(weights).is_file():
            stat = Path(weights).stat()
            about += [stat.st_size, stat.st_mtime_ns]
        self.folder = folder / hashlib.sha256(repr(about).encode()).hexdigest()[:16]

    def read(self) -> dict[str, Features]:
        """All features there are, by version of image; damaged files are left out."""
        found: dict[str, Features] = {}
        for path in sorted(self.folder.glob("*.npz")):
            found |= read_features(path)
        return found

    def add(self, features: Mapping[str, Features]) -> None:
        """Keep features of images."""
        if not features:
            return
        name = hashlib.sha256("".join(features).encode()).hexdigest()[:16]
        with atomic_path(self.folder / f"{name}.npz") as temporary:
            np.savez(temporary, keys=np.array(list(features)), features=np.stack(list(features.values())))


def read_features(path: Path) -> dict[str, Features]:
    """Features in one file, by version of image; nothing where it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as part:
            return dict(zip(part["keys"].tolist(), part["features"], strict=True))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return {}


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be computed.

    Attributes:
        folder: of all backbones' features.
        backbone: name in timm.
        weights: where they come from.
        device: as in `Segmenter.from_pretrained`.
        images: files by their versions.
    """

    folder: str
    backbone: str
    weights: str
    device: str
    images: dict[str, str]


def compute(request: Request, network: Backbone | None = None) -> Iterator[int]:
    """Compute and keep features, in the order of the request; yields how many images are done.

    An image that cannot be read has no features.

    Args:
        request: what to compute.
        network: its backbone, on its device; None: it is loaded.

    Raises:
        Tag2MaskError: the weights cannot be loaded, or the folder cannot be written to.
    """
    cache = FeatureCache(Path(request.folder), request.backbone, request.weights)
    make_folder(cache.folder)
    network = network or load_network(request.backbone, request.weights, request.device)
    part: dict[str, Features] = {}
    last = time.monotonic()
    try:
        for done, (key, path) in enumerate(request.images.items(), start=1):
            with suppress(DataError):  # the page knows from the thumbnail
                part[key] = image_features(network, Path(path))
            if len(part) >= _PART or time.monotonic() - last > _PART_SECONDS:
                cache.add(part)
                part, last = {}, time.monotonic()
            yield done
    finally:
        cache.add(part)


def load_network(name: str, weights: str, device: str) -> Backbone:
    """A pretrained backbone in evaluation mode, with the convolution before its classifier where it has one.

    Raises:
        ConfigError: there is no such backbone.
        WeightsError: its weights cannot be loaded.
    """
    from tag2mask.inference.backends.torch import choose_device
    from tag2mask.models import Backbone, load_backbone_weights
    from tag2mask.models.folding import folded

    network = Backbone(name, output_stride=16, freeze_norm=True, with_head=True)
    load_backbone_weights(network, weights)
    network.requires_grad_(False)
    return folded(network.eval()).to(choose_device(device))


def image_features(network: Backbone, path: Path) -> Features:
    """Means over the image of the last stage, and of the convolution before the classifier: float16 (D,).

    Raises:
        DataError: the image cannot be read.
    """
    import torch

    from tag2mask.images.resize import resize_image, scaled_size
    from tag2mask.models.inputs import network_input
    from tag2mask.studio.thumbnails import small_image

    image = np.asarray(small_image(path, SIDE))
    size = scaled_size((image.shape[0], image.shape[1]), SIDE, multiple=network.input_multiple)
    pixels = torch.from_numpy(resize_image(image, size)).permute(2, 0, 1)[None]
    device = next(network.parameters()).device
    with torch.inference_mode():
        maps = network(network_input(pixels.to(device), network.preprocessing))
        last = maps[-1:] if network.head is None else maps[-2:]
        pooled = torch.cat([one.float().mean(dim=(2, 3))[0] for one in last])
    found: Features = pooled.cpu().numpy().astype(np.float16)
    return found
