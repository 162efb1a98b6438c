"""From images to masks with a trained network."""

from tag2mask.inference.prediction import Prediction
from tag2mask.inference.segmenter import Segmenter

__all__ = ["Prediction", "Segmenter"]
