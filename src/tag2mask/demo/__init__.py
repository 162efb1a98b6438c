"""The embedded collection and its small recognition network: trying everything without a network.

`write_collection` paints the scenes; the weights `demo_weights` points to were trained on another
generated task with other classes (`tag2mask.demo.pretraining`), as a real backbone was on ImageNet.
"""

from tag2mask.demo.scenes import CLASSES, Scene, make_scene, write_collection
from tag2mask.demo.weights import BACKBONE, IMAGE_MEAN, IMAGE_STD, demo_weights

__all__ = [
    "BACKBONE",
    "CLASSES",
    "IMAGE_MEAN",
    "IMAGE_STD",
    "Scene",
    "demo_weights",
    "make_scene",
    "write_collection",
]
