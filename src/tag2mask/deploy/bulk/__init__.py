"""Masks of very large datasets: from local or remote storage or tar shards, on many workers, resumable."""

from tag2mask.deploy.bulk.run import bulk_predict
from tag2mask.deploy.bulk.table import read_masks

__all__ = ["bulk_predict", "read_masks"]
