"""From results as Label Studio sends them to masks and tags; labelling interfaces."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tag2mask.core.errors import DataError
from tag2mask.deploy.label_studio.annotations import painted, read_submitted
from tag2mask.deploy.label_studio.interface import check_interface, read_interface, suitable_interface
from tag2mask.masks.formats.label_studio import brush_result, polygon_results
from tests.deploy.label_studio.helpers import BRUSH, CLASSES, POLYGON, sdk_says, true_mask

INDEX = {name: index for index, name in enumerate(CLASSES, start=1)}
SIZE = (48, 64)
COMMON = {"original_width": 64, "original_height": 48, "image_rotation": 0, "to_name": "img"}


def mask_of(results: list[dict[str, Any]], config: str = BRUSH) -> NDArray[np.uint8]:
    submitted = read_submitted(results, read_interface(config))
    assert submitted.is_mask
    return painted(submitted, SIZE, INDEX.__getitem__)


def brush(region: NDArray[np.bool_], label: str) -> dict[str, Any]:
    return brush_result(region, label, from_name="brush", to_name="img") | {"id": label}


def test_brush_strokes_and_polygons_give_the_mask_again() -> None:
    mask = true_mask()
    strokes = [brush(mask == index, name) for name, index in INDEX.items()]
    assert np.array_equal(mask_of(strokes), mask)
    polygons = [
        one for name, index in INDEX.items() for one in polygon_results(mask == index, name, tolerance=0, to_name="img")
    ]
    assert np.array_equal(mask_of(polygons, POLYGON), mask)


def test_the_last_stroke_is_on_top_and_background_erases() -> None:
    left, all_ = np.zeros(SIZE, bool), np.ones(SIZE, bool)
    left[:, :20] = True
    expected = np.full(SIZE, 1, np.uint8)
    expected[:, :20] = 2
    assert np.array_equal(mask_of([brush(all_, "disc"), brush(left, "square")]), expected)
    for name, value in (("Background", 0), ("ignore", 255), ("undecided", 255)):
        expected[:, :20] = value
        assert np.array_equal(mask_of([brush(all_, "disc"), brush(left, name)]), expected)


def test_brush_and_labels_as_two_results_of_one_region() -> None:
    config = (
        '<View><Image name="img" value="$photo"/><Labels name="labels" toName="img"><Label value="disc"/></Labels>'
        '<Brush name="brush" toName="img"/></View>'
    )
    region = true_mask() == 1
    value = brush(region, "disc")["value"]
    geometry = {"format": "rle", "rle": value["rle"]}
    results = [
        COMMON | {"id": "r", "type": "brush", "from_name": "brush", "value": geometry},
        COMMON | {"id": "r", "type": "labels", "from_name": "labels", "value": geometry | {"labels": ["disc"]}},
    ]
    assert np.array_equal(mask_of(results, config), region.astype(np.uint8))


def test_an_ellipse_is_painted_and_turned() -> None:
    value = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 12.5, "ellipselabels": ["disc"], "rotation": 0}
    result = COMMON | {"id": "e", "type": "ellipselabels", "from_name": "round", "value": value}
    y, x = np.mgrid[:48, :64] + 0.5
    found = mask_of([result])
    assert np.mean((found == 1) != (((x - 32) / 16) ** 2 + ((y - 24) / 6) ** 2 <= 1)) < 0.01
    value["rotation"] = 90
    turned = mask_of([result])
    assert np.mean((turned == 1) != (((x - 32) / 6) ** 2 + ((y - 24) / 16) ** 2 <= 1)) < 0.01


def test_a_rectangle_is_a_box_which_says_nothing_of_pixels() -> None:
    value = {"x": 10, "y": 10, "width": 20, "height": 20, "rotation": 0, "rectanglelabels": ["square"]}
    result = COMMON | {"id": "b", "type": "rectanglelabels", "from_name": "box", "value": value}
    submitted = read_submitted([result], read_interface(BRUSH))
    assert (submitted.is_mask, submitted.names()) == (False, ["square"])
    assert "rectangles" in submitted.notes[0]


def test_choices_alone_are_tags_and_nothing_at_all_is_background() -> None:
    interface = read_interface(BRUSH)
    choice = {"id": "c", "type": "choices", "from_name": "what", "to_name": "img", "value": {"choices": ["disc"]}}
    submitted = read_submitted([choice], interface)
    assert (submitted.is_mask, submitted.chosen, submitted.names()) == (False, ["disc"], ["disc"])
    assert not mask_of([]).any()
    only_choices = '<View><Image name="img" value="$photo"/><Choices name="c" toName="img"/></View>'
    assert not read_submitted([], read_interface(only_choices)).is_mask


def test_what_is_not_read_is_said() -> None:
    text = {"id": "t", "type": "textarea", "from_name": "note", "value": {"text": ["a scratch"]}}
    bare = brush(true_mask() == 1, "disc")
    bare["value"]["brushlabels"] = []
    several = brush(true_mask() == 2, "square")
    several["value"]["brushlabels"] = ["square", "disc"]
    submitted = read_submitted([text, bare, several], read_interface(BRUSH))
    assert [region.label for region in submitted.regions] == ["square"]
    assert len(submitted.notes) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"original_width": 65}, "drawn on 65 x 48"),
        ({"original_width": None}, "original_width"),
        ({"original_height": -48}, "original_width"),
        ({"image_rotation": 90}, "turned"),
        ({"value": {"rle": [1, 2], "brushlabels": ["disc"]}}, "cut off"),
        ({"value": {"points": [[1, 2], [3, "x"], [5, 6]], "polygonlabels": ["disc"]}}, "percents"),
        ({"value": {"points": [[1, 2], [3, 1e99], [5, 6]], "polygonlabels": ["disc"]}}, "percents"),
        ({"value": {"points": "x", "polygonlabels": ["disc"]}}, "points"),
    ],
)
def test_damaged_results_are_refused(change: dict[str, Any], message: str) -> None:
    result = copy.deepcopy(brush(true_mask() == 1, "disc")) | change
    with pytest.raises(DataError, match=message):
        mask_of([result])


def test_the_interface_that_is_proposed_is_valid_and_fits() -> None:
    for shapes in ("brush", "polygon"):
        xml = suitable_interface(['a "quoted" <name>', "disc"], shapes)
        interface = read_interface(xml)
        assert check_interface(interface, ['a "quoted" <name>', "disc"]) == []
        assert interface.data_key == "image"
    assert sdk_says(config=suitable_interface(CLASSES))["errors"] == []


def test_labels_are_matched_to_classes() -> None:
    config = (
        '<View><Image name="i" value="$image"/><BrushLabels name="b" toName="i"><Label value="Disc"/>'
        '<Label value="Block" alias="square"/></BrushLabels></View>'
    )
    interface = read_interface(config)
    assert check_interface(interface, ["disc", "square"]) == ["square"]
    [control] = interface.controls
    assert control.label_of("disc") == "Disc"
    assert control.labels["square"] == "Block"


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("<View>", "not XML"),
        ("", "not XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><View>&b;</View>', "not XML"),
        ("<View><Text name='t' value='$text'/></View>", "no image"),
        ('<View><Image name="i" value="https://x/a.jpg"/></View>', "in every task"),
    ],
)
def test_interfaces_that_cannot_be_used(xml: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_interface(xml)


def test_an_interface_without_the_classes_gets_one_that_fits() -> None:
    with pytest.raises(DataError, match=r"no BrushLabels or PolygonLabels(.|\n)*<Label value=\"disc\"") as error:
        check_interface(read_interface(BRUSH.replace("disc", "cat").replace("square", "dog")), CLASSES)
    assert "disc, square" in str(error.value)
    with pytest.raises(DataError, match="PolygonLabels"):
        check_interface(read_interface(BRUSH), CLASSES, "polygon")
