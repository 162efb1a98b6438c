"""The trained network as an ONNX file, and prediction from it without torch.

`tag2mask.portable.export` writes the file and needs torch; nothing else here does.
"""

from tag2mask.portable.metadata import Metadata
from tag2mask.portable.predictor import OnnxPredictor

__all__ = ["Metadata", "OnnxPredictor"]
