"""Which columns of a Parquet file hold the image and its tags, and what its numbers mean.

The names of classes stand in the file's own metadata (key `huggingface`), or in the front matter of the
folder's README.md. A number is the position of a name there; -1 and null say that nothing is known.

Reference: https://huggingface.co/docs/datasets/about_dataset_features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tag2mask.core.errors import DataError
from tag2mask.data.readers.header_words import TAGS_COLUMNS, column_key
from tag2mask.data.readers.json_file import parse_json
from tag2mask.data.readers.records import RecordError, class_name, without_background
from tag2mask.data.readers.text import read_text
from tag2mask.images.folder import FolderIndex

if TYPE_CHECKING:
    import pyarrow as pa

_README = "README.md"
_MOST_NAMES = 100_000


@dataclass(frozen=True, slots=True)
class Columns:
    """What is read of a file.

    Attributes:
        image: name of the column of images.
        tags: name of the column of tags.
        classes: names that numbers in it stand for, or None.
    """

    image: str
    tags: str
    classes: tuple[str, ...] | None

    def names(self, value: Any) -> frozenset[str] | None:
        """The classes that a cell says are present, or None if it says nothing.

        Raises:
            RecordError: it holds something else, or a number without a name.
        """
        values = value if isinstance(value, list) else [value]
        if value is None or any(one is None or one == -1 for one in values):
            return None
        return without_background(self._name(one) for one in values)

    def _name(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, int):
            return class_name(value)
        if self.classes is None:
            raise RecordError(f"tag {value} is a number; write names, or their list into the features of the dataset")
        if not 0 <= value < len(self.classes):
            raise RecordError(f"tag {value}, but there are {len(self.classes)} names; correct it")
        return self.classes[value]


def choose_columns(path: Path, schema: pa.Schema, index: FolderIndex) -> Columns:
    """The columns of a file.

    Raises:
        DataError: there is no column of images or of tags, or several.
    """
    images = [field.name for field in schema if _holds_images(field.type)]
    wanted = [name for name in images if column_key(name) in {"image", "img", "images"}]
    image = _only(path, wanted or images, schema, "images (bytes, or a struct of bytes and path)")
    features = _features(path, schema)
    found = [name for name in schema.names if column_key(name) in TAGS_COLUMNS]
    labelled = [name for name in schema.names if _class_names(features.get(name)) is not None]
    tags = _only(
        path, [name for name in found if name in labelled] or found or labelled, schema, "tags (`label`, `tags`)"
    )
    classes = _class_names(features.get(tags))
    if classes is None and _README in index.files:
        classes = _readme_names(index.files[_README], tags)
    return Columns(image, tags, classes)


def _holds_images(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    if types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _only(path: Path, names: Sequence[str], schema: pa.Schema, what: str) -> str:
    if len(names) == 1:
        return names[0]
    columns = ", ".join(repr(name) for name in schema.names)[:200]
    if not names:
        raise DataError(f"{path}: no column of {what} among {columns}; rename the column that holds them")
    raise DataError(f"{path}: several columns of {what}: {', '.join(names)}; keep one of them")


def _features(path: Path, schema: pa.Schema) -> dict[str, Any]:
    """The features that `datasets` wrote into the metadata of a file, by the column's name."""
    text = (schema.metadata or {}).get(b"huggingface")
    if text is None:
        return {}
    try:
        value = parse_json(text.decode())["info"]["features"]
        return dict(value)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: its metadata `huggingface` cannot be read ({error!r}); write the file again"
        ) from error


def _class_names(feature: Any) -> tuple[str, ...] | None:
    """Names of a ClassLabel, alone or in a list, in any spelling of `datasets` or a README."""
    for _ in range(4):
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        if not isinstance(feature, dict):
            return None
        if "names" in feature:
            names = feature["names"]
            names = list(names.values()) if isinstance(names, dict) else names
            if isinstance(names, list) and 0 < len(names) <= _MOST_NAMES and all(isinstance(n, str) for n in names):
                return tuple(class_name(name) for name in names)
            return None
        inner = ("feature", "dtype", "class_label", "sequence", "list")
        feature = next((feature[key] for key in inner if isinstance(feature.get(key), dict | list)), None)
    return None


def _readme_names(path: Path, column: str) -> tuple[str, ...] | None:
    """Names of a column from `dataset_info` in the front matter of README.md, if they are there."""
    parts = read_text(path, "Markdown", "expected the card of the dataset").split("---", 2)
    try:
        card = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DataError(f"{path}: its front matter is not YAML; correct it or remove the file") from error
    info = card.get("dataset_info") if isinstance(card, dict) else None
    for one in info if isinstance(info, list) else [info]:
        features = one.get("features") if isinstance(one, dict) else None
        for feature in features if isinstance(features, list) else []:
            if isinstance(feature, dict) and feature.get("name") == column:
                return _class_names({key: value for key, value in feature.items() if key != "name"})
    return None
