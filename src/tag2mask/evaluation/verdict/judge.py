"""From the numbers of a run to lights, reasons and remedies.

`benchmarks/bench_verdict.py` counts how often that is right.

The thresholds lie between runs known to be useful and runs known to be useless, with room on both sides; the comment
beside each says where those were.
"""

from __future__ import annotations

from collections.abc import Iterator

from tag2mask.data.checks import Finding
from tag2mask.data.classes import ADVISED_IMAGES
from tag2mask.evaluation.verdict.numbers import ClassNumbers, RunNumbers
from tag2mask.evaluation.verdict.verdict import ClassVerdict, Light, RunFinding, Verdict, worst

CHANCE = 0.6
"""Held-out AUC under which a class is not recognised. Random tags give 0.42 to 0.62, the weakest useful class 0.87."""

WEAK = 0.75
"""Held-out AUC under which a class is badly recognised."""

SURE = 2.0
"""An AUC differs from chance if it is so many standard deviations above 0.5; few images make these large."""

WITHOUT: tuple[float, float] = (0.3, 0.5)
"""Share of its tagged images in which a class has no pixel: amber and red. Useful classes have up to 0.14."""

WHOLE: tuple[float, float] = (0.2, 0.4)
"""Share of its tagged images that a class fills: amber and red. Useful classes have up to 0.05."""

OVERLAP: tuple[float, float] = (0.6, 0.75)
"""Mean IoU of two images' masks of a class: amber and red. Useful classes have up to 0.32, the same blob has 1."""

FEW_MASKS = 5
"""Fewer masks of a class prove nothing about their positions."""

EVERYWHERE = 0.95
"""AUC of parts of images from which on any part of an image shows a class: it fills the images, or something else that
fills them (light, camera, background) goes with its tag. Tissue that fills the images has 1.0; of useful classes, those
of steel surfaces have up to 0.77, objects in scenes up to 0.33."""

CONTRADICTED = 0.25
"""Share of the images whose tag of a class is contradicted. Useful classes have up to 0.15, random tags about 0.5."""

IOU: tuple[float, float] = (0.25, 0.1)
"""IoU against ground truth, where there is some, below which the masks of a class are amber and red."""

HEADS = 0.65
"""Mean disagreement of the two heads. Useful runs have up to 0.44, masks without foreground 0.72."""

THRESHOLD_FACTOR = 2.5
"""A threshold of the evidence set by hand is so many times that measured, or smaller by this factor."""

MOST_IMAGES = 0.5
"""Share of tiny or empty images from which on nothing can be learned."""

MANY_CLASSES = 0.5
"""Share of red classes from which on the whole run is red."""

_Sign = tuple[Light, str]


def judge(numbers: RunNumbers) -> Verdict:
    """Judge a run.

    A class has the worst light of its signs. The run is red where half of the classes are, or where something spoils
    all of them; amber where one class is amber or red; else green.
    """
    classes = {one.name: _class_verdict(one, numbers) for one in numbers.classes}
    findings = sorted(_findings(numbers, classes), key=lambda one: one.light != "red")
    lights = [one.light for one in classes.values()]
    of_classes: Light = worst(lights)
    if of_classes == "red" and lights.count("red") < MANY_CLASSES * len(lights):
        of_classes = "amber"
    overall = worst([of_classes, *(one.light for one in findings)])
    return Verdict(
        overall,
        _reason(overall, classes, findings, numbers),
        classes,
        tuple(findings),
        numbers,
        missing=numbers.missing,
    )


def _class_verdict(one: ClassNumbers, numbers: RunNumbers) -> ClassVerdict:
    signs = [*(_tag_signs(one, numbers) if numbers.from_tags else ()), *_mask_signs(one)]
    signs.sort(key=lambda sign: ("red", "amber").index(sign[0]))
    if not signs:
        return ClassVerdict("green", _praise(one))
    return ClassVerdict(signs[0][0], signs[0][1], tuple(text for _, text in signs[1:]))


def _praise(one: ClassNumbers) -> str:
    """What speaks for a class."""
    parts = [f"{one.present} images with it, {one.absent} without"]
    if one.auc is not None:
        parts.append(f"recognised in held-out images (AUC {one.auc:.2f})")
    if one.masks:
        parts.append(f"{one.masks - one.without} of {one.masks} masks show it")
    if one.iou is not None:
        parts.append(f"IoU {100 * one.iou:.0f} against ground truth")
    return "; ".join(parts)


def _tag_signs(one: ClassNumbers, numbers: RunNumbers) -> Iterator[_Sign]:
    """What the tags say against a class, and whether it is recognised."""
    for finding in numbers.findings:
        if one.name in finding.classes:
            sign = _tag_sign(one, finding, numbers)
            if sign is not None:
                yield sign
    different = one.present if one.different is None else one.different
    if different < ADVISED_IMAGES:
        what = "image" if one.different is None or one.different == one.present else "different image"
        yield "amber", f"it is in {different} {what}{'s' * (different != 1)} only; {ADVISED_IMAGES} are the least"
    if one.auc is not None and one.auc_deviation is not None:
        chance = max(WEAK, 0.5 + SURE * one.auc_deviation)
        if one.auc < CHANCE:
            yield "red", f"in held-out images it is recognised no better than by chance (AUC {one.auc:.2f})"
        elif one.auc < chance:
            yield "amber", f"in held-out images it is hardly recognised (AUC {one.auc:.2f}, of which 0.50 is chance)"
    if one.everywhere is not None and one.everywhere >= EVERYWHERE:
        yield (
            "amber",
            (
                "any part of an image tells whether it is there: it fills the images, or their light, camera or "
                "background goes with its tag; either way its outline cannot be learned"
            ),
        )
    known = one.present + one.absent
    if one.contradicted and len(one.contradicted) > CONTRADICTED * max(1, known):
        yield "amber", contradiction(one)


def contradiction(one: ClassNumbers, shown: int = 3) -> str:
    """How many tags of a class the images contradict, and which first."""
    first = ", ".join(one.contradicted[:shown])
    more = ", ..." if len(one.contradicted) > shown else ""
    return f"{len(one.contradicted)} tags of it are contradicted by held-out recognition: {first}{more}"


def _tag_sign(one: ClassNumbers, finding: Finding, numbers: RunNumbers) -> _Sign | None:
    """What a finding of the check before training means for a class."""
    others = sorted({name for group in finding.groups if one.name in group for name in group} - {one.name})
    beside = ", ".join(repr(name) for name in others[:3])
    match finding.code:
        case "classes-in-every-image":
            # Contrast finds what stands out without a classifier: 95.9 mIoU on a made collection of one class.
            light: Light = "amber" if numbers.contrast else "red"
            return light, "no image is known to be without it, so nothing tells it from its surroundings"
        case "few-counterexamples":
            return "amber", f"only {one.absent} of {one.present + one.absent} images are known to be without it"
        case "classes-always-together":
            return "red", f"it always occurs together with {beside}, so nothing tells them apart"
        case "classes-nearly-always-together":
            return "amber", f"it nearly always occurs together with {beside}, so little tells them apart"
        case "classes-one-or-other":
            return "amber", f"nearly every image shows either it or {beside}, so it is learned as 'not {others[0]}'"
    return None


def _mask_signs(one: ClassNumbers) -> Iterator[_Sign]:
    """What the masks say against a class."""
    if one.masks:
        counted = f"of {one.masks} masks of images tagged with it"
        for light, number, limits, text in (
            (None, one.without, WITHOUT, f"{one.without} {counted} have no pixel of it"),
            (None, one.whole, WHOLE, f"it fills {one.whole} {counted}"),
        ):
            light = _above(number / one.masks, limits)
            if light is not None:
                yield light, f"it never occurs: {text}" if number == one.masks and number == one.without else text
        if one.overlap is not None and one.masks >= FEW_MASKS and one.whole < WHOLE[0] * one.masks:
            light = _above(one.overlap, OVERLAP)
            if light is not None:
                yield (
                    light,
                    (
                        "its masks lie at the same position whatever the image shows "
                        f"(two of them have a mean IoU of {one.overlap:.2f})"
                    ),
                )
    if one.iou is not None and one.iou < IOU[0]:
        yield "red" if one.iou < IOU[1] else "amber", f"its IoU against ground truth is {100 * one.iou:.0f}"


def _above(value: float, limits: tuple[float, float]) -> Light | None:
    """Amber or red where a value reaches the first or second limit."""
    return "red" if value >= limits[1] else "amber" if value >= limits[0] else None


def _findings(numbers: RunNumbers, classes: dict[str, ClassVerdict]) -> Iterator[RunFinding]:
    """What speaks against the whole run, or against several classes for the same reason."""
    for finding in numbers.findings:
        if numbers.from_tags or not finding.classes:
            yield RunFinding(_light_of(finding, numbers, classes), finding.code, _with_where(finding), finding.remedy)
    if not numbers.pretrained:
        yield RunFinding(
            "amber", "random-weights",
            "the network started from random weights, and some hundred images do not teach it to see",
            "train again from pretrained weights: leave `model.weights` at hub, or give a file or folder",
        )  # fmt: skip
    if numbers.from_tags:
        yield from _recognition_findings(numbers)
    yield from _mask_findings(numbers)


def _light_of(finding: Finding, numbers: RunNumbers, classes: dict[str, ClassVerdict]) -> Light:
    if finding.classes:
        red = sum(classes[name].light == "red" for name in finding.classes if name in classes)
        spoils = finding.severity == "error" and not numbers.contrast
        return "red" if spoils and red >= MANY_CLASSES * len(classes) else "amber"
    if finding.code == "few-different-images":
        return "red" if finding.severity == "error" else "amber"
    if finding.code in ("tiny-images", "empty-images"):
        return "red" if len(finding.images) >= MOST_IMAGES * numbers.inspected else "amber"
    return "amber"


def _with_where(finding: Finding, shown: int = 3) -> str:
    named = finding.where
    first = ", ".join(named[:shown])
    return f"{finding.what} ({first}{', ...' if len(named) > shown else ''})" if named else finding.what


def _recognition_findings(numbers: RunNumbers) -> Iterator[RunFinding]:
    lost = [one for one in numbers.classes if one.auc is not None and one.auc < CHANCE]
    if lost:
        every = len(lost) >= MANY_CLASSES * len(numbers.classes)
        yield RunFinding(
            "red" if every else "amber", "not-recognised",
            f"{_classes(len(lost))} not recognised in held-out images better than by chance: "
            + ", ".join(f"{one.name} (AUC {one.auc:.2f})" for one in lost[:5]),
            "look whether the tags belong to these images, and whether what they name can be seen in them",
        )  # fmt: skip
    doubtful = [one for one in numbers.classes if one.contradicted]
    many = [one for one in doubtful if len(one.contradicted) > CONTRADICTED * max(1, one.present + one.absent)]
    if many:
        yield RunFinding(
            "amber", "tags-contradicted",
            "; ".join(f"{one.name}: {contradiction(one)}" for one in many[:3]),
            "look at these images and correct their tags",
        )  # fmt: skip


def _mask_findings(numbers: RunNumbers) -> Iterator[RunFinding]:
    total = numbers.tagged_masks
    if total:
        light = _above(numbers.empty / total, WITHOUT)
        if light is not None:
            yield RunFinding(
                light, "masks-without-foreground",
                f"{numbers.empty} of {total} masks of tagged images are background alone",
                "look at the report; if the classes are thin, faint or textures, train with the preset frozen-surfaces",
            )  # fmt: skip
        light = _above(numbers.one_class / total, WHOLE)
        if light is not None:
            yield RunFinding(
                light, "whole-frame-masks",
                f"{numbers.one_class} of {total} masks of tagged images have over 99 % of their pixels in one class",
                "if the class does not fill the images, add images of the same surroundings without it; if it does, "
                "its tags are its masks already, and there is nothing to segment",
            )  # fmt: skip
    if numbers.heads is not None and numbers.heads >= HEADS:
        yield RunFinding(
            "amber", "heads-disagree",
            f"the two heads of the network disagree about {100 * numbers.heads:.0f} % of the foreground",
            "train for more epochs, or look at the report for what each of them shows",
        )  # fmt: skip
    given, measured = numbers.threshold, numbers.measured_threshold
    if given is not None and measured and not 1 / THRESHOLD_FACTOR <= given / measured <= THRESHOLD_FACTOR:
        yield RunFinding(
            "amber", "unusual-threshold",
            f"masks.soft_threshold is {given:g}, and measured on these images it would be {measured:.2f}: masks become "
            f"far too {'small' if given > measured else 'large'}",
            "leave masks.soft_threshold out, so that it is measured",
        )  # fmt: skip


def _reason(overall: Light, classes: dict[str, ClassVerdict], findings: list[RunFinding], numbers: RunNumbers) -> str:
    """The worst in a sentence."""
    if overall == "green":
        return f"{_classes(len(classes))}, {numbers.images} images" + ("" if numbers.tagged_masks else ", no masks yet")
    for finding in findings:
        if finding.light == overall:
            return finding.what
    bad = {name: one for name, one in classes.items() if one.light == "red"} or {
        name: one for name, one in classes.items() if one.light == "amber"
    }
    first = next(iter(bad))
    more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
    return f"{first}: {bad[first].reason}{more}"


def _classes(number: int) -> str:
    return f"{number} class{'es' * (number != 1)}"
