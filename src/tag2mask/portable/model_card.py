"""The model card: what a network is, what it learned from, how good it is, what it cannot do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from tag2mask.config.schema import Config

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
    description: str = "",
    licence: str | None = None,
) -> str:
    """Write the card as Markdown with the Hub's YAML header.

    Args:
        name: 'user/name' on the Hub.
        classes: names, without background.
        config: the configuration of the run.
        tags: the tags of each training image; None: not known, so that the card counts none.
        scores: what `tag2mask evaluate` gives as JSON for the network's masks; None: not measured.
        description: what the images are and where they come from, in the owner's words.
        licence: of the weights, an identifier of the Hub's; None states none.
    """
    parts = [
        _header(name, scores, licence),
        f"# {name.split('/')[-1]}\n\nSemantic segmentation of {len(classes)} classes, learned with "
        f"tag2mask from {_supervision(config)}.\n",
        _USE.format(name=name),
        f"## Data and tags\n\n{description.strip() or 'The owner gave no description of the images.'}\n\n"
        f"{_class_table(classes, tags)}",
        f"## Scores\n\n{_scores(scores)}",
        f"## How it was trained\n\n{_training(config)}",
        f"## Limits\n\n{_LIMITS}",
    ]
    return "\n".join(parts)


def _header(name: str, scores: Mapping[str, Any] | None, licence: str | None) -> str:
    tree: dict[str, Any] = {"library_name": "tag2mask", "pipeline_tag": "image-segmentation"}
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


def _scores(scores: Mapping[str, Any] | None) -> str:
    if scores is None:
        return "Not measured: there was no ground truth.\n"
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
