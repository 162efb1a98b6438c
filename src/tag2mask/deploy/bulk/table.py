"""Masks as rows of Parquet: run lengths of each class, and failures in the same table."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.errors import DataError
from tag2mask.core.extras import require
from tag2mask.deploy.bulk.storage import Store
from tag2mask.masks.run_lengths import class_regions, coco_counts, coco_region

Row = dict[str, Any]


def mask_row(name: str, mask: NDArray[np.uint8], classes: tuple[str, ...], uncertainty: float) -> Row:
    """A mask (H, W) as a row: `rle` is JSON, from class index to COCO's run lengths column by column."""
    regions = class_regions(mask, len(classes))
    rle = {str(index): coco_counts(region) for index, region in regions}
    return {
        "name": name,
        "height": mask.shape[0],
        "width": mask.shape[1],
        "rle": json.dumps(rle, separators=(",", ":")),
        "uncertainty": uncertainty,
        "error": None,
    }


def failure_row(name: str, error: str) -> Row:
    """The row of an image without a mask."""
    return {"name": name, "height": None, "width": None, "rle": None, "uncertainty": None, "error": error}


def row_mask(row: Row) -> NDArray[np.uint8]:
    """The mask (H, W) uint8 of a row without error."""
    size = int(row["height"]), int(row["width"])
    mask = np.zeros(size, dtype=np.uint8)
    for index, counts in json.loads(row["rle"]).items():
        mask[coco_region(counts, size)] = int(index)
    return mask


def encode_rows(rows: list[Row]) -> bytes:
    """Rows as the content of a Parquet file."""
    require("scale", "masks as Parquet", "pyarrow")
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema(
        [
            ("name", pa.string()),
            ("height", pa.int32()),
            ("width", pa.int32()),
            ("rle", pa.string()),
            ("uncertainty", pa.float32()),
            ("error", pa.string()),
        ]
    )
    stream = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows, schema=schema), stream, compression="zstd")
    return stream.getvalue()


def read_rows(store: Store, name: str, columns: list[str] | None = None) -> list[Row]:
    """The rows of a file.

    Raises:
        DataError: it is no such file.
    """
    require("scale", "masks as Parquet", "pyarrow")
    from pyarrow import parquet

    try:
        found: list[Row] = parquet.read_table(io.BytesIO(store.read(name)), columns=columns).to_pylist()
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{store.url}/{name}: not a table of masks ({error}); delete it, and its masks are computed again"
        ) from None
    return found


def read_masks(out: str) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Names and masks that `bulk_predict` wrote as Parquet, one at a time; each name once.

    Two processes that write to one object store at once may both write an image, with the same mask.
    """
    store = Store(out)
    seen: set[str] = set()
    for name in store.names(".parquet"):
        for row in read_rows(store, name):
            if row["error"] is None and row["name"] not in seen:
                seen.add(row["name"])
                yield row["name"], row_mask(row)
