from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tag2mask.drawing import Palette, colour_bar, heatmap, legend_strip, overlay, palette_colours, ramp, sheet
from tag2mask.masks import voc_colours

GREY = np.full((40, 60, 3), 100, np.uint8)
LONG = "a caption of many words that has to be wrapped " * 3 + "andonewordthatisfartoolongforanycolumnofthissheet"


def shapes() -> NDArray[np.uint8]:
    mask = np.zeros((40, 60), np.uint8)
    mask[5:20, 5:25] = 1
    mask[20:35, 30:55] = 2
    return mask


def luminance(colour: NDArray[np.float64]) -> float:
    """Relative luminance of WCAG 2: 0 to 1."""
    linear = np.where(colour <= 10.31475, colour / 3294.6, ((colour / 255 + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def seen_by_deuteranopes(colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Colours without green-sensitive cones (Vienot et al., Color Research & Application, 1999)."""
    matrix = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])
    linear = (colours / 255.0) ** 2.2
    seen: NDArray[np.float64] = 255 * np.clip(linear @ matrix.T, 0, 1) ** (1 / 2.2)
    return seen


def test_palettes() -> None:
    safe, voc = palette_colours(), palette_colours("voc")
    np.testing.assert_array_equal(voc, voc_colours())
    assert safe.shape == (256, 3)
    assert safe.dtype == np.uint8
    assert safe[0].max() == 0
    assert len(np.unique(safe[:22], axis=0)) == 22
    with pytest.raises(ValueError, match="palette 'jet'; expected 'safe' or 'voc'"):
        palette_colours("jet")  # type: ignore[arg-type]


def test_the_first_seven_colours_are_apart_for_colour_blind_people() -> None:
    def least(colours: NDArray[np.uint8]) -> float:
        seen = seen_by_deuteranopes(colours)
        return min(float(np.linalg.norm(a - b)) for k, a in enumerate(seen) for b in seen[:k])

    assert least(palette_colours()[1:8]) > 35 > least(palette_colours("voc")[1:8])


def test_colours_of_ones_own() -> None:
    own = [(1, 2, 3), (250, 0, 0)]
    colours = palette_colours(own)
    np.testing.assert_array_equal(colours[1:3], own)
    np.testing.assert_array_equal(colours[3:], voc_colours()[3:])
    picture = overlay(GREY, shapes(), alpha=1, outline=False, palette=own)
    np.testing.assert_array_equal(picture[10, 10], own[0])
    np.testing.assert_array_equal(picture[25, 40], own[1])
    assert (legend_strip(["a", "b"], 200, palette=own) == own[1]).all(axis=-1).any()
    for wrong in ([(1, 2)], [(0, 0, 256)], [(0, 0, 0)] * 255):
        with pytest.raises(ValueError, match=r"colours of classes are \(C, 3\) from 0 to 255"):
            palette_colours(wrong)  # type: ignore[arg-type]


def test_overlay_by_hand() -> None:
    picture = overlay(GREY, shapes(), alpha=0.5, outline=False)
    colours = palette_colours().astype(float)
    np.testing.assert_array_equal(picture[0, 0], GREY[0, 0])
    for k, (y, x) in {1: (10, 10), 2: (25, 40)}.items():
        np.testing.assert_allclose(picture[y, x], 0.5 * 100 + 0.5 * colours[k], atol=0.51)
    assert picture.shape == GREY.shape
    assert picture.dtype == np.uint8


def test_overlay_does_not_change_its_input_and_alpha_zero_changes_nothing() -> None:
    image, mask = GREY.copy(), shapes()
    mask[30:, :10] = 255
    np.testing.assert_array_equal(overlay(image, mask, alpha=0), GREY)
    overlay(image, mask)
    np.testing.assert_array_equal(image, GREY)


def test_outlines_have_the_full_colour_of_their_class() -> None:
    picture = overlay(GREY, shapes(), alpha=0.3)
    np.testing.assert_array_equal(picture[5, 10], palette_colours()[1])
    np.testing.assert_array_equal(picture[34, 40], palette_colours()[2])
    np.testing.assert_array_equal(picture[4, 10], GREY[0, 0])


def contrast(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Contrast ratio of WCAG 2: 1 to 21."""
    dark, light = sorted((luminance(one.astype(np.float64)), luminance(other.astype(np.float64))))
    return (light + 0.05) / (dark + 0.05)


ANY_COLOUR = [*palette_colours()[:22], *(np.full(3, grey, np.uint8) for grey in (0, 64, 128, 192, 255))]


@pytest.mark.parametrize("palette", ["safe", "voc"])
def test_outlines_are_seen_on_an_image_of_any_colour(palette: Palette) -> None:
    mask = np.zeros((30, 30), np.uint8)
    mask[5:25, 5:25] = 1
    for index in range(1, 22):
        for colour in ANY_COLOUR:
            picture = overlay(np.broadcast_to(colour, (30, 30, 3)).copy(), mask * index, palette=palette)
            np.testing.assert_array_equal(picture[4, 15], colour)
            np.testing.assert_array_equal(picture[5, 15], palette_colours(palette)[index])
            assert max(contrast(picture[row, 15], colour) for row in (5, 6)) > 2
            assert contrast(picture[5, 15], picture[6, 15]) > 4  # so that none is seen worse than by 2


@pytest.mark.parametrize("side", [100, 600, 1200])
def test_lines_and_stripes_grow_with_the_image(side: int) -> None:
    image = np.full((side, side, 3), 100, np.uint8)
    mask = np.zeros((side, side), np.uint8)
    mask[: side // 2] = 3
    mask[side // 2 :, : side // 2] = 255
    picture = overlay(image, mask)
    line = max(1, side // 600)
    assert (picture[:, side - 1] == palette_colours()[3]).all(axis=-1).sum() == line
    stripes = picture[side * 3 // 4, : side // 4, 0]
    assert np.abs(np.diff(stripes.astype(int))).astype(bool).sum() == pytest.approx(side / 4 / (3 * line), abs=1)


def test_undecided_pixels_are_hatched_and_seen_on_any_image() -> None:
    mask = np.full((40, 60), 255, np.uint8)
    for colour in ANY_COLOUR:
        image = np.broadcast_to(colour, (40, 60, 3)).copy()
        picture = overlay(image, mask)
        tones = np.unique(picture.reshape(-1, 3), axis=0)
        assert len(tones) == 2
        assert contrast(tones[0], tones[1]) > 1.5
        assert max(contrast(tone, image[0, 0]) for tone in tones) > 1.5


def test_a_legend_says_what_is_undecided() -> None:
    mask = shapes()
    mask[:3] = 255
    picture = overlay(np.full((40, 200, 3), 100, np.uint8), np.pad(mask, ((0, 0), (0, 140))), legend=True, classes="ab")
    named = legend_strip("ab", 200, present=[1, 2, 255])
    np.testing.assert_array_equal(picture[40:], named)
    assert (named != legend_strip("ab", 200, present=[1, 2])).any()


def test_a_legend_names_the_classes_that_occur() -> None:
    mask = shapes()
    picture = overlay(GREY, mask, classes=["cat", "dog", "zebra"], legend=True)
    strip = picture[40:]
    assert picture.shape[1] == 60
    assert len(strip) > 20
    for k, shown in ((1, True), (2, True), (3, False)):
        assert (strip == palette_colours()[k]).all(axis=-1).any() == shown
    with pytest.raises(ValueError, match="a legend needs the names of the classes"):
        overlay(GREY, mask, legend=True)
    with pytest.raises(ValueError, match="class index 2 has no name among 1 classes"):
        overlay(GREY, mask, classes=["cat"], legend=True)


@pytest.mark.parametrize("width", [60, 200, 900])
def test_a_legend_of_many_classes_is_whole(width: int) -> None:
    strip = legend_strip([f"class {k} {'x' * (k % 30)}" for k in range(40)], width)
    assert strip.shape[1] == width
    edge = np.concatenate([strip[:2].reshape(-1, 3), strip[-2:].reshape(-1, 3), strip[:, -3:].reshape(-1, 3)])
    assert (edge == 255).all()
    for colour in palette_colours()[1:41]:
        assert (strip == colour).all(axis=-1).any()


def test_heatmap_rises_from_dark_to_light() -> None:
    ramp = np.linspace(0, 1, 60, dtype=np.float32)[None].repeat(40, axis=0)
    picture = heatmap(GREY, ramp, alpha=1)
    light = [luminance(column) for column in picture[20].astype(np.float64)]
    assert light[0] < 0.01
    assert light[-1] > 0.8
    assert (np.diff(light) >= -1e-3).all()


def test_a_class_map_rises_from_dark_to_light_in_the_colour_of_its_class() -> None:
    for colour in palette_colours()[1:22]:
        steps = ramp(tuple(colour.tolist()))
        light = [luminance(step) for step in steps.astype(np.float64)]
        assert (np.diff(light) >= -1e-3).all()
        assert light[-1] - light[0] > 0.5
        assert (steps == colour).all(axis=-1).any() or np.abs(steps.astype(int) - colour).sum(axis=-1).min() < 8
    picture = heatmap(GREY, np.ones((4, 6)), alpha=1, colour=(0, 114, 178))
    np.testing.assert_array_equal(picture[0, 0], ramp((0, 114, 178))[-1])


@pytest.mark.parametrize("width", [12, 60, 400])
def test_a_colour_bar_goes_from_0_to_1(width: int) -> None:
    strip = colour_bar(width)
    assert strip.shape[1] == width
    picture = heatmap(np.zeros((20, width, 3), np.uint8), np.ones((2, 2)), bar=True)
    np.testing.assert_array_equal(picture[20:], strip)
    if width > 60:
        middle = strip[len(strip) // 2]
        start, end = (np.nonzero((middle == one).all(axis=-1))[0] for one in (ramp()[0], ramp()[255]))
        assert start.min() < width / 8
        assert end.max() > width * 7 / 8


def test_the_legend_of_a_sheet_names_what_is_there() -> None:
    red = np.zeros((100, 400, 3), np.uint8)
    red[..., 0] = 255
    picture = sheet([[red]], cell=(100, 400), legend=["cat", "dog"], present=[2, 255], bar="prior")
    colours = palette_colours()
    assert not (picture == colours[1]).all(axis=-1).any()
    assert (picture == colours[2]).all(axis=-1).any()
    assert (picture == ramp()[128]).all(axis=-1).any() or (picture == ramp()[129]).all(axis=-1).any()


def test_heatmap_resizes_and_clips() -> None:
    values = np.array([[-3.0, 9.0]])
    picture = heatmap(GREY, values, alpha=1)
    assert picture.shape == GREY.shape
    assert picture[0, 0].max() < 10
    assert picture[0, -1].min() > 150
    np.testing.assert_array_equal(heatmap(GREY, values, alpha=0), GREY)
    with pytest.raises(ValueError, match="not finite"):
        heatmap(GREY, np.array([[np.nan]]))
    with pytest.raises(ValueError, match=r"a map is \(h, w\).*got \(2, 2, 3\)"):
        heatmap(GREY, np.zeros((2, 2, 3)))


def test_a_sheet_places_images_whole_and_aligned() -> None:
    red = np.zeros((10, 20, 3), np.uint8)
    red[..., 0] = 255
    blue = np.zeros((400, 100, 3), np.uint8)
    blue[..., 2] = 255
    picture = sheet([[red, blue], [None, red]], cell=(100, 120))
    assert picture.dtype == np.uint8

    def box(colour: tuple[int, int, int], part: NDArray[np.uint8]) -> tuple[int, int]:
        rows, columns = np.nonzero((part == colour).all(axis=-1))
        return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1

    half = picture.shape[0] // 2
    assert box((255, 0, 0), picture[:half]) == (60, 120)
    assert box((0, 0, 255), picture[:half]) == (100, 25)
    assert box((255, 0, 0), picture[half:]) == (60, 120)


def test_text_is_never_cut_off() -> None:
    red = np.zeros((10, 20, 3), np.uint8)
    titles = ["gjpqy short", "a title " * 30, "onewordthatisfartoolongforitscolumn"]
    for captions in (None, [LONG, "gjpqy", LONG * 5]):
        for cell in ((60, 80), (200, 320)):
            picture = sheet([[red] * 3] * 3, titles=titles, captions=captions, cell=cell, legend=["cat", LONG])
            border = [picture[:4], picture[-2:], picture[:, :4], picture[:, -4:]]
            assert all((part == 255).all() for part in border)


def test_titles_stay_above_and_captions_beside_their_images() -> None:
    red = np.zeros((100, 100, 3), np.uint8)
    red[..., 0] = 255
    picture = sheet([[red, red]], titles=["left", "right"], captions=["caption"], cell=(100, 100))
    rows, columns = np.nonzero((picture == (255, 0, 0)).all(axis=-1))
    dark = picture.max(axis=-1) < 128
    assert dark[: rows.min()].any()
    assert not dark[rows.max() + 1 :].any()
    assert dark[:, : columns.min()].any()
    assert not dark[rows.min() :, columns.min() :].any()


@pytest.mark.parametrize("kind", [np.float32, np.uint16])
def test_arrays_that_are_no_images(kind: type[np.generic]) -> None:
    bad = np.zeros((4, 4, 3), kind)
    with pytest.raises(ValueError, match=r"an image is uint8 \(H, W, 3\).*got (float32|uint16)"):
        overlay(bad, np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="an image is uint8"):
        sheet([[bad]])


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"mask \(3, 3\) and image \(40, 60\)"):
        overlay(GREY, np.zeros((3, 3), np.uint8))
    with pytest.raises(ValueError, match="alpha is 2"):
        overlay(GREY, shapes(), alpha=2)
    with pytest.raises(ValueError, match="at least one row"):
        sheet([[]])
    with pytest.raises(ValueError, match="1 titles for 2 columns"):
        sheet([[GREY, GREY]], titles=["a"])
    with pytest.raises(ValueError, match="2 captions for 1 rows"):
        sheet([[GREY]], captions=["a", "b"])
