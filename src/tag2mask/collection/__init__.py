"""Collections: images and their tags from any source, checked."""

from tag2mask.collection.classes import check_classes, read_classes
from tag2mask.collection.collection import ClassCount, Collection, Problem
from tag2mask.collection.load import decodable, load_collection, tags_of_names
from tag2mask.collection.names import list_images
from tag2mask.collection.parquet_folder import UNPACKED

__all__ = [
    "UNPACKED",
    "ClassCount",
    "Collection",
    "Problem",
    "check_classes",
    "decodable",
    "list_images",
    "load_collection",
    "read_classes",
    "tags_of_names",
]
