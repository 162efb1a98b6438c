"""What a folder of images holds that looks like an image and is not used: each with its kind and the remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from tag2mask.core.text import counted, printable
from tag2mask.images.kinds import (
    BY_SUFFIX,
    COPY,
    FOLDER,
    HEIC,
    HEIC_SUFFIXES,
    HIDDEN,
    MASKS,
    RENAMED,
    RUN,
    Kind,
    heic_plugin,
    is_image_name,
    kind_of_content,
    suffix_of,
    suffix_of_content,
)

MARKER = ".tag2mask"
"""File in a folder of overlays or confidence maps: its images are results, not images to segment."""

_BESIDE_MASKS = frozenset({"about.json", "uncertainty.csv", "classes.txt", "labelmap.txt"})
_OF_A_RUN = ("model.safetensors", "model.yaml")
_NO_IMAGES = (
    ".txt .csv .tsv .json .jsonl .ndjson .xml .yaml .yml .toml .ini .cfg .md .rst .html .htm .log .xls .xlsx .ods .doc "
    ".docx .pdf .parquet .arrow .feather .npy .npz .pt .pth .ckpt .onnx .safetensors .pkl .mat .h5 .hdf5 .lmdb .record "
    ".tfrecord .zip .tar .gz .tgz .bz2 .xz .7z .rar .mp4 .mov .avi .mkv .webm .m4v .mp3 .wav .py .ipynb .sh .bat .exe "
    ".dll .so .js .css .db .sqlite .lnk .url .aae .xmp .thm "
)
"""Suffixes of files that are not opened to see whether they are images."""

_HEAD = 512
_MASK_HEAD = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_MASK_DEPTH = b"\x08\x03"  # 8 bits, palette
_MASK_PALETTE = b"\x00\x00\x03\x00PLTE" + bytes.fromhex("000000800000008000808000000080800080008080808080")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or a folder that looks like an image, or holds some, and is not used.

    Attributes:
        name: relative to the folder that was listed; '.' for that folder itself.
        kind: what it is.
        remedy: what to do.
        number: of images, where this stands for a folder.
        is_lost: an image may be missing; False where nothing is, as of a copy.
    """

    name: str
    kind: Kind
    remedy: str
    number: int = 1
    is_lost: bool = True

    @property
    def message(self) -> str:
        """What it is and what to do, in a sentence."""
        name = printable(self.name)
        if self.kind in (MASKS, RUN):
            what = counted(self.number, "masks" if self.kind is MASKS else "images")
            return f"{name}: {what} that tag2mask wrote; {self.remedy}"
        if self.kind in (RENAMED, HIDDEN, FOLDER, COPY):
            return f"{name}: {self.kind.what}; {self.remedy}"
        return f"{name}: {self.kind.what} is not read here; {self.remedy}"


def results_below(marked: Mapping[str, Kind], files: Mapping[str, Path]) -> dict[str, tuple[str, Kind]]:
    """Images that tag2mask wrote, by name, each with the folder it belongs to.

    Args:
        marked: folders of results, as `folder_kind` found them; '' is the folder that was listed.
        files: path of each file by its name.
    """
    if not marked:
        return {}
    found: dict[str, tuple[str, Kind]] = {}
    for name, path in files.items():
        if not is_image_name(name):
            continue
        for folder in map(str, PurePosixPath(name).parents):
            kind = marked.get("" if folder == "." else folder)
            if kind is RUN or (kind is MASKS and is_written_mask(path)):
                found[name] = folder, kind
                break
    return found


def folder_kind(names: Iterable[str], *, is_root: bool) -> Kind | None:
    """Whether a folder with these files is one that tag2mask wrote: `RUN`, `MASKS` (its PNGs may be masks) or None."""
    there = set(names)
    if not is_root and (MARKER in there or there.issuperset(_OF_A_RUN)):
        return RUN
    return MASKS if there & _BESIDE_MASKS else None


def unreadable_here(name: str) -> bool:
    """Whether a file has the suffix of an image that this installation cannot read."""
    return suffix_of(name).lower() in HEIC_SUFFIXES and heic_plugin() is None


def lookalikes(files: Mapping[str, Path], images: Iterable[str], *, sniff: bool) -> list[LeftOut]:
    """Files that look like images and are not among those that are used.

    Args:
        files: path of each file by its name.
        images: names of the files that are used.
        sniff: also open files of unknown suffix, to see how they begin.
    """
    used = {str(PurePosixPath(name).with_suffix("")): name for name in images}
    found = []
    for name, path in files.items():
        one = _lookalike(name, path, sniff)
        if one is None:
            continue
        beside = used.get(str(PurePosixPath(name).with_suffix("")))
        if beside is not None:
            one = replace(one, kind=COPY, remedy=f"{printable(beside)} is read", is_lost=False)
        found.append(one)
    return found


def image_folders(names: Iterable[str], images: Iterable[str]) -> list[LeftOut]:
    """Folders with the names of images; nothing is lost where their own images are used."""
    holders = {str(parent) for name in images for parent in PurePosixPath(name).parents}
    return [LeftOut(name, FOLDER, FOLDER.remedy, is_lost=name not in holders) for name in names]


def hidden_images(names: Iterable[str]) -> list[LeftOut]:
    """Hidden images, which are passed over as all hidden files are."""
    return [LeftOut(name, HIDDEN, HIDDEN.remedy, is_lost=False) for name in names]


def results(written: Mapping[str, tuple[str, Kind]]) -> list[LeftOut]:
    """One entry for each folder of results; argument as from `results_below`."""
    numbers = Counter(written.values())
    return [LeftOut(folder, kind, kind.remedy, number, is_lost=False) for (folder, kind), number in numbers.items()]


def _lookalike(name: str, path: Path, sniff: bool) -> LeftOut | None:
    suffix = PurePosixPath(name).suffix.lower()
    if unreadable_here(name):
        return LeftOut(name, HEIC, HEIC.remedy)
    if is_image_name(name) or (suffix and f"{suffix} " in _NO_IMAGES):
        return None
    if suffix in BY_SUFFIX:
        kind = BY_SUFFIX[suffix]
        return LeftOut(name, kind, kind.remedy)
    if not sniff:
        return None
    head = _head(path)
    if (right := suffix_of_content(head)) is not None:
        return LeftOut(name, RENAMED, f"rename it to {printable(PurePosixPath(name).name)}{right}")
    content = kind_of_content(head)
    return LeftOut(name, content, content.remedy) if content is not None else None


def is_written_mask(path: Path) -> bool:
    """Whether a file is a palette PNG with the colours that all masks of tag2mask have."""
    if not path.name.lower().endswith(".png"):
        return False
    head = _head(path)
    return head.startswith(_MASK_HEAD) and head[24:26] == _MASK_DEPTH and head[33:].startswith(_MASK_PALETTE)


def _head(path: Path) -> bytes:
    """The first bytes of a file; nothing where it cannot be read: what is an image is reported when it is used."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""
