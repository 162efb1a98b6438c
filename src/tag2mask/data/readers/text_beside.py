"""Tags from a text file beside each image, separated by commas or one a line, as trainers of image generators have it.

    a.jpg, a.txt: cat, fur
    b.jpg, b.txt: none

Numbers in such files are YOLO's (`yolo_boxes`); sentences are captions, which are refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from tag2mask.core.errors import DataError
from tag2mask.core.record import ImageRecord
from tag2mask.data.problem import Problem
from tag2mask.data.readers.beside import Pairing, covered, finished
from tag2mask.data.readers.csv_tags import check_tag_names, doubtful_words, parse_words
from tag2mask.data.readers.label_rows import note
from tag2mask.data.readers.layout_words import LAYOUT_WORDS, split_of_path, split_of_word
from tag2mask.data.readers.listing import Listing, refused_files
from tag2mask.data.readers.tag_cells import BLANK_WORDS
from tag2mask.data.readers.text import read_text
from tag2mask.data.readers.yolo_boxes import label_files
from tag2mask.images.folder import FolderIndex

_EXPECTED = "expected tags separated by commas, such as `cat, dog`"
_SEPARATOR = re.compile(r"[,;|\r\n]")
_MOST_BYTES = 1 << 16
_MOST_WORDS = 6


def has_tag_texts(index: FolderIndex, annotations: FolderIndex) -> bool:
    """Whether most images have a .txt file of their name, and no folder of theirs may mean a class."""
    folders = {part for name in index.images() for part in name.split("/")[:-1]}
    if any(part.casefold() not in LAYOUT_WORDS and split_of_word(part) is None for part in folders):
        return False
    return covered(index, label_files(annotations)) > 0.5


def read_tag_texts(index: FolderIndex, annotations: FolderIndex, classes: Sequence[str] | None) -> Listing:
    """Records of images with a text file of tags each. An empty file, or none, says nothing.

    Args:
        index: the folder of the images.
        annotations: the folder of the texts, which may be the same.
        classes: the names that count, or None: those that occur.

    Raises:
        DataError: no text belongs to an image, or they hold captions.
    """
    listing = Listing("txt", index, problems=refused_files(index))
    pairing = Pairing(listing)
    found: list[tuple[str, str, list[str] | None]] = []
    for file in label_files(annotations):
        try:
            if annotations.files[file].stat().st_size > _MOST_BYTES:
                raise DataError(f"{file}: a text of more than {_MOST_BYTES >> 10} KiB; {_EXPECTED}")
            text = read_text(annotations.files[file], "text", _EXPECTED)
        except (DataError, OSError) as error:
            listing.problems.append(Problem("bad annotation", f"{error}; its image is left out", file))
            pairing.image_of(file)
            continue
        name = pairing.image_of(file)
        if name is not None:
            found.append((file, name, _words(text)))
    what = f"{annotations.root}, .txt files"
    words = [some for _, _, some in found]
    _refuse_captions(words, classes, what)
    for file, name, some in found:
        present, unknown = parse_words(some or [], file, classes)
        tags = present if some is not None else None
        split = split_of_path(name) or split_of_path(file)
        listing.records.append(ImageRecord(name, tags=tags, unknown=unknown, split=split, where=file))
    said = f"{what}: {len(found)} texts beside images are read as tags, separated by commas or one a line"
    listing.problems.append(note("guessed columns", said))
    listing.problems += doubtful_words(words, what, classes)
    if classes is None:
        check_tag_names(sorted(listing.names()), what)
    return finished(pairing, ".txt file", classes, annotations.root)


def _words(text: str) -> list[str] | None:
    """The tags of a text; None if it says nothing."""
    words = [unicodedata.normalize("NFC", word.strip()) for word in _SEPARATOR.split(text)]
    kept = [word for word in words if word.casefold() not in BLANK_WORDS]
    return kept or None


def _refuse_captions(words: Sequence[list[str] | None], classes: Sequence[str] | None, what: str) -> None:
    names = {word for some in words for word in some or ()}
    long = sorted(name for name in names if len(name.split()) > _MOST_WORDS)
    if classes is None and 2 * len(long) > len(names):
        raise DataError(
            f"{what}: sentences such as {long[0][:60]!r} are captions, not tags; write the classes of each image, "
            "separated by commas, or a table `image,tags`"
        )
