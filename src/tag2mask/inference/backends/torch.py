"""The network on PyTorch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tag2mask.config.schema import Config
from tag2mask.core.errors import ConfigError
from tag2mask.method.affinity import Affinity
from tag2mask.method.output import Array, NetworkOutput
from tag2mask.models.build import SegmentationNetwork
from tag2mask.models.inputs import network_input
from tag2mask.models.network import Recognition
from tag2mask.models.precision import autocast

_LIBRARIES = {"cpu": 600 << 20, "cuda": 1050 << 20}  # bytes of a process with PyTorch, by its build


class TorchBackend:
    """A network on PyTorch; see `Backend`.

    Attributes:
        network: the network, in evaluation mode while it runs.
        device: where it runs.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        classes: Sequence[str],
        config: Config,
        *,
        device: str | torch.device = "auto",
    ):
        self.classes = tuple(classes)
        self.config = config
        self.device = choose_device(device)
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.input_multiple = network.backbone.input_multiple
        self.has_contrast = network.contrast is not None
        weights = sum(one.numel() * one.element_size() for one in network.parameters())
        self.own_bytes = _LIBRARIES["cpu" if torch.version.cuda is None else "cuda"] + 2 * weights

    @torch.no_grad()
    def run(self, images: NDArray[np.uint8], *, median: Array | None = None) -> list[NetworkOutput]:
        """Run the network on images (B, H, W, 3) uint8 RGB; see `Backend.run`."""
        given = None
        if median is not None:
            given = torch.from_numpy(median).to(self.device)[None].expand(len(images), -1)
        with _evaluating(self.network), autocast(self.config.training.precision, self.device):
            recognition, pixel_logits = self.network.both(self._batch(images), median=given)
        return to_outputs(recognition, pixel_logits, self.config.masks.prior_layers)

    @torch.no_grad()
    def contrast_features(self, images: NDArray[np.uint8]) -> Array:
        """Features (B, D, h, w) that the contrast head compares; see `Backend.contrast_features`."""
        with _evaluating(self.network), autocast(self.config.training.precision, self.device):
            features = self.network.shallow(self._batch(images))
        assert features is not None
        return _array(features)

    @torch.no_grad()
    def pooled_features(self, images: NDArray[np.uint8]) -> Tensor:
        """The backbone's last features, averaged over pixels: (B, D) of images (B, H, W, 3) uint8 RGB."""
        return self.last_features(images).mean(dim=(2, 3)).cpu()

    @torch.no_grad()
    def last_features(self, images: NDArray[np.uint8]) -> Tensor:
        """The backbone's last features: float32 (B, D, h, w) of images (B, H, W, 3) uint8 RGB, on the device."""
        with _evaluating(self.network), autocast(self.config.training.precision, self.device):
            last: Tensor = self.network.backbone(self._batch(images))[-1]
        return last.float()

    @torch.no_grad()
    def recognise(self, images: NDArray[np.uint8]) -> Recognition:
        """The recognition stream alone, as tensors on the device, of images (B, H, W, 3) uint8 RGB."""
        with _evaluating(self.network), autocast(self.config.training.precision, self.device):
            found: Recognition = self.network.recognise(self._batch(images))
        return found

    def fingerprint(self) -> str:
        """SHA-256 of weights and settings; see `Backend.fingerprint`."""
        digest = hashlib.sha256(self.config.prediction.model_dump_json().encode())
        for name, tensor in self.network.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _batch(self, images: NDArray[np.uint8]) -> Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
        return network_input(pixels.to(self.device), self.network.backbone.preprocessing)


def to_outputs(recognition: Recognition, pixel_logits: Tensor, prior_layers: Sequence[int]) -> list[NetworkOutput]:
    """What the network gave on B images, as one `NetworkOutput` an image.

    Args:
        recognition: of the recognition head.
        pixel_logits: (B, C + 1, h, w) of the segmentation head.
        prior_layers: stages of the backbone whose energy the foreground prior takes.
    """
    tag_logits, cams, pixels = _array(recognition.tag_logits), _array(recognition.cams), _array(pixel_logits)
    energies = [_array(recognition.features[layer].float().abs().sum(dim=1)) for layer in prior_layers]
    contrast = recognition.contrast
    logits, prior = (None, None) if contrast is None else (_array(contrast.logits), _array(contrast.prior))
    affinity = None if recognition.affinity is None else _array(recognition.affinity)
    shares = None if recognition.share_logits is None else _array(recognition.share_logits)
    return [
        NetworkOutput(
            tag_logits[k],
            pixels[k],
            cams[k],
            tuple(energy[k] for energy in energies),
            None if logits is None else logits[k],
            None if prior is None else prior[k],
            None if affinity is None else Affinity.whole(affinity[k]),
            None if shares is None else shares[k],
        )
        for k in range(len(pixels))
    ]


class _evaluating:  # noqa: N801 - a context, used as a verb
    """The network in evaluation mode while the context lasts; its mode before is restored."""

    def __init__(self, network: SegmentationNetwork):
        self.network = network

    def __enter__(self) -> None:
        self.was_training = self.network.training
        if self.was_training:
            self.network.eval()

    def __exit__(self, *_: object) -> None:
        if self.was_training:
            self.network.train()


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
        reason = str(error).splitlines()[0]
        raise ConfigError(f"`device` {device}: cannot be used on this machine ({reason}); try 'cpu'") from None
    return chosen


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.float().cpu().numpy()
    return array
