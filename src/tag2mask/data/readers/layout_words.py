"""Words in the names of folders: splits, places of images and of annotations, and what pairs the two."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from tag2mask.images.folder import is_image_name, without_suffix

IMAGE_WORDS = frozenset({"image", "images", "img", "imgs", "jpegimages", "jpgimages", "pngimages"})
"""Folders that hold the images of a layout with annotations beside them. Never a class."""

ANNOTATION_WORDS = frozenset(
    {"label", "labels", "ann", "anns", "annot", "annots", "annotation", "annotations", "xml", "xmls", "json", "jsons"}
    | {"txt", "txts", "bbox", "bboxes", "labelme", "voc", "yolo", "obj_train_data"}
)
"""Folders that hold annotations of images in another folder."""

MASK_WORDS = frozenset(
    {"mask", "masks", "gt", "gts", "ground_truth", "groundtruth", "ground-truth", "segmentation", "segmentations"}
    | {"segmentationclass", "segmentationobject", "masks_machine", "masks_human", "trimaps", "annotated"}
)
"""Folders of masks, where they lie beside folders of splits or of images."""

LAYOUT_WORDS = IMAGE_WORDS | ANNOTATION_WORDS

NEVER_CLASSES = frozenset(
    {"masks", "gt", "gts", "ground_truth", "groundtruth", "ground-truth", "segmentationclass", "segmentationobject"}
    | {"trimaps", "label", "labels", "annotation", "annotations", "annots", "anns", "bboxes", "xmls", "jsons"}
)
"""Folders of masks or annotations that are not taken for a class unless they were chosen."""

GENERIC_WORDS = frozenset(
    {"photos", "photo", "pictures", "pics", "data", "dataset", "raw", "frames", "uploads", "dcim", "jpg", "jpeg", "png"}
    | {"files", "input", "inputs", "originals", "original", "rgb", "samples", "all"}
)
"""Folders that are no class where they hold all images."""

UNLABELLED_WORDS = frozenset(
    {"unknown", "unlabeled", "unlabelled", "unclassified", "unsorted", "untagged", "unlabeled_images", "all_images"}
)
"""Folders of images of which nothing is known."""

EMPTY_WORDS = frozenset({"nofinding", "nofindings", "nothing", "nodefect", "nodefects", "noobject", "noobjects"})
"""Folders of images without any class, beside `none` and `background`: compared without spaces, - and _."""

DOUBTFUL_WORDS = frozenset(
    {"normal", "good", "ok", "clean", "empty", "blank", "negative", "negatives", "healthy", "other", "others", "rest"}
    | {"noclass", "nolabel", "notag", "clear", "defectfree", "intact", "no", "false", "absent"}
)
"""Folders that may mean "no class", or be a class; compared like `EMPTY_WORDS`."""

_SPLIT = re.compile(
    r"(?:seg|my|the|original|images?|img|imgs)?[ _.-]*"
    r"(?P<word>train|training|trainval|val|valid|validation|dev|eval|evaluation|test|testing|holdout|pred|predict)"
    r"[ _.-]*(?:set|sets|split|data|dataset|images?|imgs?|folder|(?:19|20)\d\d)?",
    re.IGNORECASE,
)
_CANONICAL = {
    "training": "train", "testing": "test", "pred": "test", "predict": "test",
    "dev": "val", "eval": "val", "evaluation": "val", "holdout": "test",
}  # fmt: skip


@lru_cache(maxsize=4096)
def split_of_word(word: str) -> str | None:
    """The split that the name of a folder or a subset means, whatever its case; None if it means none.

    >>> [split_of_word(word) for word in ("Train", "testing", "seg_train", "training_set", "validation", "cat")]
    ['train', 'test', 'train', 'train', 'validation', None]
    """
    match = _SPLIT.fullmatch(word.strip())
    if match is None:
        return None
    found = match["word"].casefold()
    return _CANONICAL.get(found, found)


def split_of_path(name: str) -> str | None:
    """The split of the first folder in a name that means one.

    >>> split_of_path("images/Val/a.jpg")
    'val'
    """
    found = (split_of_word(part) for part in name.split("/")[:-1])
    return next((split for split in found if split is not None), None)


def same_split(one: str, other: str) -> bool:
    """Whether two names mean the same split: `Train` and `training`, `val` and `valid`.

    >>> same_split("Valid", "validation"), same_split("train", "val")
    (True, False)
    """
    return _merged(one) == _merged(other)


def _merged(word: str) -> str:
    split = split_of_word(word) or word.casefold()
    return "val" if split in {"valid", "validation"} else split


@lru_cache(maxsize=4096)
def plain_word(folder: str) -> str:
    """The name of a folder in lower case without spaces, - and _."""
    return re.sub(r"[\s_-]+", "", folder).casefold()


def valid_file_name(name: str) -> str:
    """A name as Django stores an uploaded file of that name (`django.utils.text.get_valid_filename`), in NFC.

    >>> valid_file_name("my photo (1).jpg")
    'my_photo_1.jpg'
    """
    kept = re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))
    return unicodedata.normalize("NFC", kept)


def pairing_key(name: str) -> tuple[str, str]:
    """What the names of an image and of its annotation have in common: other folders, and the stem.

    >>> pairing_key("images/train/a.jpg") == pairing_key("labels/train/a.txt") == pairing_key("train/ann/a.jpg.json")
    True
    """
    *folders, base = name.casefold().split("/")
    return "/".join(part for part in folders if part not in LAYOUT_WORDS), stem_of(base)


def stem_of(name: str) -> str:
    """The last part of a name in lower case, without the suffixes of an annotation and of an image.

    >>> stem_of("ann/a.b.jpg.json")
    'a.b'
    """
    base = name.rpartition("/")[2]
    if not is_image_name(base):
        base = base.rpartition(".")[0] or base
    return without_suffix(base).casefold()
