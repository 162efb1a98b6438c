"""Tags from CVAT, "CVAT for images 1.1": the labels of an image's tags and shapes.

    <annotations>
      <version>1.1</version>
      <image id="0" name="a.jpg" subset="train" width="640" height="480">
        <tag label="cat" source="manual"></tag>
        <box label="dog" xtl="1" ytl="2" xbr="3" ybr="4"/>
      </image>
    </annotations>

Coordinates are not read. Labels that an image has neither as tag nor as shape are absent from it. An image
with nothing on it may not have been looked at: it is left out, unless it has a tag `none` or `background`.

Reference: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import defusedxml
from defusedxml import ElementTree

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.listing import Listing
from tag2mask.data.readers.records import RecordError, check_listing, class_name, without_background
from tag2mask.images.folder import FolderIndex

_EXPECTED = "expected CVAT's export `CVAT for images 1.1`"
_REMEDY = "export the task from CVAT again as `CVAT for images 1.1`, with its images, which are the frames"
_UNNAMED_SUBSETS = frozenset({"", "default"})


def read_cvat(path: Path, index: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of CVAT's annotations.

    Args:
        path: the XML file.
        index: the folder that its names are relative to, or one with a folder per subset.
        classes: the names that count, or None: those of the labels that occur.

    Raises:
        DataError: the file is not such an export.
    """
    listing = Listing("cvat", index, complete=True)
    root = _root(path)
    images = root.findall("image")
    for position, image in enumerate(images, start=1):
        where = f"{path.name}, image {position}"
        try:
            listing.records.append(_record(image, where, index))
        except RecordError as error:
            listing.problems.append(Problem("bad row", f"{where}: {error}", path.name))
    tracks = len(root.findall("track"))
    if tracks:
        message = f"{path.name}: {tracks} tracks of a video beside the images were not read; {_REMEDY}"
        listing.problems.append(Problem("not read", message, path.name))
    attributes = sum(len(shape.findall("attribute")) for image in images for shape in image)
    if attributes:
        message = f"{path.name}: {attributes} attributes of tags and shapes are no classes and were not read"
        listing.problems.append(Problem("not read", message, path.name, "note"))
    return check_listing(listing, classes, str(path))


def _root(path: Path) -> Element:
    try:
        root = ElementTree.parse(path).getroot()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; {_EXPECTED}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except (ParseError, defusedxml.DefusedXmlException, ValueError, LookupError) as error:
        raise DataError(f"{path}: not readable XML ({error}); export it from CVAT again") from error
    if root is None or root.tag != "annotations":
        kind = "" if root is None else f", its top element is <{root.tag[:40]}>"
        hint = (
            "; for PASCAL VOC give the folder that holds images and annotations as `images`, without `tags`"
            if kind == ", its top element is <annotation>"
            else ""
        )
        raise DataError(f"{path}: not CVAT's annotations{kind}; {_EXPECTED}{hint}")
    if root.find("track") is not None and root.find("image") is None:
        raise DataError(f"{path}: annotations of a video (<track>); {_EXPECTED}, not `CVAT for video`: {_REMEDY}")
    return root


def _record(image: Element, where: str, index: FolderIndex) -> ImageRecord:
    name = image.get("name")
    if name is None or not name.strip():
        raise RecordError("no name; export it from CVAT again")
    labels = [class_name(child.get("label")) for child in image if child.get("label") is not None]
    subset = (image.get("subset") or "").strip()
    split = None if subset.casefold() in _UNNAMED_SUBSETS else subset
    if subset and name not in index.files:  # the export of a project has a folder of images for each subset
        folders = (subset, subset.casefold(), f"images/{subset}", f"{subset}/images")
        name = next((one for folder in folders if (one := f"{folder}/{name}") in index.files), name)
    tags = without_background(labels) if labels else None
    return ImageRecord(name, tags=tags, split=split, where=where)
