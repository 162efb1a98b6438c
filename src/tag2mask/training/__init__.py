"""Joint training of both streams, from a collection to a run's folder."""

from tag2mask.training.fit import choose_epochs, fit
from tag2mask.training.module import JointTraining, warmup_epochs
from tag2mask.training.ranks import Devices, rank_here

__all__ = ["Devices", "JointTraining", "choose_epochs", "fit", "rank_here", "warmup_epochs"]
