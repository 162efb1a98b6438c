"""The masks of a folder, and which of them belongs to which image.

Masks of other tools lie in `SegmentationClass`, beside their images, or have names such as `a_mask.png`. What was
guessed is said in a note.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tag2mask.core.errors import DataError
from tag2mask.images.folder import FolderIndex, check_mask_names, is_image_name, without_suffix

_DEVKIT = "SegmentationClass"  # of PASCAL VOC, CVAT ("Segmentation mask 1.1") and Datumaro
_MASK_WORDS = (
    "masks?|labels?|labelids|labeltrainids|gt|gtfine|gtcoarse|ground_?truth|seg|segmentation|annotations?|lab|l|target"
)
_IMAGE_WORDS = "images?|img|sat|rgb|photo|leftimg8bit|pred|prediction|predicted"
_LAST = re.compile(rf"(.+)[_\-. ](?:{_MASK_WORDS}|{_IMAGE_WORDS})", re.IGNORECASE)
_FIRST = re.compile(rf"(?:{_MASK_WORDS}|{_IMAGE_WORDS})[_\-. ](.+)", re.IGNORECASE)
_OF_MASK = re.compile(rf"(.+)[_\-. ](?:{_MASK_WORDS})", re.IGNORECASE)
_TIMES = 2  # words removed from one name, as of `_gtFine_labelIds`


@dataclass(frozen=True, slots=True)
class MaskFiles:
    """PNG files of a folder and its subfolders.

    Attributes:
        folder: as it was given.
        paths: of each mask by its name, relative to where the masks lie and without suffix; sorted.
        refused: why a file or folder must not be used, by its name.
        left_out: names of files that look like images and are no PNG.
        notes: what was guessed, for people.
    """

    folder: Path
    paths: dict[str, Path]
    refused: dict[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def check(self, what: str) -> None:
        """Refuse a folder without masks, or with files that must not be used.

        Args:
            what: the folder that was expected, for the message, such as 'ground truth'.

        Raises:
            DataError: there is no PNG, or a link is broken; the message says what there is instead.
        """
        for name, why in self.refused.items():
            raise DataError(f"{self.folder / name}: {why}")
        if not self.paths:
            raise DataError(f"{self.folder}: no PNG mask in this folder{self.instead()}; give the folder of {what}")

    def instead(self) -> str:
        """What there is in the place of PNGs, with the remedy, as the end of a message."""
        if not self.left_out:
            return ""
        suffix, count = Counter(PurePosixPath(name).suffix.lower() for name in self.left_out).most_common(1)[0]
        why = ", and JPEG changes the values of a mask" if suffix in {".jpg", ".jpeg"} else ""
        return (
            f", but {count} files {suffix} such as {self.left_out[0]}{why}: masks are PNGs of class indices, saved as "
            "PNG where they were drawn"
        )


def mask_files(folder: Path) -> MaskFiles:
    """Find the masks of a folder; where it holds `SegmentationClass`, those in there.

    Raises:
        DataError: it does not exist, is no folder, cannot be listed, or two masks have the same name without suffix.
    """
    if folder.is_file():
        unpack = "unpack it, and give" if folder.suffix.lower() in {".zip", ".tar", ".gz", ".7z"} else "give"
        raise DataError(f"{folder}: this is a file; {unpack} the folder of masks")
    notes = []
    inside = folder / _DEVKIT
    if inside.is_dir():
        notes.append(f"{folder}: the masks in {_DEVKIT}/ are read")
    index = FolderIndex(inside if inside.is_dir() else folder, follow_links=True)
    names = [name for name in sorted(index.files) if name.lower().endswith(".png")]
    check_mask_names(names)
    left_out = tuple(
        name for name in sorted(index.files) if not name.lower().endswith(".png") and _looks_like_mask(name)
    )
    paths = {without_suffix(name): index.files[name] for name in names}
    return MaskFiles(folder, paths, index.refused, left_out, tuple(notes))


def _looks_like_mask(name: str) -> bool:
    return is_image_name(name) or name.lower().endswith((".npy", ".npz", ".mat"))


def without_images(masks: MaskFiles, wanted: Collection[str]) -> tuple[dict[str, Path], str | None]:
    """The masks of a folder that holds images as well: of `a.png` and `a_mask.png` the latter.

    Args:
        masks: the files.
        wanted: names of images; one that is among them counts as an image of its own.

    Returns:
        The masks, and a note if files were left out.
    """
    images = {
        match.group(1) for name in masks.paths if name not in wanted and (match := _OF_MASK.fullmatch(name)) is not None
    } & masks.paths.keys()
    if not images:
        return masks.paths, None
    example = min(images)
    note = (
        f"{masks.folder}: {len(images)} files were taken for images, for beside them is a mask, as beside {example}.png"
    )
    return {name: path for name, path in masks.paths.items() if name not in images}, note


def paired(wanted: Iterable[str], masks: MaskFiles) -> tuple[dict[str, Path], list[str]]:
    """The mask of each image or of each other mask.

    By the same name without suffix; of what remains, by the name without words such as `_mask` and `_sat`, and then
    without its folders. Only a name that fits one mask alone counts.

    Args:
        wanted: names without suffix.
        masks: to choose from.

    Returns:
        Masks by the names in `wanted` that have one, and notes on what was guessed.
    """
    names = list(dict.fromkeys(wanted))
    files, note = without_images(masks, set(names))
    notes = [note] if note else []
    found: dict[str, str] = {}
    for name in names:
        if (normal := unicodedata.normalize("NFC", name)) in files:
            found[name] = normal
    for key, how in ((_plain, "without words such as `_mask`"), (_plain_base, "without folders and such words")):
        more = _unique_pairs([name for name in names if name not in found], files.keys() - set(found.values()), key)
        if more:
            name, file = next(iter(more.items()))
            notes.append(
                f"{masks.folder}: {len(more)} masks were matched by their names {how}, as {file}.png to {name}"
            )
            found |= more
    return {name: files[found[name]] for name in names if name in found}, notes


def _unique_pairs(names: Iterable[str], files: Iterable[str], key: Callable[[str], str]) -> dict[str, str]:
    """Files by names, of those whose key occurs once on either side."""
    sides: list[dict[str, str]] = []
    for side in (list(names), list(files)):
        keys = Counter(key(one) for one in side)
        sides.append({key(one): one for one in side if keys[key(one)] == 1})
    return {name: sides[1][shared] for shared, name in sides[0].items() if shared in sides[1]}


def _plain(name: str) -> str:
    """A name in lower case without what tells a mask from its image."""
    path = PurePosixPath(unicodedata.normalize("NFC", name))
    last = without_suffix(path.name)
    for pattern in (_LAST, _FIRST):
        for _ in range(_TIMES):
            match = pattern.fullmatch(last)
            last = match.group(1) if match is not None else last
    return str(path.parent / last).casefold()


def _plain_base(name: str) -> str:
    return PurePosixPath(_plain(name)).name
