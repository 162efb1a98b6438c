from __future__ import annotations

import pytest

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.method.memory import RESERVE, MemoryBound, crf_bytes, parse_bytes, shown_bytes

GIB = 1 << 30


@pytest.mark.parametrize(
    ("text", "count"),
    [("2GiB", 2 * GIB), ("2 gib", 2 * GIB), ("2G", 2 * GIB), ("1.5GB", 1_500_000_000), ("500", 500), (7, 7)],
)
def test_amounts(text: str | int, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "much", "2 XB", "-1", "1e9", "2,5GB"])
def test_no_amounts(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a number of bytes such as 2GiB"):
        parse_bytes(text)
    assert (shown_bytes(2 * GIB), shown_bytes(3 << 20)) == ("2.00 GiB", "3 MiB")


def test_a_bound_on_several_images_changes_none() -> None:
    bound = MemoryBound(1000)
    assert bound.crf_pixels((9000, 9000), 7, 4_000_000) == 4_000_000


@pytest.mark.parametrize("channels", [2, 7, 81])
@pytest.mark.parametrize("pixels", [(400, 500), (3000, 5000), (6000, 8333)])
def test_what_is_in_work_fits(pixels: tuple[int, int], channels: int) -> None:
    bound = MemoryBound(1 * GIB, limits_crf=True)
    found = bound.crf_pixels(pixels, channels, 4_000_000)
    assert 250_000 <= found <= 4_000_000 or found == pixels[0] * pixels[1]
    assert bound.cost(pixels, channels, 4_000_000) == 4 * pixels[0] * pixels[1] + found * crf_bytes(channels)
    assert bound.cost(pixels, channels, 4_000_000) <= bound.available
    more = MemoryBound(4 * GIB, limits_crf=True).crf_pixels(pixels, channels, 4_000_000)
    assert more >= found


def test_an_image_that_does_not_fit() -> None:
    bound = MemoryBound(GIB, limits_crf=True)
    with pytest.raises(DataError, match=r"an image of 20000 x 15000 pixels needs .* more than `max_memory` leav"):
        bound.check((15000, 20000), 7)


def test_an_image_that_the_network_sees_large_needs_more() -> None:
    small, large = (MemoryBound(GIB, limits_crf=True, side=side) for side in (320, 0))
    assert small.crf_pixels((3000, 4000), 7, 4_000_000) == 4_000_000
    assert small.reserve((3000, 4000), 7) == RESERVE < large.reserve((3000, 4000), 7)
    with pytest.raises(DataError, match=r"let the network see it smaller \(`prediction\.image_size`\)"):
        large.crf_pixels((6000, 8000), 7, 4_000_000)
