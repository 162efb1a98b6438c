"""One line of JSON Lines: the image, its tags and its split, as several tools write them.

    {"image": "a.jpg", "tags": ["cat", "?dog"]}                         also {"cat": 1, "dog": 0}, or "cat"
    {"file_name": "a.jpg", "objects": {"bbox": [...], "categories": [...]}}          Hugging Face
    {"source-ref": "s3://b/a.jpg", "job": [0], "job-metadata": {"class-map": {"0": "cat"}}}   SageMaker Ground Truth
    {"imageGcsUri": "gs://b/a.jpg", "classificationAnnotations": [{"displayName": "cat"}]}    Vertex AI
    {"image_url": "azureml://a.jpg", "label": ["cat"]}                  Azure ML, also [{"label": "cat", "topX": ...}]

References: https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html,
https://cloud.google.com/vertex-ai/docs/image-data/classification/prepare-data,
https://learn.microsoft.com/azure/machine-learning/reference-automl-images-schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tag2mask.core.record import ImageRecord
from tag2mask.data.readers.header_words import (
    IMAGE_COLUMNS,
    ONE_TAG_COLUMNS,
    SPLIT_COLUMNS,
    TAGS_COLUMNS,
    WEAK_MANY_COLUMNS,
    WEAK_ONE_COLUMNS,
    column_key,
)
from tag2mask.data.readers.json_file import shown
from tag2mask.data.readers.label_rows import LabelRow
from tag2mask.data.readers.layout_words import split_of_word
from tag2mask.data.readers.records import RecordError, class_name, without_background
from tag2mask.data.readers.tag_cells import is_empty_word
from tag2mask.images.folder import is_image_name

EXPECTED = 'expected one object per line, such as {"image": "a.jpg", "tags": ["cat", "dog"]}'

_VERTEX_TAGS = ("classificationAnnotation", "classificationAnnotations", "boundingBoxAnnotations")
_VERTEX_OTHERS = ("segmentationAnnotations", "segmentationAnnotation", "polylineAnnotations", "timeSegments")
_ML_USE = "aiplatform.googleapis.com/ml_use"
_METADATA = "-metadata"
_NAME_KEYS = ("label", "displayName", "display_name", "name", "class", "category", "tag", "class_name", "category_name")
_LIST_KEYS = ("categories", "category", "labels", "label", "classes", "class", "tags", "names", "choices")


def read_entry(
    entry: dict[str, Any], where: str, folder: str, split: str | None, classes: Sequence[str] | None
) -> LabelRow:
    """What an object says of an image.

    Args:
        entry: the object.
        where: its place in the source, for messages.
        folder: put before its name, with / at the end.
        split: of the records that name none.
        classes: names that numbers stand for, in their order, or None.

    Raises:
        RecordError: it cannot be used.
    """
    name = _image(entry)
    part = _value(entry, SPLIT_COLUMNS)
    if part is not None and (not isinstance(part, str | int) or isinstance(part, bool)):
        raise RecordError(f"split {shown(part)}; expected a text such as train")
    part = ("" if part is None else str(part)).strip() or _ml_use(entry) or ""
    record = ImageRecord(f"{folder}{name}", split=(split_of_word(part) or part) or split, where=where)
    tags = _sage_maker(entry) if "source-ref" in entry else _vertex(entry) if _is_vertex(entry) else _tags(entry)
    if tags is None:
        return LabelRow(record)
    if isinstance(tags, dict) and not _is_struct(tags):
        states = {class_name(key): _state(value, key) for key, value in tags.items()}
        chosen = {state: _classes(key for key in states if states[key] == state) for state in (1, 0)}
        return LabelRow(record.with_tags(chosen[1], record.unknown), chosen[0])
    names = _names(tags, classes)
    unknown = frozenset(class_name(name[1:]) for name in names if name.startswith("?"))
    present = _classes(name for name in names if not name.startswith("?"))
    if present & unknown:
        raise RecordError(f"{sorted(present & unknown)} both present and unknown; write one of the two")
    return LabelRow(record.with_tags(present, unknown))


def holds_one_tag(entry: dict[str, Any]) -> bool:
    """Whether an object has the key of a single tag and a text below it, so that an image may have several."""
    keys = [key for key in entry if column_key(key) in ONE_TAG_COLUMNS | WEAK_ONE_COLUMNS]
    return any(isinstance(entry[key], str | int) for key in keys)


def _image(entry: dict[str, Any]) -> str:
    name = _value(entry, IMAGE_COLUMNS)
    if isinstance(name, dict):
        name = name.get("path", name.get("file_name", name.get("url")))
    if isinstance(name, int) and not isinstance(name, bool):
        raise RecordError(f"image {shown(name)}; expected a name")
    if name is None and "source" in entry and any(key.endswith(_METADATA) for key in entry):
        raise RecordError("text or a table of SageMaker Ground Truth, not an image; expected `source-ref`")
    if not isinstance(name, str) or not name.strip():
        keys = f" among {shown(sorted(map(str, entry))[:8])}" if len(entry) > 1 else ""
        raise RecordError(
            f"no image name{keys}; {EXPECTED}" if name is None else f"image {shown(name)}; expected a name"
        )
    return name


def _tags(entry: dict[str, Any]) -> Any:
    """The value under the key of tags, the plainer words first."""
    for words in (TAGS_COLUMNS, WEAK_MANY_COLUMNS | WEAK_ONE_COLUMNS):
        if any(column_key(key) in words and isinstance(key, str) for key in entry):
            return _value(entry, words)
    return None


def _names(tags: Any, classes: Sequence[str] | None) -> list[str]:
    """The names in a text, a list of texts or of objects that have a name, or in `{"categories": [...]}`."""
    if isinstance(tags, dict):
        key = next(key for key in _LIST_KEYS if key in tags)
        return _names(tags[key], classes)
    if isinstance(tags, int) and classes is not None:
        tags = [tags]
    if not isinstance(tags, str | list):
        hint = "" if not isinstance(tags, int) else ", or give the names of the numbers in their order as `classes`"
        raise RecordError(f'tags {shown(tags)}; expected the names of classes, such as ["cat", "dog"]{hint}')
    return [_name(word, classes) for word in ([tags] if isinstance(tags, str) else tags)]


def _name(word: Any, classes: Sequence[str] | None) -> str:
    if isinstance(word, dict):
        key = next((key for key in _NAME_KEYS if isinstance(word.get(key), str)), None)
        if key is None:
            raise RecordError(f"{shown(word)} names no class; expected a key such as `label`")
        word = word[key]
    if isinstance(word, int) and not isinstance(word, bool):
        if classes is None:
            raise RecordError(f"tag {word} is a number; write names, or give them in the order of numbers as `classes`")
        if not 0 <= word < len(classes):
            raise RecordError(f"tag {word}, but `classes` has the {len(classes)} names of 0 to {len(classes) - 1}")
        return classes[word]
    return class_name(word)


def _classes(names: Any) -> frozenset[str]:
    return frozenset(name for name in without_background(names) if not is_empty_word(name))


def _is_struct(tags: dict[str, Any]) -> bool:
    """Whether an object holds boxes and their classes, rather than classes and whether they are there."""
    return any(isinstance(tags.get(key), list) for key in _LIST_KEYS)


def _sage_maker(entry: dict[str, Any]) -> Any:
    """Tags of a line of an output manifest, whose numbers are named in the job's metadata."""
    jobs = [key for key in entry if f"{key}{_METADATA}" in entry]
    if not jobs:
        return _tags(entry)
    if len(jobs) > 1:
        raise RecordError(
            f"several jobs of SageMaker Ground Truth ({', '.join(map(repr, jobs[:3]))}); keep one of them"
        )
    value, metadata = entry[jobs[0]], entry[f"{jobs[0]}{_METADATA}"]
    if not isinstance(metadata, dict):
        raise RecordError(f"{jobs[0]}{_METADATA} {shown(metadata)}; expected an object")
    if "failure-reason" in metadata:
        raise RecordError(f"the job failed: {shown(metadata['failure-reason'])}")
    if "segmentation" in str(metadata.get("type")) or jobs[0].endswith("-ref"):
        raise RecordError("masks of SageMaker Ground Truth, which are not read; use them as masks, or write their tags")
    if isinstance(metadata.get("class-name"), str):
        return metadata["class-name"]
    names = metadata.get("class-map")
    if isinstance(value, dict):
        value = value.get("annotations")
    values = value if isinstance(value, list) else [value]
    numbers = [one.get("class_id") if isinstance(one, dict) else one for one in values]
    if not isinstance(names, dict):
        raise RecordError(f"no `class-map` in {jobs[0]}{_METADATA}, which names the numbers {shown(numbers)}")
    missing = next((one for one in numbers if not isinstance(names.get(str(one)), str)), None)
    if missing is not None or None in numbers:
        raise RecordError(f"number {shown(missing)} is not in `class-map` {shown(names)}")
    return [names[str(one)] for one in numbers]


def _is_vertex(entry: dict[str, Any]) -> bool:
    return "imageGcsUri" in entry or any(key in entry for key in (*_VERTEX_TAGS, *_VERTEX_OTHERS))


def _vertex(entry: dict[str, Any]) -> Any:
    """Tags of a line of a Vertex AI import file."""
    found = [entry[key] for key in _VERTEX_TAGS if key in entry]
    other = next((key for key in _VERTEX_OTHERS if key in entry), None)
    if not found and other is not None:
        raise RecordError(f"`{other}` of Vertex AI, which are not read; expected `classificationAnnotations`")
    if not found:
        return _tags(entry)
    return [one for value in found for one in (value if isinstance(value, list) else [value])]


def _ml_use(entry: dict[str, Any]) -> str | None:
    labels = entry.get("dataItemResourceLabels")
    use = labels.get(_ML_USE) if isinstance(labels, dict) else None
    return use if isinstance(use, str) else None


def _state(value: Any, name: str) -> int:
    if value is None or (isinstance(value, int | float) and value in (1, 0, -1)):
        return -1 if value is None else int(value)
    raise RecordError(f"{name!r} is {shown(value)}; expected 1 (present), 0 (absent) or null (unknown)")


def _value(entry: dict[str, Any], keys: frozenset[str]) -> Any:
    """The value under the one of some keys that an object has; the more specific word wins over `name` and `id`."""
    found = [key for key in entry if column_key(key) in keys]
    if len(found) < 2:
        return entry[found[0]] if found else None
    plain = [key for key in found if column_key(key) not in {"name", "id"}] or found
    texts = [key for key in plain if isinstance(entry[key], str | list | dict)]
    plain = texts if len(plain) > 1 and len(texts) == 1 else plain
    if len(plain) > 1:
        files = [key for key in plain if isinstance(entry[key], str) and is_image_name(entry[key][-255:])]
        plain = files if len(files) == 1 else plain
    if len(plain) > 1:
        raise RecordError(f"{' and '.join(map(repr, plain[:3]))} mean the same; keep one of them")
    return entry[plain[0]]
