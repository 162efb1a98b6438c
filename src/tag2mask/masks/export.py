"""Masks into the formats of annotation and training tools, one mask in memory at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.files import atomic_path, make_folder, write_text
from tag2mask.images.decode import image_size
from tag2mask.masks.formats.coco import CocoJson
from tag2mask.masks.formats.containers import check_free, container
from tag2mask.masks.formats.cvat import CvatXml, cvat_labels
from tag2mask.masks.formats.label_studio import LabelStudioJson, labelling_interface
from tag2mask.masks.formats.options import ExportOptions, Writer, stem_of
from tag2mask.masks.formats.voc import VocLayout
from tag2mask.masks.formats.yolo import YoloSeg
from tag2mask.masks.palette_png import read_mask
from tag2mask.masks.polygons import TOLERANCE

FILES = {"coco": ".json", "cvat": ".xml", "label-studio": ".json"}
"""Formats of one file, with its suffix."""

CONTAINERS: dict[str, type[VocLayout | YoloSeg]] = {"voc": VocLayout, "yolo": YoloSeg}
"""Formats of a folder, or a ZIP archive of it."""

FORMATS = (*FILES, *CONTAINERS)


@dataclass(frozen=True, slots=True)
class MaskItem:
    """A mask to be exported.

    Attributes:
        name: of its photograph, relative to the folder of photographs, with its suffix; unique.
        mask: file of the mask, or uint8 (H, W) class indices.
        image: file of the photograph, if the mask's size is to be compared with its.
    """

    name: str
    mask: Path | NDArray[np.uint8]
    image: Path | None = None


@dataclass(slots=True)
class Exported:
    """What became of the masks.

    Attributes:
        out: file or folder that was written.
        beside: file with the labels that the tool must be told of, or None.
        written: masks written.
        undecided: those of them with pixels of `IGNORE_INDEX`.
        keeps_undecided: the format can say so; otherwise those pixels have no label in it.
        failures: name and reason of each mask that was left out.
    """

    out: Path
    beside: Path | None = None
    written: int = 0
    undecided: int = 0
    keeps_undecided: bool = False
    failures: list[tuple[str, str]] = field(default_factory=list)

    def summary(self) -> str:
        """One line for people."""
        parts = [f"{self.written} masks written to {self.out}"]
        if self.beside is not None:
            parts.append(f"labels for the tool in {self.beside}")
        if self.undecided and not self.keeps_undecided:
            parts.append(f"undecided pixels (255) of {self.undecided} masks are without label there")
        if self.failures:
            parts.append(f"{len(self.failures)} masks skipped")
        return ", ".join(parts)


def export(
    items: Iterable[MaskItem],
    classes: Sequence[str],
    out: str | Path,
    *,
    to: str,
    polygons: bool = False,
    tolerance: float = TOLERANCE,
    image_url: str | None = None,
    overwrite: bool = False,
    strict: bool = False,
    advance: Callable[[], None] = lambda: None,
) -> Exported:
    """Write masks in the format of a tool; one, some or all of a collection.

    The output appears whole, at the end, or not at all.

    Args:
        items: the masks; taken one after the other, so an iterator will do.
        classes: names without background, in the order of their indices.
        out: for `coco` and `label-studio` a .json file, for `cvat` an .xml file, for `voc` and `yolo` a
            folder or a .zip file.
        to: one of `FORMATS`.
        polygons: polygons instead of exact pixels (`coco`, `cvat`, `label-studio`; `yolo` has nothing else).
        tolerance: in pixels, of polygons; 0 for exact outlines.
        image_url: what comes before the name of a photograph in Label Studio's tasks.
        overwrite: replace an output that is there.
        strict: stop at the first bad mask instead of counting it.
        advance: called once a mask, for progress.

    Raises:
        ConfigError: the format is unknown, an option does not fit it, or `out` is there already.
        DataError: no mask could be written, two have one name, one is bad (`strict`), or `out` cannot be written.
    """
    out = Path(out)
    options = _options(classes, to, polygons, tolerance, image_url)
    beside = _check_out(out, to, overwrite=overwrite)
    result = Exported(out, beside, keeps_undecided=to == "voc")
    with _writer(out, to, options) as writer:
        seen: set[str] = set()
        for item in items:
            stem = stem_of(item.name)
            if stem in seen:
                raise DataError(f"{item.name}: two photographs of this name without suffix; rename one of them")
            seen.add(stem)
            try:
                mask = _load(item, len(options.classes))
                writer.add(item.name, mask)
            except DataError as error:
                if strict:
                    raise
                result.failures.append((item.name, str(error)))
            else:
                result.written += 1
                result.undecided += bool((mask == IGNORE_INDEX).any())
            advance()
        if not result.written:
            reason = f": {result.failures[0][1]}" if result.failures else "; give a folder with masks"
            raise DataError(f"{out}: not one mask to write{reason}")
        writer.close()
    if beside is not None:
        write_text(beside, cvat_labels(options.classes) if to == "cvat" else labelling_interface(options))
    return result


def _options(classes: Sequence[str], to: str, polygons: bool, tolerance: float, image_url: str | None) -> ExportOptions:
    if to not in FORMATS:
        raise ConfigError(f"--to {to}: unknown format; one of {', '.join(FORMATS)}")
    if isinstance(classes, str) or not classes:
        raise ConfigError(f"classes: a list of names was expected, got {classes!r}")
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise ConfigError(f"--tolerance {tolerance}: a number of pixels was expected, 0 or more")
    if polygons and to == "voc":
        raise ConfigError("--polygons: voc has none, only pixels; leave it out, or choose another format")
    if image_url is not None and to != "label-studio":
        raise ConfigError(f"--image-url: only label-studio has addresses of images, {to} has names; leave it out")
    options = ExportOptions(tuple(classes), polygons, tolerance)
    return options if image_url is None else ExportOptions(tuple(classes), polygons, tolerance, image_url)


def _check_out(out: Path, to: str, *, overwrite: bool) -> Path | None:
    """Check that the output may be written; returns the file that goes beside it."""
    if to in CONTAINERS:
        zipped = out.suffix.lower() == ".zip"
        check_free(out, overwrite=overwrite, contents=frozenset() if zipped else CONTAINERS[to].contents)
        if not zipped and out.is_file():
            raise ConfigError(f"--out {out}: this is a file; {to} writes a folder, or a file that ends in .zip")
        return None
    if out.suffix.lower() != FILES[to]:
        raise ConfigError(f"--out {out}: {to} writes one file; give it a name that ends in {FILES[to]}")
    check_free(out, overwrite=overwrite)
    ending = {"cvat": ".labels.json", "label-studio": ".interface.xml"}.get(to)
    if ending is None:
        return None
    beside = out.with_name(out.stem + ending)
    check_free(beside, overwrite=overwrite)
    return beside


@contextmanager
def _writer(out: Path, to: str, options: ExportOptions) -> Iterator[Writer]:
    if to in CONTAINERS:
        with container(out) as write:
            yield CONTAINERS[to](write, options)
        return
    make_folder(out.parent)
    with atomic_path(out) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        if to == "coco":
            with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n", dir=out.parent) as images:
                yield CocoJson(stream.write, images, options)
        elif to == "cvat":
            yield CvatXml(stream.write, options)
        else:
            yield LabelStudioJson(stream.write, options)


def _load(item: MaskItem, classes: int) -> NDArray[np.uint8]:
    """The mask of an item, checked."""
    where = item.mask if isinstance(item.mask, Path) else item.name
    mask = read_mask(item.mask) if isinstance(item.mask, Path) else item.mask
    if mask.ndim != 2 or mask.dtype != np.uint8 or mask.size == 0:
        raise DataError(f"{where}: a mask is uint8 (H, W), got {mask.dtype} {mask.shape}")
    wrong = mask[(mask > classes) & (mask != IGNORE_INDEX)]
    if wrong.size:
        raise DataError(
            f"{where}: class index {int(wrong[0])}, but there are {classes} classes; are they those of this mask?"
        )
    if item.image is not None and (size := image_size(item.image)) != mask.shape:
        raise DataError(
            f"{where}: this mask is {mask.shape[0]} x {mask.shape[1]} (height x width), its photograph "
            f"{size[0]} x {size[1]}; write masks at the size of the photograph"
        )
    return mask
