"""Export of masks to the formats of annotation and training tools, one mask in memory at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tag2mask.core.constants import IGNORE_INDEX
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.files import atomic_path, make_folder, sweep_beside, write_text
from tag2mask.core.outcome import Outcome
from tag2mask.core.progress import progress_bar
from tag2mask.core.record import ImageRecord
from tag2mask.core.text import counted
from tag2mask.images.decode import image_size
from tag2mask.masks.formats.coco import CocoJson
from tag2mask.masks.formats.containers import PREVIOUS, check_free, container
from tag2mask.masks.formats.cvat import CvatXml, cvat_labels
from tag2mask.masks.formats.geotiff import GeoTiffLayout
from tag2mask.masks.formats.json_folders import Labelme, Supervisely, is_labelme, is_supervisely
from tag2mask.masks.formats.label_studio import LabelStudioJson, labelling_interface
from tag2mask.masks.formats.options import Container, ExportOptions, Writer, stem_of
from tag2mask.masks.formats.png_folders import FiftyOneLayout, HuggingFaceLayout, MmsegLayout
from tag2mask.masks.formats.regions import without_small_parts
from tag2mask.masks.formats.tables import KaggleCsv
from tag2mask.masks.formats.voc import VocLayout
from tag2mask.masks.formats.yolo import YoloBoxes, YoloSeg
from tag2mask.masks.palette_png import read_mask
from tag2mask.masks.plugins import FileExporter, FolderExporter, Guarded, exporter, exporter_names
from tag2mask.masks.polygons import TOLERANCE

FILES = {"coco": ".json", "coco-boxes": ".json", "cvat": ".xml", "label-studio": ".json", "kaggle": ".csv"}
"""Formats of one file, with its suffix."""

LABEL_FILES = {"cvat": ".labels.json", "label-studio": ".interface.xml"}
"""Formats whose tool needs the labels in a second file beside the first, with its ending."""

CONTAINERS: dict[str, Container] = {
    "voc": VocLayout,
    "yolo": YoloSeg,
    "yolo-boxes": YoloBoxes,
    "labelme": Labelme,
    "supervisely": Supervisely,
    "mmseg": MmsegLayout,
    "fiftyone": FiftyOneLayout,
    "huggingface": HuggingFaceLayout,
    "geotiff": GeoTiffLayout,
}
"""Formats of a folder, or a ZIP archive of it."""

WITH_UNDECIDED = frozenset({"voc", "mmseg", "fiftyone", "huggingface", "geotiff"})
"""Formats in which undecided pixels keep the value 255."""

_POLYGONS = frozenset({"coco", "cvat", "label-studio", "labelme", "supervisely", "yolo"})
_PARTS = frozenset({"yolo", "yolo-boxes", "coco-boxes"})
"""Formats whose objects are connected parts in any case."""
_INSTANCES = frozenset({"coco", "cvat", "label-studio", "labelme", "supervisely", "voc", "kaggle"}) | _PARTS

FORMATS = (*FILES, *CONTAINERS)
"""Our own formats; `tag2mask.masks.plugins` adds those of other packages."""

Mask = Path | NDArray[np.uint8]
"""File of a mask, or uint8 (H, W) class indices."""


def export_records(
    records: Iterable[tuple[ImageRecord, Mask]],
    classes: Sequence[str],
    out: str | Path,
    *,
    to: str,
    polygons: bool = False,
    tolerance: float = TOLERANCE,
    image_url: str | None = None,
    instances: bool = False,
    min_area: int = 1,
    overwrite: bool = False,
    strict: bool = False,
    progress: bool = True,
) -> Outcome:
    """Write masks in the format of a tool.

    The output appears complete, at the end, or not at all.

    Args:
        records: images with their masks; read one after the other, so a generator will do. A mask's size is compared
            with that of its image if the record has a file.
        classes: names without background, in the order of their indices.
        out: for the formats in `FILES` a file of that suffix; for the others a folder or a .zip file.
        to: one of `FORMATS`, or a format of another package (an entry point of the group `tag2mask.exporters`).
        polygons: polygons instead of exact pixels (`coco`, `cvat`, `label-studio`, `labelme`, `supervisely`; `yolo`
            always has polygons).
        tolerance: of polygons, in pixels; 0 for exact outlines.
        image_url: what comes before the name of an image in Label Studio's tasks.
        instances: each connected part of a class (8-connected) is an object of its own; the formats of boxes and `yolo`
            always do so.
        min_area: connected parts of fewer pixels are left out, and their number is noted.
        overwrite: replace an existing output.
        strict: raise at the first bad mask instead of counting it.
        progress: show a progress bar, if the number of records is known.

    Raises:
        ConfigError: the format is unknown, an argument does not fit it, or `out` already exists.
        DataError: no mask could be written, two images have the same name, a mask is bad (`strict`), or `out` cannot
            be written.

    Example:
        >>> mask = np.array([[0, 1], [2, 2]], np.uint8)
        >>> records = [(ImageRecord("walk/a.jpg"), mask)]
        >>> export_records(records, ["cat", "dog"], "a.json", to="coco", progress=False).written
        1
    """
    out = Path(out)
    options = _options(classes, to, polygons, tolerance, image_url, instances, min_area)
    sweep_beside(out, previous=PREVIOUS)
    labels = _check_out(out, to, overwrite=overwrite)
    outcome = Outcome(out)
    total = len(records) if isinstance(records, Sized) else 0
    with progress_bar("masks", total, shown=progress and total > 0) as advance, _writer(out, to, options) as writer:
        undecided = _write(records, writer, options, outcome, strict=strict, advance=advance)
        if not outcome.written:
            reason = f": {outcome.failures[0][1]}" if outcome.failures else "; give at least one mask"
            raise DataError(f"{out}: not one mask to write{reason}")
        writer.close()
    if labels is not None:
        write_text(labels, cvat_labels(options.classes) if to == "cvat" else labelling_interface(options))
        outcome.notes.append(f"labels for the tool in {labels}")
    if undecided and not _traits(to).undecided:
        outcome.notes.append(f"undecided pixels (255) of {counted(undecided, 'masks')} have no label in this format")
    return outcome


def _write(
    records: Iterable[tuple[ImageRecord, Mask]],
    writer: Writer,
    options: ExportOptions,
    outcome: Outcome,
    *,
    strict: bool,
    advance: Callable[[], None],
) -> int:
    """Write all masks; returns how many of them have undecided pixels."""
    undecided = dropped = 0
    seen: set[str] = set()
    for record, source in records:
        stem = stem_of(record.name)
        if stem in seen:
            raise DataError(f"{record.name}: two images have this name without its suffix; rename one of them")
        seen.add(stem)
        try:
            mask = _load(record, source, len(options.classes))
            mask, small = without_small_parts(mask, len(options.classes), options.min_area)
            dropped += small
            if isinstance(writer, GeoTiffLayout):
                writer.image = record.image
            writer.add(record.name, mask)
        except DataError as error:
            if strict:
                raise
            outcome.failures.append((record.name, str(error)))
        else:
            outcome.written += 1
            undecided += bool((mask == IGNORE_INDEX).any())
        advance()
    if dropped:
        outcome.notes.append(f"{counted(dropped, 'parts')} of fewer than {options.min_area} pixels left out")
    return undecided


def _options(
    classes: Sequence[str],
    to: str,
    polygons: bool,
    tolerance: float,
    image_url: str | None,
    instances: bool,
    min_area: int,
) -> ExportOptions:
    if to not in FORMATS and exporter(to) is None:
        raise ConfigError(f"`to`: unknown format {to!r}; expected one of {', '.join((*FORMATS, *exporter_names()))}")
    traits = _traits(to)
    if isinstance(classes, str) or not classes:
        raise ConfigError(f"`classes`: expected a list of names, got {classes!r}")
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise ConfigError(f"`tolerance` is {tolerance}; expected a number of pixels, 0 or more")
    if polygons and not traits.polygons:
        raise ConfigError(f"`polygons`: {to} has none; leave it out, or choose another format")
    if instances and not traits.instances:
        raise ConfigError(
            f"`instances`: {to} has classes of pixels and no objects; leave it out, or choose another format"
        )
    if min_area < 1:
        raise ConfigError(f"`min_area` is {min_area}; expected a number of pixels, 1 or more")
    if image_url is not None and to != "label-studio":
        raise ConfigError(f"`image_url`: only label-studio has addresses of images, {to} has names; leave it out")
    options = ExportOptions(tuple(classes), polygons, tolerance, instances=instances, min_area=min_area)
    return options if image_url is None else replace(options, image_url=image_url)


class _Traits(NamedTuple):
    """What a format is: the suffix of its file, or what its folder contains; and what it knows."""

    suffix: str | None
    contents: frozenset[str]
    polygons: bool
    instances: bool
    undecided: bool


def _traits(to: str) -> _Traits:
    plugin = None if to in FORMATS else exporter(to)
    if plugin is not None:
        suffix = plugin.suffix if isinstance(plugin, FileExporter) else None
        contents = plugin.contents if isinstance(plugin, FolderExporter) else frozenset[str]()
        return _Traits(suffix, contents, plugin.polygons, plugin.instances, plugin.undecided)
    contents = CONTAINERS[to].contents if to in CONTAINERS else frozenset()
    return _Traits(FILES.get(to), contents, to in _POLYGONS, to in _INSTANCES, to in WITH_UNDECIDED)


def _nothing(_: Path) -> bool:
    """No file or folder beside the named ones is a format's own."""
    return False


def _check_out(out: Path, to: str, *, overwrite: bool) -> Path | None:
    """Check that the output may be written; returns the file of labels to write beside it, if the format has one."""
    suffix, contents = _traits(to)[:2]
    if suffix is None:
        zipped = out.suffix.lower() == ".zip"
        owns = {"labelme": is_labelme, "supervisely": is_supervisely}.get(to, _nothing)
        check_free(out, overwrite=overwrite, contents=frozenset() if zipped else contents, owns=owns)
        if not zipped and out.is_file():
            raise ConfigError(f"`out`: {out} is a file; {to} writes a folder, or a file that ends in .zip")
        return None
    if out.suffix.lower() != suffix:
        raise ConfigError(f"`out` is {out}; {to} writes one file, whose name ends in {suffix}")
    check_free(out, overwrite=overwrite)
    if to not in LABEL_FILES:
        return None
    labels = out.with_name(out.stem + LABEL_FILES[to])
    check_free(labels, overwrite=overwrite)
    return labels


@contextmanager
def _writer(out: Path, to: str, options: ExportOptions) -> Iterator[Writer]:
    plugin = None if to in FORMATS else exporter(to)
    if isinstance(plugin, FolderExporter):
        with container(out) as write:
            yield Guarded(to, partial(plugin.writer, write, options))
        return
    if to in CONTAINERS:
        with container(out) as write:
            yield CONTAINERS[to](write, options)
        return
    make_folder(out.parent)
    with atomic_path(out) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        if plugin is not None:
            yield Guarded(to, partial(plugin.writer, stream.write, options))
        elif to in {"coco", "coco-boxes"}:
            with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n", dir=out.parent) as images:
                yield CocoJson(stream.write, images, options, boxes=to == "coco-boxes")
        elif to == "cvat":
            yield CvatXml(stream.write, options)
        elif to == "kaggle":
            yield KaggleCsv(stream.write, options)
        else:
            yield LabelStudioJson(stream.write, options)


def _load(record: ImageRecord, source: Mask, classes: int) -> NDArray[np.uint8]:
    """The mask of an image, checked."""
    where = source if isinstance(source, Path) else record.name
    mask = read_mask(source) if isinstance(source, Path) else source
    if mask.ndim != 2 or mask.dtype != np.uint8 or mask.size == 0:
        raise DataError(f"{where}: a mask is uint8 (H, W), got {mask.dtype} {mask.shape}")
    wrong = mask[(mask > classes) & (mask != IGNORE_INDEX)]
    if wrong.size:
        raise DataError(
            f"{where}: class index {int(wrong[0])}, but there are {classes} classes; give the classes of this mask"
        )
    if record.image is not None and (size := image_size(record.image)) != mask.shape:
        raise DataError(
            f"{where}: this mask is {mask.shape[0]} x {mask.shape[1]} (height x width), its image "
            f"{size[0]} x {size[1]}; write masks at the size of the image"
        )
    return mask
