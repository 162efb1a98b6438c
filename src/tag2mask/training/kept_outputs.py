"""What a network on frozen backbones says of images whose features were kept, without running the backbones again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tag2mask.config.schema import Config
from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.inference.backends import Backend
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.method.output import NetworkOutput
from tag2mask.models import FrozenSegmenter
from tag2mask.models.checkpoint import RunFolder
from tag2mask.training.decoder import kept_outputs
from tag2mask.training.feature_files import FeatureStore
from tag2mask.training.feature_folder import image_keys
from tag2mask.training.feature_store import feature_folder, projects_alike
from tag2mask.training.prepare import features_parent


def outputs_of_kept(
    backend: Backend, records: Sequence[ImageRecord], run: RunFolder
) -> Callable[[ImageRecord], list[NetworkOutput] | None] | None:
    """The outputs on each image whose features the run, or its cache, has kept.

    The image itself was seen, not its horizontal flip, at one scale.

    Args:
        backend: the trained network.
        records: images.
        run: folder of the run.

    Returns:
        From a record to the outputs, None for an image without features. None in all where the network has no frozen
        backbones, nothing was kept, predictions see images at other sizes than the features, or the network projects
        features otherwise.
    """
    config = backend.config
    if not isinstance(backend, TorchBackend) or not isinstance(backend.network, FrozenSegmenter) or not _alike(config):
        return None
    keys = {}
    for record in records:
        with suppress(DataError):  # the image is gone since: it fails where it is read, alone
            [keys[record.name]] = image_keys([record.path])
    place = feature_folder(backend.network, config, features_parent(run, config)).of_dataset(list(keys.values()))
    kept = place.read()
    if kept is None or not projects_alike(backend.network, place):
        return None
    there = {name: key for name, key in keys.items() if key in kept.keys}
    return _KeptOutputs(backend, kept.store(list(there.values())), {name: k for k, name in enumerate(there)})


@dataclass(frozen=True, slots=True)
class _KeptOutputs:
    """Outputs by the name of the image; `places`: of its features in `store`."""

    backend: TorchBackend
    store: FeatureStore
    places: dict[str, int]

    def __call__(self, record: ImageRecord) -> list[NetworkOutput] | None:
        index = self.places.get(record.name)
        if index is None:
            return None
        decoded = self.backend.config.prediction.prior_weight < 1
        return kept_outputs(self.backend, self.store, index, decoded=decoded)


def _alike(config: Config) -> bool:
    """Whether predictions see an image as the features do, but for its horizontal flip."""
    side, settings = config.data.image_size, config.prediction
    whole = not settings.tile or settings.tile >= side
    return settings.image_size in (None, side) and settings.scales == (1.0,) and whole
