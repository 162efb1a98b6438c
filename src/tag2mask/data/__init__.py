"""Datasets: images and their tags from any source, checked."""

from tag2mask.data.classes import check_classes
from tag2mask.data.dataset import ClassCount, Dataset
from tag2mask.data.load import decodable, load_dataset, tags_of_names
from tag2mask.data.prepare import prepare_for_training, training_split
from tag2mask.data.problem import Problem, log_problems
from tag2mask.data.readers.parquet_folder import UNPACKED
from tag2mask.images.folder import list_images

__all__ = [
    "UNPACKED",
    "ClassCount",
    "Dataset",
    "Problem",
    "check_classes",
    "decodable",
    "list_images",
    "load_dataset",
    "log_problems",
    "prepare_for_training",
    "tags_of_names",
    "training_split",
]
