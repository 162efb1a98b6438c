"""A folder of masks into the format of another tool: finding masks, names and photographs."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.images.folder import FolderIndex, check_mask_names, without_suffix
from tag2mask.masks import Exported, MaskItem, export
from tag2mask.masks.class_names import read_classes
from tag2mask.masks.polygons import TOLERANCE

Progress = Callable[[int], Callable[[], None]]

ASSUMED_SUFFIX = ".jpg"
"""Of photographs, where their folder is not given."""


def export_masks(
    masks: str | Path,
    *,
    out: str | Path,
    to: str,
    images: str | Path | None = None,
    classes: str | Path | Sequence[str] | None = None,
    names: Iterable[str] | None = None,
    polygons: bool = False,
    tolerance: float = TOLERANCE,
    image_url: str | None = None,
    overwrite: bool = False,
    strict: bool = False,
    mask_progress: Progress = lambda total: lambda: None,
) -> Exported:
    """Write the masks of a folder in the format of a tool, as `tag2mask.masks.export` does.

    Args:
        masks: folder of masks, with subfolders.
        out: file or folder to write.
        to: `coco`, `cvat`, `label-studio`, `voc` or `yolo`.
        images: folder of the photographs, which tells their suffixes and sizes; without it .jpg is assumed.
        classes: names without background, or a file of them; None: `classes.txt` of the masks.
        names: photographs or masks to export, with or without suffix, in this order; None: all.
        polygons, tolerance, image_url, overwrite, strict: as `tag2mask.masks.export`.
        mask_progress: called with the number of masks; returns what to call after each.

    Raises:
        ConfigError: as `tag2mask.masks.export`; or `out` lies among the masks.
        DataError: as `tag2mask.masks.export`; or a name in `names` has no mask.
    """
    masks, out = Path(masks), Path(out)
    found = _masks(masks)
    _check_apart(masks, out)
    if classes is None:
        classes = masks / "classes.txt"
        if not classes.is_file():
            raise ConfigError(f"{masks}: no classes.txt beside the masks; name a file of classes with --classes")
    known = read_classes(Path(classes) if isinstance(classes, str) else classes)
    chosen = list(found) if names is None else [_chosen(name, found, masks) for name in names]
    photographs = None if images is None else _photographs(Path(images))
    failures: list[tuple[str, str]] = []

    def items() -> Iterator[MaskItem]:
        advance = mask_progress(len(chosen))
        for name in chosen:
            if photographs is None:
                yield MaskItem(name + ASSUMED_SUFFIX, found[name])
            elif name in photographs:
                photograph, path = photographs[name]
                yield MaskItem(photograph, found[name], path)
            else:
                reason = f"{found[name]}: no photograph of this name in {images}; give the folder they were made from"
                if strict:
                    raise DataError(reason)
                failures.append((name, reason))
            advance()

    result = export(
        items(),
        known,
        out,
        to=to,
        polygons=polygons,
        tolerance=tolerance,
        image_url=image_url,
        overwrite=overwrite,
        strict=strict,
    )
    result.failures += failures
    return result


def read_names(path: Path) -> list[str]:
    """The names of a file, one per line; empty lines are skipped.

    Raises:
        DataError: it cannot be read, or names nothing.
    """
    try:
        names = [unicodedata.normalize("NFC", line.strip()) for line in path.read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a text file of names ({error}); write one name per line") from None
    if not (names := [name for name in names if name]):
        raise DataError(f"{path}: no name in this file; write one name per line")
    return names


def _masks(folder: Path) -> dict[str, Path]:
    """Masks of a folder by name without suffix, sorted."""
    index = FolderIndex(folder, follow_links=True)
    names = [name for name in sorted(index.files) if name.lower().endswith(".png")]
    if not names:
        raise DataError(f"{folder}: no PNG mask in this folder; give the folder that `tag2mask masks` wrote")
    check_mask_names(names)
    return {without_suffix(name): index.files[name] for name in names}


def _photographs(folder: Path) -> dict[str, tuple[str, Path]]:
    """Names and files of the photographs of a folder by name without suffix."""
    index = FolderIndex(folder)
    names = index.images()
    check_mask_names(names)
    return {without_suffix(name): (name, index.files[name]) for name in names}


def _chosen(name: str, found: dict[str, Path], folder: Path) -> str:
    for candidate in (without_suffix(name), name):
        if candidate in found:
            return candidate
    raise DataError(f"{name}: no mask of this name in {folder}; check the name")


def _check_apart(masks: Path, out: Path) -> None:
    inside, outside = out.resolve(), masks.resolve()
    if inside.is_relative_to(outside) and inside.suffix.lower() not in {".json", ".xml", ".zip"}:
        raise ConfigError(f"--out {out}: lies among the masks; choose a folder outside {masks}")
    if outside.is_relative_to(inside):
        raise ConfigError(f"--out {out}: the masks lie in it; choose another folder")
