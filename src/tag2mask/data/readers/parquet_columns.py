"""Which columns of a Parquet file hold the image and its tags, and what its numbers mean.

The names of classes stand in the file's own metadata (key `huggingface`), in the front matter of the folder's
README.md, or are given. A number is the position of a name there; -1 and null say that nothing is known. A list as
long as the names, of 1 and 0 alone, says for each class whether it is there. Where no column is called like tags, each
column of yes and no is a class.

Reference: https://huggingface.co/docs/datasets/about_dataset_features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tag2mask.core.errors import DataError
from tag2mask.data.readers.header_words import (
    BOX_COLUMNS,
    SPLIT_COLUMNS,
    TAGS_COLUMNS,
    WEAK_MANY_COLUMNS,
    WEAK_ONE_COLUMNS,
    column_key,
)
from tag2mask.data.readers.json_file import parse_json
from tag2mask.data.readers.records import RecordError, class_name, without_background
from tag2mask.data.readers.table_roles import names_no_class
from tag2mask.data.readers.text import read_text
from tag2mask.images.folder import FolderIndex

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_README = "README.md"
_MOST_NAMES = 100_000
_INNER = ("category", "categories", "label", "labels", "class", "classes", "name", "names", "tag", "tags")
"""Fields of the objects of an image that hold their classes."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What is read of a file.

    Attributes:
        image: name of the column of images.
        tags: names of the column of tags, or of all columns of a class where `wide`.
        classes: names that numbers stand for, or None.
        wide: each column is a class.
        hot: a cell is a list of 1 and 0, one a class.
        inner: the field of objects that holds their class, or None.
        absent: what says "absent" in a wide column beside 0: -1 where no 0 occurs.
        notes: what was guessed.
    """

    image: str
    tags: tuple[str, ...]
    classes: tuple[str, ...] | None = None
    wide: bool = False
    hot: bool = False
    inner: str | None = None
    absent: int = 0
    notes: tuple[str, ...] = field(default=())

    def names(self, cells: Sequence[Any]) -> tuple[frozenset[str] | None, frozenset[str]]:
        """The classes that the cells of a row say are present, None if they say nothing, and those that are unknown.

        Raises:
            RecordError: a cell holds something else, or a number without a name.
        """
        if self.wide:
            return self._wide_names(cells)
        value = _inner_values(cells[0], self.inner) if self.inner else cells[0]
        values = value if isinstance(value, list) else [value]
        if value is None or any(one is None or (one == -1 and not isinstance(one, str)) for one in values):
            return None, frozenset()
        if self.hot:
            names = self.classes or ()
            if len(values) != len(names) or any(one not in (0, 1) for one in values):
                raise RecordError(f"{str(values)[:60]} are not {len(names)} numbers 0 and 1; correct the row")
            return frozenset(name for name, one in zip(names, values, strict=True) if one), frozenset()
        return without_background(self._name(one) for one in values), frozenset()

    def _wide_names(self, cells: Sequence[Any]) -> tuple[frozenset[str] | None, frozenset[str]]:
        states = dict(zip(self.tags, cells, strict=True))
        present = without_background(name for name, cell in states.items() if cell is not None and cell == 1)
        unknown = without_background(
            name for name, cell in states.items() if cell is None or (cell == -1 and self.absent != -1)
        )
        return (None if len(unknown) == len(states) else present), unknown

    def _name(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, int):
            return class_name(value)
        if self.classes is None:
            raise RecordError(
                f"tag {value} is a number; write names, or their list into the features of the dataset, or give a file "
                "of `classes` in the order of the numbers"
            )
        if not 0 <= value < len(self.classes):
            raise RecordError(f"tag {value}, but there are {len(self.classes)} names; correct it")
        return self.classes[value]


def choose_columns(
    path: Path, file: pq.ParquetFile, index: FolderIndex, classes: Sequence[str] | None = None
) -> Columns:
    """The columns of a file.

    Args:
        path: the file, for messages.
        file: the same, opened.
        index: the folder, which may hold the names of classes in README.md.
        classes: the names that count, which choose between columns and name numbers that have no name.

    Raises:
        DataError: there is no column of images or of tags, or several.
    """
    schema = file.schema_arrow
    images = [column.name for column in schema if _holds_images(column.type)]
    wanted = [name for name in images if column_key(name) in {"image", "img", "images"}]
    image = _only(path, wanted or images, schema, "images (bytes, or a struct of bytes and path)")
    features = _features(path, schema)
    free = [name for name in schema.names if name != image and column_key(name) not in SPLIT_COLUMNS]
    labelled = [name for name in free if _class_names(features.get(name)) is not None]
    found = [name for name in free if column_key(name) in TAGS_COLUMNS]
    found = [name for name in found if name in labelled] or found or labelled
    found = found or [name for name in free if column_key(name) in WEAK_MANY_COLUMNS | WEAK_ONE_COLUMNS]
    splits = [name for name in schema.names if column_key(name) in SPLIT_COLUMNS]
    notes = [f"column {name!r} is not used: the split is the one in the file's name" for name in splits]
    if not found and (wide := _wide_columns(file, free)):
        return _wide(image, wide, file, notes)
    names = {name: _names_of(name, features, index) for name in found}
    if len(found) > 1:
        found = _fitting(path, found, names, classes)
    tags = _only(path, found, schema, "tags (`label`, `tags`)")
    inner = _inner_field(schema.field(tags).type)
    columns = Columns(image, (tags,), names[tags], inner=inner, notes=tuple(notes))
    if inner is not None:
        columns = replace(columns, classes=_class_names(_below(features.get(tags), inner)))
    columns = _hot(path, columns, file, classes)
    if columns.classes is None and classes is not None and not columns.hot:
        return replace(columns, classes=tuple(classes))
    return columns


def _names_of(name: str, features: dict[str, Any], index: FolderIndex) -> tuple[str, ...] | None:
    known = _class_names(features.get(name))
    return _readme_names(index.files[_README], name) if known is None and _README in index.files else known


def _fitting(
    path: Path, found: Sequence[str], names: dict[str, tuple[str, ...] | None], classes: Sequence[str] | None
) -> list[str]:
    """Of several columns of tags the one whose names are those of the file of classes."""
    kept = [name for name in found if set(classes or ()) & set(names[name] or ())]
    if len(kept) == 1:
        return kept
    shown = "; ".join(f"{name!r} ({', '.join((names[name] or ('?',))[:3])}, ...)" for name in found[:4])
    raise DataError(
        f"{path}: several columns of tags (`label`, `tags`): {', '.join(found)}; keep one of them, or give a file of "
        f"`classes` with the names of one: {shown}"
    )


def _wide_columns(file: pq.ParquetFile, free: Sequence[str]) -> list[str]:
    """Columns of yes and no: of truth values, or else of the whole numbers 1, 0 and -1."""
    import pyarrow.types as types

    kinds = {name: file.schema_arrow.field(name).type for name in free}
    truths = [name for name in free if types.is_boolean(kinds[name])]
    if truths:
        return truths
    whole = [
        name
        for name in free
        if types.is_integer(kinds[name]) and not names_no_class(name) and column_key(name) not in BOX_COLUMNS
    ]
    return [name for name in whole if not name.startswith("__") and _values(file, name) <= {-1, 0, 1, None}]


def _wide(image: str, wide: Sequence[str], file: pq.ParquetFile, said: Sequence[str]) -> Columns:
    others = [name for name in file.schema_arrow.names if name not in wide and name != image]
    text = f"{len(wide)} columns of yes and no are read as classes: {', '.join(wide[:8])}"
    notes = [*said, text + (f"; not used: {', '.join(others[:8])}" if others else "")]
    values = set().union(*(_values(file, name) for name in wide))
    absent = -1 if -1 in values and 0 not in values and None not in values else 0
    if absent:
        notes.append("the cells are 1 and -1 alone, never 0: -1 is read as absent")
    return Columns(image, tuple(wide), wide=True, absent=absent, notes=tuple(notes))


def _values(file: pq.ParquetFile, name: str) -> set[Any]:
    """The different values of a column, at most ten of them."""
    found: set[Any] = set()
    for batch in file.iter_batches(4096, columns=[name], use_threads=False):
        found |= set(batch.column(0).unique().to_pylist())
        if len(found) > 10:
            break
    return found


def _hot(path: Path, columns: Columns, file: pq.ParquetFile, classes: Sequence[str] | None) -> Columns:
    """The same columns, with `hot` where the lists must be 1 and 0 for each class: some hold a number twice."""
    import pyarrow.types as types

    kind = file.schema_arrow.field(columns.tags[0]).type
    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    if columns.inner is not None or not lists:
        return columns
    if types.is_string(kind.value_type) or types.is_struct(kind.value_type):
        return columns
    twice, lengths = False, set()
    for batch in file.iter_batches(4096, columns=list(columns.tags), use_threads=False):
        for cell in batch.column(0).to_pylist():
            if cell is None:
                continue
            if any(one not in (0, 1) for one in cell):
                return columns
            lengths.add(len(cell))
            twice = twice or len(set(cell)) < len(cell)
    if not twice or len(lengths) != 1:
        return columns
    width = lengths.pop()
    names = columns.classes or (tuple(classes) if classes is not None else tuple(str(k) for k in range(width)))
    if len(names) != width:
        raise DataError(f"{path}: lists of {width} numbers 0 and 1, but {len(names)} names of classes")
    text = f"the lists of column {columns.tags[0]!r} hold {width} numbers 0 and 1 each: read as one class a position"
    if columns.classes is None and classes is None:
        text += ", named 0, 1, ...; give their names in this order as `classes`"
    return replace(columns, hot=True, classes=names, notes=(*columns.notes, text))


def _inner_field(kind: pa.DataType) -> str | None:
    """The field of a struct, or of a list of structs, that holds classes."""
    import pyarrow.types as types

    if types.is_list(kind) or types.is_large_list(kind):
        kind = kind.value_type
    if not types.is_struct(kind):
        return None
    return next((name for name in _INNER if kind.get_field_index(name) >= 0), None)


def _inner_values(value: Any, inner: str) -> Any:
    if isinstance(value, dict):
        return value.get(inner)
    if isinstance(value, list):
        return [one.get(inner) if isinstance(one, dict) else None for one in value]
    return value


def _below(feature: Any, inner: str) -> Any:
    """The feature of a field, at most four levels below another."""
    for _ in range(4):
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        if not isinstance(feature, dict):
            return None
        if inner in feature:
            return feature[inner]
        feature = feature.get("feature", feature.get("list", feature.get("sequence")))
    return None


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
