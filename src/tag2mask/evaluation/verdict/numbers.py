"""The numbers behind a verdict, as plain values; None where one was not measured."""

from __future__ import annotations

from dataclasses import dataclass

from tag2mask.data.checks import Finding


@dataclass(frozen=True, slots=True)
class ClassNumbers:
    """What is known of one class.

    Attributes:
        name: of the class.
        present: images tagged with it.
        absent: images known to be without it.
        unknown: images of which it is not known.
        different: different images tagged with it, copies and near duplicates counted once.
        masks: masks of images tagged with it.
        without: of these, masks with next to no pixel of it.
        whole: of these, masks that it fills.
        share: mean share of the pixels that it has in these, in [0, 1].
        overlap: mean IoU between its masks in two different images, in [0, 1]: high where the masks are the same blob
            at the same position, whatever the image shows.
        auc: area under the ROC curve of a linear classifier of the pretrained features on images held out of its
            fitting, in [0, 1]; 0.5 is chance.
        auc_deviation: standard deviation of `auc` if the tags had nothing to do with the images.
        everywhere: the same for parts of the images (`recognition.HeldOut.everywhere`): near 1 where any part shows it.
        contradicted: names of the images whose tags that classifier contradicts, the clearest first.
        iou: of the masks against ground truth, in [0, 1].
    """

    name: str
    present: int
    absent: int
    unknown: int = 0
    different: int | None = None
    masks: int = 0
    without: int = 0
    whole: int = 0
    share: float | None = None
    overlap: float | None = None
    auc: float | None = None
    auc_deviation: float | None = None
    everywhere: float | None = None
    contradicted: tuple[str, ...] = ()
    iou: float | None = None


@dataclass(frozen=True, slots=True)
class RunNumbers:
    """What is known of a run.

    Attributes:
        images: that it was trained on.
        classes: what is known of each.
        from_tags: trained from tags; False: from ground truth.
        pretrained: the backbone started from trained weights.
        contrast: its class maps come from contrast (`model.contrast_stages`), not from the tag classifier.
        inspected: images that were decoded to look for copies, tiny and empty ones.
        different: of these, those that differ from each other: near duplicates count once, empty ones not at all.
        findings: of the check before training, those that spoil the result.
        tagged_masks: masks of images with a tag.
        empty: of these, masks that are background alone, or next to it.
        one_class: of these, masks of which one class has over 99 % of the pixels.
        heads: mean disagreement of the two heads, in [0, 1].
        threshold: of the evidence, where it was set by hand.
        measured_threshold: what it would have been by measurement.
        missing: what was not measured, and why, in sentences.
    """

    images: int
    classes: tuple[ClassNumbers, ...]
    from_tags: bool = True
    pretrained: bool = True
    contrast: bool = False
    inspected: int = 0
    different: int | None = None
    findings: tuple[Finding, ...] = ()
    tagged_masks: int = 0
    empty: int = 0
    one_class: int = 0
    heads: float | None = None
    threshold: float | None = None
    measured_threshold: float | None = None
    missing: tuple[str, ...] = ()
