"""Annotations that lie beside their images, one file per image: what pairs them, and PASCAL VOC's XML.

    a.jpg, a.xml                                   LabelImg
    train/a.jpg, train/a.xml                       Roboflow's "Pascal VOC"
    images/a.jpg, annotations/a.xml                also images/train and annotations/train, or train/images and so on

An image and its annotation have the same name and lie in the same folder, not counting folders that are called
images, labels, annotations and the like. Where only the last part of the name fits, and only one image has it, that
image is taken and the number of these is noted.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.layout_words import MASK_WORDS, pairing_key, split_of_path, stem_of
from tag2mask.data.readers.listing import Listing, refused_files
from tag2mask.data.readers.records import check_listing
from tag2mask.data.readers.voc_devkit import parse_annotation
from tag2mask.images.folder import FolderIndex

_VOC_ROOT = re.compile(rb"<annotation[\s>]")
_LOOKED_AT = 20


@dataclass(slots=True)
class Pairing:
    """Which image each annotation file belongs to.

    Attributes:
        listing: where images and problems are added; its index holds the images.
        images: names of the images that may be annotated.
        guessed: how many were found by the last part of their name alone.
        paired: the images that have an annotation.
    """

    listing: Listing
    images: list[str] = field(default_factory=list)
    guessed: int = 0
    paired: set[str] = field(default_factory=set)
    _by_key: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    _by_stem: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.images = images_without_masks(self.listing)
        for image in self.images:
            key = pairing_key(image)
            self._by_key[key].append(image)
            self._by_stem[key[1]].append(image)

    def image_of(self, file: str, written: str | None = None) -> str | None:
        """The image that an annotation file is about, or None after the problem was added.

        Args:
            file: name of the annotation file.
            written: name of the image as the file itself gives it, if it does.
        """
        found = self._by_key.get(pairing_key(file), [])
        if len(found) > 1:
            inner = PurePosixPath(file).name.rpartition(".")[0]
            folder = PurePosixPath(file).parent
            found = (
                [name for name in found if PurePosixPath(name).name == inner]
                or [name for name in found if PurePosixPath(name).parent == folder]
                or found
            )
        guessed = not found
        if guessed:
            ends = [stem_of(file)] + ([stem_of(written.replace("\\", "/"))] if written else [])
            found = next((those for end in ends if (those := self._by_stem.get(end, []))), [])
        if len(found) != 1:
            what = f"may belong to {', '.join(found[:3])}" if found else f"no image of this name{_named(written)}"
            message = f"{file}: {what}; put it beside its image, with the same name"
            kind = "ambiguous annotation" if found else "missing image"
            self.listing.problems.append(Problem(kind, message, file))
            return None
        self.guessed += guessed
        self.paired.add(found[0])
        return found[0]

    def finish(self, kind: str, *, unannotated: str = "") -> None:
        """Add the images without an annotation, and the notes; a split without any annotation is left out.

        Args:
            kind: what an annotation is called, such as `.xml file`.
            unannotated: what their absence means, for the message of the problem.
        """
        annotated = {split_of_path(name) for name in self.paired} | {None, "train"}
        unlabelled: dict[str, list[str]] = defaultdict(list)
        for name in self.images:
            split = split_of_path(name)
            if split is not None and split not in annotated:
                unlabelled[split].append(name)
            elif name not in self.paired:
                where = f"{name} without {kind}{unannotated}"
                self.listing.records.append(ImageRecord(name, split=split, where=where))
        for split, names in unlabelled.items():
            message = f"{len(names)} images of {split}, such as {names[0]}, have no {kind}: unlabelled, left out"
            self.listing.problems.append(Problem("unlabelled split", message, split, "note"))
        if self.guessed:
            message = (
                f"{self.guessed} annotations lie in folders unlike those of their images and were matched by the last "
                "part of their name, which only one image has"
            )
            self.listing.problems.append(Problem("matched by name", message, level="note"))


def images_without_masks(listing: Listing) -> list[str]:
    """Images of a folder that do not lie in a folder of masks; those that do are noted."""
    everything = listing.index.images()
    masks = [name for name in everything if any(part.casefold() in MASK_WORDS for part in name.split("/")[:-1])]
    if not masks or len(masks) == len(everything):
        return everything
    message = f"{len(masks)} files in folders of masks, such as {masks[0]}, were not taken for images"
    listing.problems.append(Problem("masks not used", message, level="note"))
    left_out = set(masks)
    return [name for name in everything if name not in left_out]


def files_with_suffix(index: FolderIndex, suffix: str) -> list[str]:
    """Names of the files with a suffix, sorted."""
    return sorted(name for name in index.files if name.lower().endswith(suffix))


def covered(images: FolderIndex, files: Iterable[str]) -> float:
    """The share of the images that have an annotation file of their name, in the same folder or its counterpart."""
    keys = {pairing_key(file) for file in files}
    named = [pairing_key(name) in keys for name in images.images()]
    return sum(named) / len(named) if named else 0.0


def annotates(images: FolderIndex, files: Iterable[str]) -> bool:
    """Whether at least half as many annotation files as there are images have the name of one, or all of them."""
    stems = {stem_of(name) for name in images.images()}
    named = [stem_of(file) in stems for file in files]
    return any(named) and (all(named) or 2 * sum(named) >= min(len(named), len(stems)))


def voc_files(index: FolderIndex) -> list[str]:
    """Names of the XML files of a folder, if the first ones are VOC's."""
    files = files_with_suffix(index, ".xml")
    return files if any(_is_voc(index.files[name]) for name in files[:_LOOKED_AT]) else []


def read_voc_beside(index: FolderIndex, annotations: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of images with one XML file each, in VOC's format.

    An annotation without an object says that no class is present; an image without an annotation may not have
    been looked at, and is left out.

    Args:
        index: the folder of the images.
        annotations: the folder of the annotations, which may be the same.
        classes: the names that count, or None: those that occur.

    Raises:
        DataError: no annotation belongs to an image, or names cannot be classes.
    """
    listing = Listing("voc", index, problems=refused_files(index), complete=True)
    pairing = Pairing(listing)
    for file in files_with_suffix(annotations, ".xml"):
        try:
            found = parse_annotation(annotations.files[file])
        except DataError as error:
            listing.problems.append(Problem("bad annotation", f"{error}; its image is left out", file))
            pairing.image_of(file)
            continue
        name = pairing.image_of(file, found.filename)
        if name is not None:
            split = split_of_path(name) or split_of_path(file)
            listing.records.append(
                ImageRecord(name, tags=found.present, unknown=found.unknown, split=split, where=file)
            )
    return finished(pairing, ".xml file", classes, annotations.root)


def finished(
    pairing: Pairing, kind: str, classes: Sequence[str] | None, root: Path, *, unannotated: str = ""
) -> Listing:
    """The listing of a pairing after all annotations were read, checked.

    Raises:
        DataError: no annotation belongs to an image, or names cannot be classes.
    """
    listing = pairing.listing
    if not pairing.paired:
        first = f"; {listing.problems[0].message}" if listing.problems else ""
        raise DataError(f"{root}: no {kind} belongs to an image{first}")
    pairing.finish(kind, unannotated=unannotated)
    return check_listing(listing, classes, str(root))


def _is_voc(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return _VOC_ROOT.search(stream.read(4096)) is not None
    except OSError:
        return False


def _named(written: str | None) -> str:
    return f", nor of the name {written[:80]!r} that it gives" if written else ""
