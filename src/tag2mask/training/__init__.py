"""Joint training of both streams, from a collection to a run's folder."""

from tag2mask.training.fit import choose_epochs, fit
from tag2mask.training.module import JointTraining, warmup_epochs

__all__ = ["JointTraining", "choose_epochs", "fit", "warmup_epochs"]
