"""Lights from numbers: each sign alone against a class that is otherwise fine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tag2mask.data.checks import Finding
from tag2mask.evaluation.verdict import ClassNumbers, RunNumbers, judge

FINE = ClassNumbers(
    "cat", 60, 60, different=60, masks=60, without=4, share=0.2, overlap=0.2, auc=0.95, auc_deviation=0.05
)
RUN = RunNumbers(
    120,
    (FINE, replace(FINE, name="dog"), replace(FINE, name="eel")),
    inspected=120,
    different=118,
    tagged_masks=100,
    empty=3,
    one_class=2,
    heads=0.4,
)


def with_class(**values: Any) -> RunNumbers:
    """The run with another first class."""
    return replace(RUN, classes=(replace(FINE, **values), *RUN.classes[1:]))


def finding(severity: Any, code: str, *classes: str, images: int = 0) -> Finding:
    return Finding(
        severity,
        code,
        "what",
        "so what",
        "remedy",
        tuple(map(str, range(images))),
        classes,
        (classes,) if classes else (),
    )


def test_a_useful_run_is_green() -> None:
    verdict = judge(RUN)
    assert verdict.overall == "green"
    assert {one.light for one in verdict.classes.values()} == {"green"}
    assert verdict.findings == ()
    assert "AUC 0.95" in verdict.classes["cat"].reason
    assert verdict.headline() == "nothing speaks against these masks: 3 classes, 120 images"
    unseen = judge(replace(RUN, tagged_masks=0))
    assert unseen.headline() == "nothing speaks against this run: 3 classes, 120 images, no masks yet"


@pytest.mark.parametrize(
    ("values", "light", "words"),
    [
        ({"without": 20}, "amber", "20 of 60 masks of images tagged with it have no pixel of it"),
        ({"without": 60}, "red", "it never occurs: 60 of 60"),
        ({"whole": 20}, "amber", "it fills 20 of 60 masks"),
        ({"whole": 50}, "red", "it fills 50 of 60 masks"),
        ({"overlap": 0.65}, "amber", "same position"),
        ({"overlap": 0.9}, "red", "same position"),
        ({"auc": 0.5}, "red", "no better than by chance (AUC 0.50)"),
        ({"auc": 0.7}, "amber", "hardly recognised (AUC 0.70"),
        ({"auc": 0.78, "auc_deviation": 0.16}, "amber", "hardly recognised"),
        ({"everywhere": 0.98}, "amber", "any part of an image tells"),
        ({"present": 5, "different": 5, "masks": 5, "without": 0}, "amber", "it is in 5 images only"),
        ({"different": 4}, "amber", "it is in 4 different images only"),
        ({"contradicted": tuple("abcdefghijklmnopqrstuvwxyz_1234567")}, "amber", "34 tags of it"),
        ({"iou": 0.05}, "red", "IoU against ground truth is 5"),
        ({"iou": 0.2}, "amber", "IoU against ground truth is 20"),
    ],
)
def test_each_sign_of_a_class(values: dict[str, Any], light: str, words: str) -> None:
    """One bad class of three makes the run amber: the others can be used."""
    verdict = judge(with_class(**values))
    assert verdict.classes["cat"].light == light
    assert words in verdict.classes["cat"].reason
    assert verdict.overall == "amber"
    assert verdict.classes["dog"].light == "green"


@pytest.mark.parametrize(
    ("found", "overall", "lights"),
    [
        (finding("error", "classes-in-every-image", "cat"), "amber", {"cat": "red"}),
        (finding("error", "classes-in-every-image", "cat", "dog"), "red", {"cat": "red", "dog": "red"}),
        (finding("warning", "few-counterexamples", "cat"), "amber", {"cat": "amber"}),
        (finding("error", "classes-always-together", "cat", "dog"), "red", {"cat": "red", "dog": "red"}),
        (finding("warning", "classes-nearly-always-together", "cat", "dog"), "amber", {"cat": "amber", "dog": "amber"}),
        (finding("warning", "classes-one-or-other", "cat", "dog"), "amber", {"cat": "amber", "dog": "amber"}),
        (finding("error", "few-different-images"), "red", {}),
        (finding("warning", "few-different-images"), "amber", {}),
        (finding("warning", "empty-images", images=120), "red", {}),
        (finding("warning", "tiny-images", images=20), "amber", {}),
        (finding("error", "duplicates-tagged-differently", images=20), "amber", {}),
    ],
)
def test_each_finding_of_the_check(found: Finding, overall: str, lights: dict[str, str]) -> None:
    verdict = judge(replace(RUN, findings=(found,)))
    assert verdict.overall == overall
    assert {name: one.light for name, one in verdict.classes.items() if one.light != "green"} == lights
    assert [(one.code, one.remedy) for one in verdict.findings] == [(found.code, "remedy")]


@pytest.mark.parametrize(
    ("values", "overall", "code"),
    [
        ({"empty": 40}, "amber", "masks-without-foreground"),
        ({"empty": 90}, "red", "masks-without-foreground"),
        ({"one_class": 30}, "amber", "whole-frame-masks"),
        ({"one_class": 90}, "red", "whole-frame-masks"),
        ({"pretrained": False}, "amber", "random-weights"),
        ({"heads": 0.8}, "amber", "heads-disagree"),
        ({"threshold": 0.95, "measured_threshold": 0.3}, "amber", "unusual-threshold"),
        ({"threshold": 0.01, "measured_threshold": 0.3}, "amber", "unusual-threshold"),
    ],
)
def test_each_sign_of_a_run(values: dict[str, Any], overall: str, code: str) -> None:
    verdict = judge(replace(RUN, **values))
    assert verdict.overall == overall
    assert [one.code for one in verdict.findings] == [code]
    assert all(one.remedy for one in verdict.findings)


def test_classes_that_are_not_recognised_make_the_run_red() -> None:
    lost = tuple(replace(one, auc=0.5) for one in RUN.classes)
    verdict = judge(replace(RUN, classes=lost))
    assert verdict.overall == "red"
    assert verdict.headline().startswith("do not use these masks: 3 classes not recognised")


def test_contrast_needs_no_counterexample() -> None:
    """One class in every image: red where the tag classifier gives the class maps, amber where contrast does."""
    found = finding("error", "classes-in-every-image", "cat")
    alone = replace(RUN, classes=(FINE,), findings=(found,))
    assert judge(alone).overall == "red"
    assert judge(replace(alone, contrast=True)).overall == "amber"


def test_a_run_from_ground_truth_is_not_judged_by_its_tags() -> None:
    found = finding("error", "classes-in-every-image", "cat", "dog")
    verdict = judge(replace(RUN, from_tags=False, findings=(found,)))
    assert verdict.overall == "green"


def test_nothing_measured_is_said() -> None:
    bare = RunNumbers(30, (ClassNumbers("cat", 15, 15),), missing=("the masks: none were written",))
    verdict = judge(bare)
    assert verdict.missing == bare.missing
    assert "not known: the masks: none were written" in "\n".join(verdict.lines())
