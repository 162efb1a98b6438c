"""Kinds of files that are images, or look like them: by their suffix, by how they begin, by what the system says."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

HEIC_SUFFIXES = frozenset({".heic", ".heics", ".heif", ".heifs", ".hif"})
"""Suffixes of the images of phones; read where pi-heif or pillow-heif is installed."""

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".avif", *HEIC_SUFFIXES}
)
"""Suffixes, in lower case, of the files that count as images when a folder is listed."""

HEIC_REMEDY = "convert it to JPEG, or pip install 'tag2mask[heic]'"

_HEIC_BRANDS = rb"heic|heix|heim|heis|hevc|hevx|hevm|hevs|mif1|msf1"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file that looks like an image and is not read.

    Attributes:
        plural: what such files are called together, such as 'camera raw images'.
        what: what one is called.
        remedy: what to do with one.
        suffixes: that such files have, in lower case.
    """

    plural: str
    what: str
    remedy: str
    suffixes: frozenset[str] = frozenset()


def _kind(plural: str, what: str, remedy: str, suffixes: str = "") -> Kind:
    return Kind(plural, what, remedy, frozenset(f".{suffix}" for suffix in suffixes.split()))


HEIC = _kind("HEIC images", "HEIC", HEIC_REMEDY)
JPEG_2000 = _kind("JPEG 2000 images", "JPEG 2000", "convert it to PNG or TIFF", "jp2 j2k j2c jpc jpf jpx jpm")
JPEG_XL = _kind("JPEG XL images", "JPEG XL", "convert it to JPEG or PNG", "jxl")
RAW = _kind(
    "camera raw images", "camera raw data", "develop it and export it as JPEG or TIFF",
    "raw dng cr2 cr3 crw nef nrw arw srf sr2 orf rw2 rwl raf pef ptx srw 3fr fff iiq x3f erf kdc dcr k25 mrw mef mos",
)  # fmt: skip
PHOTOSHOP = _kind("Photoshop documents", "a Photoshop document", "export it as JPEG or PNG", "psd psb")
SVG = _kind("SVG drawings", "an SVG drawing", "export it as PNG", "svg svgz")
DICOM = _kind("DICOM images", "DICOM", "export it as PNG with a chosen window of values", "dcm dicom")
PDF = _kind("PDF documents", "a PDF", "export its pages as PNG")
OTHER = _kind(
    "images in formats that are not read", "an image format that is not read", "convert it to JPEG or PNG",
    "ico cur icns tga dds exr hdr pic pcx qoi xcf kra ora eps ai wmf emf fits fit jxr wdp hdp pfm xbm xpm sgi bpg jls "
    "nii svs ndpi mrxs czi lif",
)  # fmt: skip
RENAMED = _kind("images without the suffix of an image", "an image without the suffix of one", "rename it")
HIDDEN = _kind("hidden images", "hidden, since its name begins with a dot", "rename it if it belongs to the images")
COPY = _kind("copies in formats that are not read", "a copy of an image that is read", "nothing, if it shows the same")
FOLDER = _kind("folders named like images", "a folder with the name of an image", "rename it")
MASKS = _kind("folders of masks", "a mask that tag2mask wrote", "they are no images to segment or to train on")
RUN = _kind("folders of results", "a folder that tag2mask wrote", "move images of yours to a folder of their own")

BY_SUFFIX = {
    suffix: kind for kind in (JPEG_2000, JPEG_XL, RAW, PHOTOSHOP, SVG, DICOM, OTHER) for suffix in kind.suffixes
}
"""The kinds that are known by a suffix."""

KINDS = (HEIC, JPEG_2000, JPEG_XL, RAW, PHOTOSHOP, SVG, DICOM, OTHER, RENAMED, HIDDEN, COPY, FOLDER, MASKS, RUN)
"""All kinds that are left out of a folder of images."""

_BY_MAGIC = (
    (re.compile(rb"....ftyp(" + _HEIC_BRANDS + rb")", re.DOTALL), HEIC),
    (re.compile(rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51"), JPEG_2000),
    (re.compile(rb"\x00\x00\x00\x0cJXL |\xff\x0a"), JPEG_XL),
    (re.compile(rb"8BPS"), PHOTOSHOP),
    (re.compile(rb"FUJIFILMCCD-RAW|II\x1a\x00\x00\x00HEAPCCDR|....ftypcrx ", re.DOTALL), RAW),
    (re.compile(rb".{128}DICM", re.DOTALL), DICOM),
    (re.compile(rb"%PDF"), PDF),
    (re.compile(rb"\s*<(\?xml|svg)", re.IGNORECASE), SVG),
)

_READABLE = (
    (re.compile(rb"\xff\xd8\xff"), ".jpg"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), ".png"),
    (re.compile(rb"GIF8[79]a"), ".gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), ".webp"),
    (re.compile(rb"BM....\x00\x00\x00\x00", re.DOTALL), ".bmp"),
    (re.compile(rb"II\*\x00|MM\x00\*|II\+\x00|MM\x00\+"), ".tif"),
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), ".avif"),
)

_SPECIAL = (
    (stat.S_ISFIFO, "a named pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def is_image_name(name: str) -> bool:
    """Whether the suffix is that of an image."""
    return suffix_of(name).lower() in IMAGE_SUFFIXES


def suffix_of(name: str) -> str:
    """The suffix of a name, as `PurePosixPath` sees it, which is slow for many names.

    >>> suffix_of("a.b/c.jpg"), suffix_of(".jpg"), suffix_of("a.")
    ('.jpg', '', '')
    """
    base = name.rpartition("/")[2]
    at = base.rfind(".")
    return base[at:] if 0 < at < len(base) - 1 else ""


def kind_of_content(prefix: bytes) -> Kind | None:
    """The kind of image that is not read, from the first bytes of a file (132 or more)."""
    if b"avif" in prefix[8:64]:  # which shares brands with HEIC
        return None
    return next((kind for pattern, kind in _BY_MAGIC if pattern.match(prefix)), None)


def suffix_of_content(prefix: bytes) -> str | None:
    """The suffix that an image in a format that is read should have, from the first bytes of a file."""
    return next((suffix for pattern, suffix in _READABLE if pattern.match(prefix)), None)


def special_file(mode: int) -> str | None:
    """What a file is that is neither a file with content nor a folder, from its `st_mode`: opening it may never end."""
    return next((what for test, what in _SPECIAL if test(mode)), None)


@lru_cache(maxsize=1)
def heic_plugin() -> Any:
    """Pillow's class of HEIC images from pi-heif or pillow-heif; None where neither is installed."""
    for module in ("pi_heif", "pillow_heif"):
        try:
            return import_module(module).HeifImageFile
        except (ImportError, AttributeError):
            continue
    return None
