"""The limit of pixels, read from the environment at each call."""

from __future__ import annotations

from pathlib import Path

import pytest

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.images.decode import DEFAULT_MAX_PIXELS, image_size, max_pixels, read_image
from tests.helpers import write_image


@pytest.mark.parametrize(
    ("text", "pixels"),
    [
        ("1e8", 100_000_000),
        ("1.5e8", 150_000_000),
        ("110_000_000", 110_000_000),
        (" 48 ", 48),
        ("", DEFAULT_MAX_PIXELS),
        (None, DEFAULT_MAX_PIXELS),
    ],
)
def test_numbers(monkeypatch: pytest.MonkeyPatch, text: str | None, pixels: int) -> None:
    monkeypatch.delenv("TAG2MASK_MAX_PIXELS", raising=False)
    if text is not None:
        monkeypatch.setenv("TAG2MASK_MAX_PIXELS", text)
    assert max_pixels() == pixels


@pytest.mark.parametrize("text", ["many", "1e8 pixels", "0", "-5", "0.5", "inf", "nan", "100,000,000"])
def test_what_is_no_number_of_pixels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    monkeypatch.setenv("TAG2MASK_MAX_PIXELS", text)
    with pytest.raises(ConfigError, match=r"TAG2MASK_MAX_PIXELS is .*; expected a whole number .* such as 1e8 or"):
        read_image(write_image(tmp_path / "a.png"))


def test_it_is_read_at_each_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png")  # 6 x 8
    monkeypatch.setenv("TAG2MASK_MAX_PIXELS", "48")
    assert image_size(path) == (6, 8)
    monkeypatch.setenv("TAG2MASK_MAX_PIXELS", "47")
    for function in (read_image, image_size):
        with pytest.raises(DataError, match=r"8 x 6 pixels, the limit is 47 .*set TAG2MASK_MAX_PIXELS higher"):
            function(path)
