"""What label-studio-sdk says of predictions and brush strokes, in its own environment (`make tools`); run as a program.

Reads JSON from the standard input: `{"config", "predictions", "strokes": [{"rle", "size"}], "regions": [[[...]]]}`.
Writes `{"errors", "strokes": decoded regions, "regions": encoded rle}`.
"""

from __future__ import annotations

import json
import sys

import numpy as np


def main() -> None:
    from label_studio_sdk.converter.brush import decode_rle, encode_rle
    from label_studio_sdk.label_interface import LabelInterface

    given = json.load(sys.stdin)
    interface = LabelInterface(given["config"])
    found = {
        "errors": [interface.validate_prediction(one, return_errors=True) for one in given["predictions"]],
        "strokes": [
            (decode_rle(one["rle"]).reshape(*one["size"], 4)[:, :, 3] > 0).astype(int).tolist()
            for one in given["strokes"]
        ],
        "regions": [encode_rle(np.repeat(255 * np.array(one, np.uint8).ravel(), 4)) for one in given["regions"]],
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
