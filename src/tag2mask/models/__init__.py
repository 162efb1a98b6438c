"""The networks: a timm backbone, the recognition stream and the segmentation stream."""

from tag2mask.models.backbone import Backbone, Preprocessing, load_backbone_weights, read_safetensors
from tag2mask.models.build import SegmentationNetwork, build_network
from tag2mask.models.contrast import Contrast, ContrastHead
from tag2mask.models.frozen import FrozenFeatures, FrozenSegmenter
from tag2mask.models.network import Recognition, Scores, TagSegmenter

__all__ = [
    "Backbone",
    "Contrast",
    "ContrastHead",
    "FrozenFeatures",
    "FrozenSegmenter",
    "Preprocessing",
    "Recognition",
    "Scores",
    "SegmentationNetwork",
    "TagSegmenter",
    "build_network",
    "load_backbone_weights",
    "read_safetensors",
]
