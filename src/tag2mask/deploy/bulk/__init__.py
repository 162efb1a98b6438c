"""Masks of very large collections: from local or remote storage or tar shards, on many workers, resumable."""

from tag2mask.deploy.bulk.run import BulkOutcome, bulk_predict
from tag2mask.deploy.bulk.table import read_masks

__all__ = ["BulkOutcome", "bulk_predict", "read_masks"]
