"""Kinds of images."""

from __future__ import annotations

from pathlib import Path

from PIL import features

from tag2mask.images.decode import image_size, read_image
from tests.hostile.mutate import encoded, png
from tests.hostile.seeds.seed import Account, Seed, load, photos


def _seed(suffix: str, content: bytes) -> Seed:
    """One image among others, whose folder is read with every image decoded."""
    target = f"images/m.{suffix}"

    def read(root: Path) -> Account:
        account = load(root / "images", format="images", require_tags=False, verify=True)
        if "m." + suffix in account.records:
            height, width = image_size(root / target)
            assert read_image(root / target).shape == (height, width, 3), "header and pixels differ in size"
        return account

    return Seed(lambda: {**photos(("a.jpg", "b.jpg")), target: content}, target, read)


SEEDS: dict[str, Seed] = {
    "image: JPEG": _seed("jpg", encoded("JPEG")),
    "image: JPEG, progressive, turned": _seed("jpg", encoded("JPEG", progressive=True, exif=6)),
    "image: JPEG, CMYK": _seed("jpg", encoded("JPEG", mode="CMYK")),
    "image: JPEG, without its end": _seed("jpg", encoded("JPEG")[:-2]),
    "image: JPEG, restart markers, grey": _seed("jpg", encoded("JPEG", mode="L", restart_marker_blocks=3)),
    "image: MPO": _seed("jpg", encoded("MPO")),
    "image: PNG": _seed("png", encoded("PNG", exif=8)),
    "image: PNG, palette": _seed("png", png(20, 15, 3, rows=True)),
    "image: PNG, 16 bits": _seed("png", png(20, 15, 0, rows=True, bits=16)),
    "image: PNG, transparent": _seed("png", encoded("PNG", mode="RGBA")),
    "image: PNG, 1 bit": _seed("png", encoded("PNG", mode="1")),
    "image: PNG, grey and alpha": _seed("png", encoded("PNG", mode="LA")),
    "image: WebP": _seed("webp", encoded("WEBP")),
    "image: WebP, lossless, transparent": _seed("webp", encoded("WEBP", mode="RGBA", lossless=True)),
    "image: AVIF": _seed("avif", encoded("AVIF")) if features.check("avif") else _seed("webp", encoded("WEBP")),
    "image: TIFF": _seed("tif", encoded("TIFF", exif=3)),
    "image: TIFF, LZW": _seed("tif", encoded("TIFF", compression="tiff_lzw")),
    "image: TIFF, deflate, palette": _seed("tif", encoded("TIFF", mode="P", compression="tiff_adobe_deflate")),
    "image: TIFF, JPEG inside": _seed("tif", encoded("TIFF", compression="jpeg")),
    "image: TIFF, 16 bits": _seed("tif", encoded("TIFF", mode="I;16")),
    "image: TIFF, fax": _seed("tif", encoded("TIFF", mode="1", compression="group4")),
    "image: TIFF, float": _seed("tif", encoded("TIFF", mode="F")),
    "image: BMP": _seed("bmp", encoded("BMP")),
    "image: GIF": _seed("gif", encoded("GIF", mode="P")),
    "image: PPM": _seed("ppm", encoded("PPM")),
}
