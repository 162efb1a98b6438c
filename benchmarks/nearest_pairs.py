"""Draw the pairs of images that look most alike: `python benchmarks/nearest_pairs.py FOLDER --out pairs.png`.

Above each pair stands the number of bits in which their hashes differ. This is how `MAX_DISTANCE` of
`tag2mask.data.checks.perceptual` was chosen: by looking.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tag2mask.core.record import ImageRecord
from tag2mask.data import list_images
from tag2mask.data.checks.images import inspect_images
from tag2mask.data.checks.perceptual import BITS

SIDE, TEXT, COLUMNS = 150, 14, 4


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the pairs of images that look most alike.")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    parser.add_argument("--pairs", type=int, default=40)
    options = parser.parse_args()
    records = [ImageRecord(name, path) for folder in options.folders for path, name in list_images(folder)]
    seen, unreadable = inspect_images(records)
    signs = np.stack([s.hash for s in seen]).astype(np.float32)
    first, second = np.triu_indices(len(seen), 1)
    distance = ((BITS - signs @ signs.T) / 2)[first, second]
    chosen = np.argsort(distance, kind="stable")[: options.pairs]
    rows = -(-len(chosen) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (2 * SIDE + 10), rows * (SIDE + TEXT + 2)), "white")
    draw = ImageDraw.Draw(sheet)
    for place, k in enumerate(chosen.tolist()):
        pair = seen[first[k]], seen[second[k]]
        x, y = place % COLUMNS * (2 * SIDE + 10), place // COLUMNS * (SIDE + TEXT + 2)
        names = " ".join(Path(one.name).stem[-14:] for one in pair)
        draw.text((x, y), f"{distance[k]:.0f} {names}", fill="black")
        for side, one in enumerate(pair):
            with Image.open(one.record.path) as image:
                sheet.paste(image.convert("RGB").resize((SIDE, SIDE)), (x + side * SIDE, y + TEXT))
    sheet.save(options.out)
    histogram = np.bincount((distance // 10).astype(int))
    print(", ".join(f"{10 * k} to {10 * k + 9}: {n}" for k, n in enumerate(histogram[:10])))
    print(f"{len(seen)} images ({len(unreadable)} unreadable), {len(distance)} pairs: {options.out}")


if __name__ == "__main__":
    main()
