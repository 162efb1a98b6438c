"""Our first masks and our network beside the class maps of `grad-cam` and `torchcam`, of the same fitted classifier.

    python benchmarks/bench_peers.py voc_animals steel_defects --bench DIR --weights FOLDER [--backbone NAME]
        [--limit 200] [--run voc_animals=RUN]

Fits the tag classifier on the pretrained backbone to the tags of `train` (--fit images), then makes masks of the first
--limit of them, tags given, before any training. The peers' maps, each scaled to [0, 1], are cut at the threshold of
0.05 to 0.95 that scores best on these very images, which favours them; with pydensecrf (labels with probability 0.7, as
in IRNet, arXiv:1904.05044) at the best of three around it. Ours measures its threshold from the tags. A row: mIoU at
the images' size, and seconds an image, decoding included; fitting, and measuring our threshold, come once and do not
count. `--run` adds a trained network, tags given too. `--first` takes our first masks from a run that `tag2mask train
--first-masks` left, e.g. of frozen backbones, in place of those of the peers' own network.

Needs `pip install pydensecrf2 grad-cam torchcam`; what is not there is left out, and said. Last line: `ours 56.3 best
peer 41.0`, of the dataset where they are nearest; the exit status is 1 where less than 10 lie between.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from peer_maps import Explain, Make, Maps, TagClassifier, peers, resized, with_crf
from tag2mask.cli.common import parse_settings
from tag2mask.config.schema import Config
from tag2mask.core.constants import Tag
from tag2mask.data import Dataset
from tag2mask.evaluation.metrics import confusion_matrix, mean_iou
from tag2mask.images.decode import read_image
from tag2mask.images.resize import resize_image, scaled_size
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.inference.segmenter import Segmenter
from tag2mask.masks import read_mask
from tag2mask.models.backbone import load_backbone_weights
from tag2mask.models.inputs import network_input
from tag2mask.models.network import TagSegmenter
from tag2mask.training.probe import start_classifier
from tag2mask.training.pseudo_masks import PseudoMaskFiles

APART = 10.0
"""Points of mIoU that our first masks should be above the best peer."""

THRESHOLDS = tuple(np.arange(0.05, 0.96, 0.05).round(2).tolist())
CRF_STEP = 2  # thresholds tried with the CRF lie so many steps beside the best one

Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Row:
    """A line of the table: a way to masks, its mIoU in percent, seconds an image, and the threshold if it has one."""

    name: str
    miou: float
    seconds: float
    threshold: float | None = None

    def __str__(self) -> str:
        cut = "" if self.threshold is None else f"  threshold {self.threshold:.2f}"
        return f"{self.name:<52}{self.miou:>6.1f}{self.seconds:>9.2f} s{cut}"


def main() -> int:
    args = _arguments()
    runs, firsts = (dict(text.split("=", 1) for text in given or []) for given in (args.run, args.first))
    results = []
    for name in args.names:
        folder = args.bench / name
        if not folder.is_dir():
            print(f"skipped: {folder} is not here; give --bench")
            continue
        results.append(compare(folder, args, runs.get(name), firsts.get(name)))
        print(_verdict(*results[-1]) + "\n", flush=True)
    if not results:
        return 0
    ours, peer = min(results, key=lambda pair: pair[0] - pair[1])
    print(_verdict(ours, peer))
    return int(ours - peer < APART)


def _verdict(ours: float, peer: float) -> str:
    return f"ours {ours:.1f} best peer {peer:.1f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", help="folders of datasets inside --bench, each with train and classes.txt")
    parser.add_argument("--bench", type=Path, required=True)
    parser.add_argument("--weights", required=True, help="folder with a file of the backbone, file, 'hub' or 'package'")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--fit", type=int, default=800, help="fit the classifier to so many images of train")
    parser.add_argument("--limit", type=int, default=200, help="score the first so many of them")
    parser.add_argument(
        "--peer", action="append", help="methods whose name holds this; repeatable; default: quick ones"
    )
    parser.add_argument("--set", action="append", help="any setting of ours, name=value; repeatable")
    parser.add_argument("--first", action="append", help="dataset=RUN of `tag2mask train --first-masks`; repeatable")
    parser.add_argument("--run", action="append", help="dataset=RUN, a trained network; repeatable")
    return parser.parse_args()


def compare(folder: Path, args: argparse.Namespace, run: str | None, first: str | None) -> tuple[float, float]:
    """Print the rows of a dataset; mIoU of our first masks and of the best peer, in percent."""
    config = Config().override(
        {"model.weights": args.weights, "model.backbone": args.backbone, **parse_settings(args.set or [])}
    )
    train = Dataset.load(
        folder / "train" / "images",
        folder / "train" / "tags.csv",
        masks=folder / "train" / "masks",
        classes=folder / "classes.txt",
    ).subset(first=args.fit)
    started = time.perf_counter()
    network = TagSegmenter(config, len(train.classes))  # the peers need a classifier with gradients
    load_backbone_weights(network.backbone, config.model.weights)
    backend = TorchBackend(network, train.classes, config, device="cpu")
    start_classifier(backend, train, read_image)
    spent = time.perf_counter() - started
    scored = train.subset([k for k, record in enumerate(train.records[: args.limit]) if record.gt_mask is not None])
    print(
        f"{folder.name}: {config.model.backbone} at {config.data.image_size} pixels, classifier fitted to {len(train)} "
        f"images in {spent:.0f} s, masks of {len(scored)}\n{'':<52}{'mIoU':>6}{'an image':>11}",
        flush=True,
    )
    if first is None:
        rows = [first_masks(backend, train, scored, crf=crf) for crf in (False, True)]
    else:
        rows = [network_of(first, scored, "first masks")]
    _show(*rows)
    if run is not None:
        _show(network_of(run, scored, "network"))
    best = [max(_peer_rows(*one, network, config, scored), key=lambda row: row.miou) for one in peers(args.peer)]
    if not best:
        raise SystemExit("neither grad-cam nor torchcam can be imported: pip install grad-cam torchcam")
    return rows[-1].miou, max(row.miou for row in best)


def first_masks(backend: TorchBackend, train: Dataset, scored: Dataset, *, crf: bool) -> Row:
    """Our masks before any training: those that training starts from, with the threshold measured on `train`."""
    config = backend.config if crf else backend.config.override({"masks.crf.enabled": False})
    backend = TorchBackend(backend.network, backend.classes, config, device="cpu")
    if config.masks.soft_threshold == "auto":
        measured = PseudoMaskFiles(train, Path()).measure(backend)
        assert measured is not None, "no image of `train` has a tag"
        config = config.with_threshold(measured.threshold, measured.spread)
        backend = TorchBackend(backend.network, backend.classes, config, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        files = PseudoMaskFiles(scored, Path(folder))
        started = time.perf_counter()
        files.write(backend, teacher_weight=0.0)
        spent = time.perf_counter() - started
        masks = (read_mask(files.path(index)) for index in range(len(scored)))
        # A mask that is 255 all over (none was found) counts as background.
        miou = _score((np.where(mask == 255, 0, mask).astype(np.uint8) for mask in masks), scored)
    cut = config.masks.soft_threshold
    name = f"tag2mask, first masks{'' if crf else ' without CRF'}"
    return Row(name, miou, spent / len(scored), cut if isinstance(cut, float) else None)


def network_of(run: str, scored: Dataset, what: str) -> Row:
    """The masks of a run, trained or stopped at its first masks, tags given."""
    segmenter = Segmenter.from_pretrained(run, device="cpu")
    started = time.perf_counter()
    masks = [one.mask for one in segmenter.predict_many((record.path, record) for record in scored.records)]
    spent = time.perf_counter() - started
    return Row(f"tag2mask, {what} of {run}", _score(iter(masks), scored), spent / len(scored))


def _peer_rows(
    name: str,
    make: Make,
    network: TagSegmenter,
    config: Config,
    scored: Dataset,
) -> list[Row]:
    """The rows of one method, printed: without and with pydensecrf."""
    model = TagClassifier(deepcopy(network)).eval()  # the packages leave hooks behind
    explain = make(model, config.data.image_size)
    if explain is None:
        print(f"{name}: left out, no layer of {config.model.backbone} gives a stage's features")
        return [Row(name, 0.0, 0.0)]
    started = time.perf_counter()
    seen = [_explained(explain, model, config, path, tags) for path, tags in _tagged(scored)]
    spent = (time.perf_counter() - started) / len(scored)
    scores = _scores(seen, scored, THRESHOLDS, crf=False)
    best = max(THRESHOLDS, key=lambda threshold: scores[threshold])
    rows = [Row(name, scores[best], spent, best)]
    _show(rows[0])
    try:
        import pydensecrf.densecrf  # noqa: F401
    except ImportError as error:
        print(f"pydensecrf left out: {error}")
        return rows
    middle = THRESHOLDS.index(best)
    near = [THRESHOLDS[k] for k in (middle - CRF_STEP, middle, middle + CRF_STEP) if 0 <= k < len(THRESHOLDS)]
    started = time.perf_counter()
    scores = _scores(seen, scored, near, crf=True)
    crf_spent = (time.perf_counter() - started) / len(scored) / len(near)
    best = max(near, key=lambda threshold: scores[threshold])
    rows.append(Row(f"{name} + pydensecrf", scores[best], spent + crf_spent, best))
    _show(rows[1])
    return rows


def _tagged(dataset: Dataset) -> Iterator[tuple[Path, list[int]]]:
    """File and positions of the present classes of each image."""
    for record, tags in zip(dataset.records, dataset.tags(), strict=True):
        yield record.path, np.flatnonzero(tags == Tag.PRESENT).tolist()


def _explained(explain: Explain, model: TagClassifier, config: Config, path: Path, positions: list[int]) -> Maps:
    """Maps (K, h, w) of one image, at the size at which the network sees it."""
    image = read_image(path)
    size = scaled_size((image.shape[0], image.shape[1]), config.data.image_size, multiple=32)
    if not positions:
        return np.empty((0, *size), np.float32)
    pixels = torch.from_numpy(resize_image(image, size)[None].copy()).permute(0, 3, 1, 2)
    return explain(network_input(pixels, model.backbone.preprocessing), positions)


def _scores(seen: list[Maps], scored: Dataset, thresholds: Sequence[float], *, crf: bool) -> dict[float, float]:
    """mIoU in percent of the masks at each threshold."""
    size = len(scored.classes) + 1
    totals = {threshold: np.zeros((size, size), np.int64) for threshold in thresholds}
    for maps, record, (path, positions) in zip(seen, scored.records, _tagged(scored), strict=True):
        assert record.gt_mask is not None
        target = read_mask(record.gt_mask)
        indices = np.array([0, *(position + 1 for position in positions)])
        large = resized(maps, (target.shape[0], target.shape[1]))
        highest, best = large.max(axis=0, initial=0), large.argmax(axis=0) + 1 if positions else np.zeros_like(target)
        image = read_image(path) if crf else None
        for threshold, total in totals.items():
            labels = np.where(highest > threshold, best, 0)
            if image is not None and positions:
                labels = with_crf(image, labels, len(positions) + 1)
            total += confusion_matrix(indices[labels], target, size)
    return {threshold: 100 * mean_iou(total) for threshold, total in totals.items()}


def _score(masks: Iterator[Mask], scored: Dataset) -> float:
    """mIoU in percent of masks of any size, enlarged to that of the ground truth."""
    size = len(scored.classes) + 1
    total = np.zeros((size, size), np.int64)
    for mask, record in zip(masks, scored.records, strict=True):
        assert record.gt_mask is not None
        target = read_mask(record.gt_mask)
        large = cv2.resize(mask, (target.shape[1], target.shape[0]), interpolation=cv2.INTER_NEAREST)
        total += confusion_matrix(np.asarray(large, np.uint8), target, size)
    return 100 * mean_iou(total)


def _show(*rows: Row) -> None:
    for row in rows:
        print(row, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
