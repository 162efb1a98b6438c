"""What a project's labelling interface asks for: its image, and the controls that take masks and tags.

The interface is XML, https://labelstud.io/guide/setup. Of a control `<BrushLabels name="tag" toName="image">`, results
have `from_name` "tag" and `to_name` "image".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from xml.etree.ElementTree import Element

from tag2mask.core.errors import DataError
from tag2mask.masks.formats.label_studio import labelling_interface
from tag2mask.masks.formats.options import ExportOptions

Shapes = Literal["auto", "brush", "polygon"]

_LONGEST = 1 << 20
_NAMES = {"brushlabels": "Label", "polygonlabels": "Label", "choices": "Choice"}


@dataclass(frozen=True, slots=True)
class Control:
    """A control of the image.

    Attributes:
        kind: `brushlabels`, `polygonlabels` or `choices`.
        name: of the control.
        to_name: of the image.
        labels: label by the name that it is found under: as it is written, and by its alias.
        is_single: only one choice may be made.
    """

    kind: str
    name: str
    to_name: str
    labels: dict[str, str] = field(default_factory=dict)
    is_single: bool = False

    def label_of(self, class_name: str) -> str | None:
        """The label of a class: of the same name, or the only one that differs in upper and lower case alone."""
        if class_name in self.labels.values():
            return class_name
        folded = class_name.casefold()
        alike = sorted({label for label in self.labels.values() if label.casefold() == folded})
        return alike[0] if len(alike) == 1 else None


@dataclass(frozen=True, slots=True)
class Interface:
    """A labelling interface as far as it matters here.

    Attributes:
        data_key: of the task's data, under which the address of the image stands.
        controls: of the image.
        has_shapes: whether there is a control of any kind that takes regions.
    """

    data_key: str
    controls: tuple[Control, ...]
    has_shapes: bool

    def control(self, kind: str) -> Control | None:
        """The first control of a kind."""
        return next((one for one in self.controls if one.kind == kind), None)

    def control_of_masks(self, shapes: Shapes = "auto") -> Control | None:
        """The control that predicted masks are given to: a brush, which is exact, before polygons."""
        brush, polygon = self.control("brushlabels"), self.control("polygonlabels")
        if shapes == "auto":
            return brush or polygon
        return brush if shapes == "brush" else polygon

    def choices(self) -> frozenset[str]:
        """Names of the classes that can be chosen for the image as a whole."""
        return frozenset(
            label for control in self.controls if control.kind == "choices" for label in control.labels.values()
        )


def read_interface(xml: str) -> Interface:
    """Read a labelling interface, from a sender that need not be trusted.

    Raises:
        DataError: it is no XML, or has no image.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    if len(xml) > _LONGEST:
        raise DataError(f"a labelling interface of {len(xml):,} characters; expected fewer than {_LONGEST:,}")
    try:
        root: Element = fromstring(xml)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise DataError(f"the labelling interface is not XML that can be read ({error})") from None
    images = {one.get("name"): one.get("value", "") for one in root.iter() if _tag(one) == "image"}
    if not images:
        raise DataError('the labelling interface has no image; expected <Image name="image" value="$image"/>')
    name, value = next(iter(images.items()))
    if not value.startswith("$"):
        raise DataError(f"the labelling interface shows {value!r} in every task; expected a value such as $image")
    controls = [one for one in root.iter() if name in [part.strip() for part in one.get("toName", "").split(",")]]
    return Interface(
        value[1:],
        tuple(_control(one, str(name)) for one in controls if _tag(one) in _NAMES),
        any(_tag(one).endswith("labels") or _tag(one) in {"brush", "polygon"} for one in controls),
    )


def check_interface(interface: Interface, classes: Sequence[str], shapes: Shapes = "auto") -> list[str]:
    """Classes that predictions leave out, since the interface has no label for them.

    Raises:
        DataError: the interface takes no masks of any class; the message has one that does.
    """
    control = interface.control_of_masks(shapes)
    missing = [name for name in classes if control is None or control.label_of(name) is None]
    if len(missing) == len(classes):
        wanted = "BrushLabels or PolygonLabels" if shapes == "auto" else f"{shapes.capitalize()}Labels"
        example = suitable_interface(classes, shapes)
        raise DataError(
            f"the labelling interface has no {wanted} with a class of this model ({', '.join(classes)}); here is one "
            f"for Settings > Labeling Interface > Code:\n{example}"
        )
    return missing


def suitable_interface(classes: Sequence[str], shapes: Shapes = "auto") -> str:
    """A labelling interface for the classes of a model, as XML."""
    return labelling_interface(ExportOptions(tuple(classes), polygons=shapes == "polygon"))


def _tag(element: Element) -> str:
    return element.tag.lower() if isinstance(element.tag, str) else ""


def _control(element: Element, image: str) -> Control:
    kind = _tag(element)
    labels: dict[str, str] = {}
    for one in element.iter():
        if _tag(one) == _NAMES[kind].lower() and (value := one.get("value")):
            labels[value] = value
            labels.setdefault(one.get("alias") or value, value)
    is_single = kind == "choices" and element.get("choice", "single") != "multiple"
    return Control(kind, element.get("name", ""), image, labels, is_single)
