"""The demo: a generated dataset and a small pretrained backbone, so that everything runs without downloads.

`write_dataset` renders the images. The weights at `demo_weights` were trained on another generated task with other
classes (`tag2mask.demo.pretraining`), as the weights of a real backbone were on ImageNet.
"""

from tag2mask.demo.scenes import CLASSES, Scene, make_scene, write_dataset
from tag2mask.demo.weights import BACKBONE, IMAGE_MEAN, IMAGE_STD, demo_weights

__all__ = [
    "BACKBONE",
    "CLASSES",
    "IMAGE_MEAN",
    "IMAGE_STD",
    "Scene",
    "demo_weights",
    "make_scene",
    "write_dataset",
]
