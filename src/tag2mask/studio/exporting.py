"""Export of a project's masks as one file to download."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.outcome import Outcome
from tag2mask.core.record import ImageRecord
from tag2mask.masks import export_records, mask_path, read_mask, write_label_map
from tag2mask.masks.export import FILES, LABEL_FILES
from tag2mask.masks.palette_png import encode_mask
from tag2mask.studio.layers import Layers, Mask, at_file_size
from tag2mask.studio.masks_of import WRITTEN

FORMATS = {
    "PNG mask": "png",
    "COCO": "coco",
    "CVAT": "cvat",
    "Label Studio": "label-studio",
    "VOC": "voc",
    "YOLO": "yolo",
}
"""Formats of export, by the name that people see."""


def masks_to_export(layers: Layers, names: Iterable[str]) -> list[str]:
    """Those of the names that have a mask on disk: kept, or written by the chosen run."""
    project = layers.project
    run = project.run_folder()
    folders = [project.corrected] + ([run / folder for folder in WRITTEN] if run is not None else [])
    there = set[str]().union(*(project.mask_names(folder) for folder in folders))
    return [name for name in names if mask_path(Path(), name).with_suffix("").as_posix() in there]


def export_project(
    layers: Layers, names: Sequence[str], *, to: str, folder: Path, polygons: bool = False
) -> tuple[Path, Outcome]:
    """Write masks of a project as one file: JSON, or ZIP where a format has several.

    Args:
        layers: of the project.
        names: images with a mask; see `masks_to_export`.
        to: a value of `FORMATS`.
        folder: an empty folder for the file.
        polygons: as in `tag2mask.masks.export_records`.

    Returns:
        The file, and what was written: a damaged mask is a failure.

    Raises:
        ConfigError: `to` is no format, or has no polygons.
        DataError: no mask could be written.
    """
    if to not in FORMATS.values():
        raise ConfigError(f"`to`: unknown format {to!r}; expected one of {', '.join(FORMATS.values())}")
    classes = layers.project.class_names
    stem = f"{layers.project.root.name or 'masks'}-{to}"
    if to == "png":
        return _export_pngs(layers, names, folder / f"{stem}.zip")
    out = folder / f"{stem}{FILES.get(to, '.zip')}"
    outcome = export_records(_records(layers, names), classes, out, to=to, polygons=polygons, progress=False)
    if to not in LABEL_FILES:
        return out, outcome
    archive = folder / f"{stem}.zip"  # the tool needs the labels in a second file
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in (out, out.with_name(out.stem + LABEL_FILES[to])):
            file.write(path, path.name)
    return archive, outcome


def _records(layers: Layers, names: Iterable[str]) -> Iterator[tuple[ImageRecord, Path | Mask]]:
    """Images with their masks at the size of their files, in class indices of the project."""
    run = layers.project.run_folder()
    for name in names:
        path = layers.project.path(name)
        kept = mask_path(layers.project.corrected, name)
        if kept.is_file():
            yield ImageRecord(name, path), kept
            continue
        try:
            found = None if run is None else layers.of_run(name, run, WRITTEN)
            if found is not None:
                yield ImageRecord(name, path), at_file_size(found[0], path)
        except DataError:  # said when it is read again, as a failure
            assert run is not None
            yield ImageRecord(name, path), mask_path(run / WRITTEN[0], name)


def _export_pngs(layers: Layers, names: Sequence[str], out: Path) -> tuple[Path, Outcome]:
    """A ZIP archive of palette PNGs by the names of their images, with `classes.txt` and the label map."""
    outcome = Outcome(out)
    classes = layers.project.class_names
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for record, source in _records(layers, names):
            try:
                mask = read_mask(source) if isinstance(source, Path) else source
                content = encode_mask(mask, classes=len(classes))
            except (DataError, ValueError) as error:
                outcome.failures.append((record.name, str(error)))
                continue
            archive.writestr(mask_path(Path(), record.name).as_posix(), content)
            outcome.written += 1
        label_files = out.parent / "labels"
        write_label_map(label_files, classes)
        for path in sorted(label_files.iterdir()):
            archive.write(path, path.name)
    if not outcome.written:
        raise DataError(outcome.failures[0][1] if outcome.failures else "not one mask to write")
    return out, outcome
