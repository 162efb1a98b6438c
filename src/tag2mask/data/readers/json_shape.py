"""Which tool wrote a file of JSON, from the keys it begins with."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[{}\[\]:,]', re.DOTALL)
_MOST_KEYS = 2000

_IMAGE_KEYS = frozenset({"image", "file_name", "filename", "img", "image_path", "path"})
"""An object with one of these is a record of JSON Lines."""

COCO_RESULTS = "a COCO results file (predictions: `image_id` and `category_id`, but no names of images or categories)"


@dataclass(frozen=True, slots=True)
class Shape:
    """The outline of a JSON text.

    Attributes:
        array: the whole is a list.
        keys: the keys of the whole, if it is an object.
        inner: the keys of the objects one level below.
    """

    array: bool
    keys: frozenset[str]
    inner: frozenset[str]


def shape_of(text: str) -> Shape:
    """The outline of a text that begins like JSON; it may be cut off anywhere.

    >>> shape = shape_of('{"a": [1, {"b": 2}], "c": {"d": {"e": 3}}, "f')
    >>> sorted(shape.keys), sorted(shape.inner)
    (['a', 'c'], ['d'])
    """
    levels: tuple[set[str], set[str]] = (set(), set())
    opened: list[str] = []
    last = ""
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in "{[":
            opened.append(token)
        elif token in "}]":
            if len(opened) <= 1:
                break
            opened.pop()
        elif token == ":" and len(opened) in {1, 2} and opened[-1] == "{" and last.startswith('"'):
            level = levels[len(opened) - 1]
            if len(level) < _MOST_KEYS:
                level.add(last[1:-1])
        last = token
    return Shape(text.startswith("["), frozenset(levels[0]), frozenset(levels[1]))


def tool_of(shape: Shape) -> str | None:
    """The format that the keys of a text tell, or None."""
    rules = _LISTS if shape.array else _OBJECTS
    return next((format for format, fits in rules if fits(shape.keys, shape.inner)), None)


def one_image_tool(shape: Shape) -> str | None:
    """The tool whose annotation of a single image has these keys, or None."""
    keys = shape.keys
    if shape.array:
        return None
    if "shapes" in keys and keys & {"imagePath", "flags", "version", "imageData", "imageHeight"}:
        return "labelme"
    if "objects" in keys and keys & {"tags", "size"} and "info" not in keys:
        return "supervisely"
    if {"asset", "regions"} <= keys:
        return "vott-asset"
    return None


def refusal_of(shape: Shape) -> str | None:
    """Why a text of JSON is not read although its tool is known, with the remedy; or None."""
    if shape.keys & _IMAGE_KEYS:
        return None
    rules = _REFUSED_LISTS if shape.array else _REFUSED_OBJECTS
    return next((why for why, fits in rules if fits(shape.keys, shape.inner)), None)


_Rule = tuple[str, Callable[[frozenset[str], frozenset[str]], bool]]

_OBJECTS: tuple[_Rule, ...] = (
    ("coco", lambda keys, inner: "images" in keys and bool(keys & {"annotations", "categories", "info", "licenses"})),
    ("via", lambda keys, inner: bool(keys & {"_via_img_metadata", "_via_settings", "_via_attributes"})),
    ("via", lambda keys, inner: {"filename", "regions"} <= inner and not keys & {"annotations", "images", "data"}),
    ("vott", lambda keys, inner: "assets" in keys),
    ("fiftyone", lambda keys, inner: "labels" in keys and keys <= {"classes", "labels", "info", "name"}),
    ("fiftyone", lambda keys, inner: "samples" in keys),
    ("datumaro", lambda keys, inner: {"items", "categories"} <= keys),
    ("labelbox", lambda keys, inner: {"data_row", "projects"} <= keys),
    ("label-studio", lambda keys, inner: {"task", "result"} <= keys),
    ("label-studio", lambda keys, inner: "data" in keys and bool(keys & {"annotations", "predictions", "completions"})),
)

_LISTS: tuple[_Rule, ...] = (
    ("labelbox", lambda keys, inner: {"data_row", "projects"} <= inner or {"External ID", "Label"} <= inner),
    ("label-studio", lambda keys, inner: bool(inner & {"data", "annotator", "annotation_id"})),
    ("label-studio", lambda keys, inner: {"task", "result"} <= inner),
)

_EXPORT = "export COCO JSON there and give that file as `tags`"

_REFUSED_OBJECTS: tuple[_Rule, ...] = (
    (
        "VIA version 3's project: not read; export it from VIA as COCO and give that file as `tags`",
        lambda keys, inner: {"project", "file", "metadata"} <= keys,
    ),
    (
        "a VoTT project file, without the regions: export the project from VoTT as JSON and give that file as `tags`",
        lambda keys, inner: "securityToken" in keys or {"sourceConnection", "targetConnection"} <= keys,
    ),
    (f"V7 Darwin's JSON of one image: not read; {_EXPORT}", lambda keys, inner: {"item", "annotations"} <= keys),
    (f"SuperAnnotate's JSON: not read; {_EXPORT}", lambda keys, inner: {"metadata", "instances"} <= keys),
    (
        "Supervisely's meta.json, which has no images; give the folder that holds `img` and `ann` as `images`, "
        "without `tags`",
        lambda keys, inner: {"classes", "tags"} <= keys <= {"classes", "tags", "projectType", "projectSettings"},
    ),
    (
        "FiftyOne's metadata.json, which has no images; give samples.json beside it as `tags`",
        lambda keys, inner: "sample_fields" in keys,
    ),
    (f"ISAT's JSON of one image: not read; {_EXPORT}", lambda keys, inner: {"info", "objects"} <= keys),
)

_REFUSED_LISTS: tuple[_Rule, ...] = (
    (
        f"{COCO_RESULTS}; give the annotation file with `images`, `annotations` and `categories` as `tags`",
        lambda keys, inner: "image_id" in inner and bool(inner & {"category_id", "caption", "segmentation", "bbox"}),
    ),
    (
        f"Labelbox's export: not read; {_EXPORT}, or write a table `image,tags`",
        lambda keys, inner: bool(inner & {"data_row", "Labeled Data", "DataRow ID"}),
    ),
)
