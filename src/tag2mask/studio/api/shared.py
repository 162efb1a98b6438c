"""What review, training and export share: the masks of the project, with its loaded networks."""

from __future__ import annotations

from tag2mask.studio.api.state import ApiError, Studio
from tag2mask.studio.masks_of import MasksOf, Network, NoNetworkError
from tag2mask.studio.preparing import Preparing


def masks_of(studio: Studio) -> MasksOf:
    """The masks of the project; the same object for every part."""
    found = studio.shared.setdefault("masks", MasksOf(studio.project, device=studio.device))
    assert isinstance(found, MasksOf)
    return found


def preparing_of(studio: Studio) -> Preparing:
    """What is computed ahead; the same object for every part."""
    if "preparing" not in studio.shared:
        made = studio.shared["preparing"] = Preparing(masks_of(studio))
        studio.closing.append(made.close)
    found = studio.shared["preparing"]
    assert isinstance(found, Preparing)
    return found


def network_of(masks: MasksOf) -> Network:
    """The network of the chosen run.

    Raises:
        ApiError: 409, there is none yet.
    """
    try:
        return masks.network()
    except NoNetworkError as error:
        raise ApiError(409, str(error)) from None
