"""The model card: what a network is, what it learned from, how good it is, what it cannot do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import timm
import yaml

from tag2mask.config.schema import Config
from tag2mask.models.backbones.plugins import is_plugin, package_of

_LIMITS = """\
- It knows the classes above and background; everything else is background or mistaken for one of them.
- It learned from tags alone, without any ground truth of pixels. Objects that always occur together in the training
  images (boats and water) may share one mask, and thin parts may be missing.
- A mask says which class, not which object: two dogs are one region.
- It is as good, and as biased, as its training images. Measure it on yours before you rely on it: `tag2mask.evaluate`
  compares masks with ground truth, and gives an interval where only a few dozen images have any.
"""

_USE = """\
## Use

```sh
pip install 'tag2mask[train,hub]'
```

```python
from tag2mask import Segmenter

segmenter = Segmenter.from_pretrained("{name}")
segmenter.predict("street.jpg").save("street.png")  # a mask of class indices
segmenter.predict_folder("images", "masks")
```
"""


def model_card(
    name: str,
    classes: Sequence[str],
    config: Config,
    *,
    tags: Mapping[str, Sequence[str]] | None = None,
    scores: Mapping[str, Any] | None = None,
    masks_score: Mapping[str, Any] | None = None,
    verdict: Mapping[str, Any] | None = None,
    description: str = "",
    licence: str | None = None,
) -> str:
    """Write the card as Markdown with the Hub's YAML header.

    Args:
        name: 'user/name' on the Hub.
        classes: names, without background.
        config: the configuration of the run, which says where the backbones' weights came from.
        tags: the tags of each training image; None: not known, so that the card counts none.
        scores: what `tag2mask evaluate` gives as JSON for the network's masks; None: not measured.
        masks_score: the same for the masks of the training images, as `result.json` has it; None: not measured.
        verdict: what `verdict.json` says of the run; None: there is none.
        description: what the images are and where they come from, in the owner's words.
        licence: of the weights, an identifier of the Hub's; None states none.
    """
    parts = [
        _header(name, scores, licence, config),
        f"# {name.split('/')[-1]}\n\nSemantic segmentation of {len(classes)} classes, learned with "
        f"tag2mask from {_supervision(config)}.\n",
        _USE.format(name=name),
        f"## Data and tags\n\n{description.strip() or 'The owner gave no description of the images.'}\n\n"
        f"{_class_table(classes, tags)}",
        f"## Scores\n\n{_scores(scores, masks_score)}",
        *([] if verdict is None else [f"## Verdict\n\n{_verdict(classes, verdict, tags)}"]),
        f"## How it was trained\n\n{_training(config)}",
        f"## Backbone and licences\n\n{_backbones(config, licence)}",
        f"## Limits\n\n{_LIMITS}",
    ]
    return "\n".join(parts)


def _header(name: str, scores: Mapping[str, Any] | None, licence: str | None, config: Config) -> str:
    tree: dict[str, Any] = {"library_name": "tag2mask", "pipeline_tag": "image-segmentation"}
    bases = [base for one, weights in config.model.backbone_weights() if weights == "hub" and (base := _timm(one)[0])]
    if bases:
        tree["base_model"] = bases
    tree["tags"] = ["weakly-supervised", "semantic-segmentation", "image-tags"]
    if licence:
        tree["license"] = licence
    if scores is not None:
        result = {
            "task": {"type": "image-segmentation"},
            "dataset": {"name": "the owner's evaluation images", "type": "private"},
            "metrics": [{"type": "mean_iou", "value": round(100 * float(scores["mIoU"]), 2), "name": "mIoU"}],
        }
        tree["model-index"] = [{"name": name.split("/")[-1], "results": [result]}]
    return f"---\n{yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)}---\n"


def _supervision(config: Config) -> str:
    return "image tags alone" if config.training.supervision == "tags" else "ground-truth masks"


def _class_table(classes: Sequence[str], tags: Mapping[str, Sequence[str]] | None) -> str:
    if tags is None:
        rows = [f"| {index} | {_cell(name)} |" for index, name in enumerate(classes, start=1)]
        return "\n".join(["| class index | class |", "|---|---|", *rows, ""])
    counts = Counter(name for present in tags.values() for name in present)
    rows = [f"| {index} | {_cell(name)} | {counts[name]} |" for index, name in enumerate(classes, start=1)]
    head = ["| class index | class | images tagged with it |", "|---|---|---|"]
    return "\n".join([f"{len(tags)} training images.", "", *head, *rows, ""])


def _verdict(classes: Sequence[str], verdict: Mapping[str, Any], tags: Mapping[str, Sequence[str]] | None) -> str:
    """The verdict without names of images, and what held-out images say of each class."""
    reason = str(verdict["reason"])
    named = any(name in reason for name in tags or ())
    lines = [
        f"tag2mask's own judgement of the run, from its tags and masks: **{verdict['overall']}**"
        + (".\n" if named else f" ({reason}).\n")
    ]
    rows = []
    for name in classes:
        found = verdict["classes"].get(name, {})
        auc = found.get("numbers", {}).get("auc")
        rows.append(f"| {_cell(name)} | {found.get('overall', '')} | {'' if auc is None else f'{auc:.2f}'} |")
    return "\n".join([*lines, "| class | verdict | AUC of held-out recognition |", "|---|---|---|", *rows, ""])


def _timm(name: str) -> tuple[str, str]:
    """The repository of timm's weights of a backbone and their licence; empty where timm does not say."""
    try:
        found = timm.get_pretrained_cfg(name)
    except Exception:  # timm raises several kinds for tags that it does not know
        found = None
    return ("", "") if found is None else (found.hf_hub_id or "", found.license or "")


def _backbones(config: Config, licence: str | None) -> str:
    lines = [f"- {_backbone(name, weights)}" for name, weights in config.model.backbone_weights()]
    own = f"the owner gives them under `{licence}`." if licence else "the owner states none."
    return "\n".join(
        [
            f"Licence of these weights: {own} They hold those of the backbone, "
            f"{'unchanged' if config.model.frozen else 'trained further'}, whose licence applies too:\n",
            *lines,
            "",
        ]
    )


def _backbone(name: str, weights: str) -> str:
    """Where a backbone and its weights come from, and under which licence."""
    if is_plugin(name):
        return f"`{name}` of the Python package {package_of(name)}, which is needed to load it, under its licence"
    if not timm.is_model(name):
        return f"`{name}` of a Python package, which is needed to load it, under its licence"
    repository, licence = _timm(name)
    terms = f"licence `{licence}`" if licence else "timm states no licence"
    if weights == "none":
        return f"`{name}` of timm, begun with random weights or from a file that this repository does not name"
    if weights == "package":
        return f"`{name}` of timm, weights of the extra `tag2mask[weights]`, licence `apache-2.0`"
    if weights == "hub":
        return (
            f"`{name}` of timm, weights {f'[{repository}](https://hf.co/{repository})' if repository else ''}, {terms}"
        )
    return f"`{name}` of timm, weights from a file of the owner; timm's own weights of this name: {terms}"


def _scores(scores: Mapping[str, Any] | None, masks_score: Mapping[str, Any] | None) -> str:
    of_masks = (
        ""
        if masks_score is None
        else f"Masks of training images, their tags given: mIoU {100 * float(masks_score['mIoU']):.1f} over "
        f"{masks_score['images']} images with ground truth.\n"
    )
    if scores is None:
        return of_masks + (
            "The network without tags: not measured.\n" if of_masks else "Not measured: there was no ground truth.\n"
        )
    return of_masks + ("\n" if of_masks else "") + _score_table(scores)


def _score_table(scores: Mapping[str, Any]) -> str:
    rows = [
        f"| {_cell(name)} | {'none' if value is None else f'{100 * value:.1f}'} |"
        for name, value in scores["IoU"].items()
    ]
    head = (
        f"mIoU {100 * float(scores['mIoU']):.1f} over {scores['images']} images with ground truth, background included"
    )
    interval = scores.get("mIoU_interval")
    if interval:
        low, high, confidence = (100 * interval[key] for key in ("low", "high", "confidence"))
        head += f" ({confidence:.0f} % interval {low:.1f} to {high:.1f})"
    return "\n".join([f"{head}. IoU times 100:", "", "| class | IoU |", "|---|---|", *rows, ""])


def _training(config: Config) -> str:
    model, training = config.model, config.training
    lines = [
        f"- backbone `{model.backbone}`; long side {config.data.image_size}",
        f"- {training.epochs or f'about {training.samples} images in all'}"
        f"{' epochs' if training.epochs else ''}, batches of {training.batch_size}, "
        f"learning rate {training.learning_rate:g}, seed {training.seed}",
        f"- background of the masks: `{config.paper.background}`; prediction at scales "
        f"{', '.join(f'{scale:g}' for scale in config.prediction.scales)}"
        f"{' with the horizontal flip' if config.prediction.flip else ''}, "
        f"{'with' if config.prediction.crf.enabled else 'without'} a dense CRF",
        "- every setting is in `model.yaml`",
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
