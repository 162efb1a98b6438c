from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tag2mask.core.errors import DataError
from tag2mask.masks import read_confidence, write_confidence


@pytest.mark.parametrize(("bits", "mode"), [(8, "L"), (16, "I;16")])
def test_probability_of_the_chosen_class(tmp_path: Path, bits: int, mode: str) -> None:
    probs = np.random.default_rng(0).dirichlet(np.ones(4), (13, 17)).transpose(2, 0, 1).astype(np.float32)
    mask = np.random.default_rng(1).integers(0, 4, (13, 17)).astype(np.uint8)
    mask[3:5, 2:9] = 255
    write_confidence(tmp_path / "a.png", probs, mask, bits=bits)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == mode
    found = read_confidence(tmp_path / "a.png")
    for row, column in np.ndindex(mask.shape):
        expected = 0 if mask[row, column] == 255 else probs[mask[row, column], row, column]
        assert abs(found[row, column] - expected) <= 0.51 / (2**bits - 1)


def test_certain_is_white_and_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    probs = np.stack([np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)])
    write_confidence(tmp_path / "a.png", probs, np.array([[1, 1, 0], [0, 1, 1]]))
    assert (255 * read_confidence(tmp_path / "a.png")).tolist() == [[255, 255, 0], [0, 255, 255]]
    with pytest.raises(ValueError, match="bits"):
        write_confidence(tmp_path / "b.png", probs, np.zeros((2, 3), np.uint8), bits=12)
    with pytest.raises(ValueError, match="fit"):
        write_confidence(tmp_path / "b.png", probs, np.zeros((3, 2), np.uint8))
    Image.new("RGB", (3, 2)).save(tmp_path / "c.png")
    with pytest.raises(DataError, match="grey"):
        read_confidence(tmp_path / "c.png")
    assert not (tmp_path / "b.png").exists()
