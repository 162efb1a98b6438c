"""Train the demo's backbone on the pretraining task, and write its weights into the package.

    python benchmarks/pretrain_demo.py            # about 20 minutes on two CPU cores
    python benchmarks/pretrain_demo.py --probe    # only compare pretrained with random weights

The task (`tag2mask.demo.pretraining`) has 96 classes, none of which is in the demo. Equal seeds give equal weights on
equal processors. The linear probe compares pretrained and random weights: it trains a linear classifier of tags on
frozen features of the demo's scenes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.nn import functional as F

from tag2mask.core.files import atomic_path
from tag2mask.demo import BACKBONE, CLASSES, IMAGE_MEAN, IMAGE_STD, demo_weights, make_scene
from tag2mask.demo.pretraining import CLASS_NAMES, SHAPES, TEXTURES, make_recognition_image
from tag2mask.method.class_maps import class_maps
from tag2mask.method.foreground_prior import foreground_prior

SIZE = (112, 112)
"""(height, width) of the rendered images; training uses random crops of `CROP` x `CROP` pixels."""

CROP = 96
PROBE_SIZE = (128, 128)
OUTPUT_STRIDE = 16
"""Of the backbone in training and in the probe."""

TRAIN, VAL = 0, 1
PROCESSES = 2
Images = NDArray[np.uint8]


SHAPE_NAMES, TEXTURE_NAMES = sorted(SHAPES), sorted(TEXTURES)
TARGETS = torch.tensor(
    [
        (number, SHAPE_NAMES.index(name.split("/")[0]), TEXTURE_NAMES.index(name.split("/")[1]))
        for number, name in enumerate(CLASS_NAMES)
    ]
)
"""int64 (96, 3): index of the class, of its shape and of its texture."""


class Recogniser(nn.Module):
    """Backbone, global average pooling and linear classifiers of the class, its shape and its texture."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = make_backbone()
        info: Any = self.backbone.feature_info
        sizes = (len(CLASS_NAMES), len(SHAPE_NAMES), len(TEXTURE_NAMES))
        self.classifiers = nn.ModuleList(nn.Linear(info.channels()[-1], size) for size in sizes)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map normalised images (B, 3, H, W) to logits (B, 96), (B, 24) and (B, 12)."""
        features: Tensor = self.backbone(images)[-1]
        pooled = features.float().mean(dim=(2, 3))
        return [classifier(pooled) for classifier in self.classifiers]


def make_backbone(weights: dict[str, Tensor] | None = None) -> nn.Module:
    network: nn.Module = timm.create_model(BACKBONE, pretrained=False, features_only=True, output_stride=OUTPUT_STRIDE)
    if weights is not None:
        own = network.state_dict()
        network.load_state_dict({name: tensor.to(own[name].dtype) for name, tensor in weights.items()})
    return network.to(memory_format=torch.channels_last)


def normalise(images: Tensor) -> Tensor:
    """Normalise uint8 (B, 3, H, W) for the backbone."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGE_MEAN, IMAGE_STD))
    return ((images.float() / 255.0 - mean) / std).contiguous(memory_format=torch.channels_last)


# Images.


def render(job: tuple[int, int, int]) -> Images:
    """Render image `index` of a split for a seed; its class is `index` modulo the number of classes."""
    seed, split, index = job
    return make_recognition_image(np.random.default_rng((seed, split, index)), index % len(CLASS_NAMES), SIZE)


def render_split(seed: int, split: int, per_class: int, processes: int) -> tuple[Tensor, Tensor]:
    """Images uint8 (N, 3, H, W) and class indices (N,) of a split."""
    count = per_class * len(CLASS_NAMES)
    jobs = [(seed, split, index) for index in range(count)]
    images = np.empty((count, *SIZE, 3), np.uint8)
    with ProcessPoolExecutor(processes) as pool:
        for index, image in enumerate(pool.map(render, jobs, chunksize=64)):
            images[index] = image
    return torch.from_numpy(images).permute(0, 3, 1, 2), torch.arange(count) % len(CLASS_NAMES)


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Random crops, horizontal flips, colour changes and hidden patches of normalised images.

    (B, 3, H, W) -> (B, 3, CROP, CROP).
    """
    count, _, height, width = images.shape
    tops = torch.randint(height - CROP + 1, (count,), generator=generator).tolist()
    lefts = torch.randint(width - CROP + 1, (count,), generator=generator).tolist()
    flips = (torch.rand(count, generator=generator) < 0.5).tolist()
    crops = [
        image[:, top : top + CROP, left : left + CROP].flip(2 if flip else ())
        for image, top, left, flip in zip(images, tops, lefts, flips, strict=True)
    ]
    gain = torch.rand(count, 3, 1, 1, generator=generator) * 0.5 + 0.75
    offset = torch.rand(count, 1, 1, 1, generator=generator) * 0.3 - 0.15
    hidden = (torch.rand(count, 1, 4, 4, generator=generator) < 0.08).float()
    seen = 1.0 - F.interpolate(hidden, (CROP, CROP), mode="nearest")
    return ((torch.stack(crops) * gain + offset) * seen).contiguous(memory_format=torch.channels_last)


# Training.


def batches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    order = torch.randperm(count, generator=generator)
    yield from torch.split(order[: count - count % size], size)


def train(
    model: Recogniser, images: Tensor, target: Tensor, *, epochs: int, batch: int, rate: float, seed: int
) -> Iterator[tuple[int, float]]:
    """Train in place; yield the number and the mean loss of each epoch."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.02)
    steps = epochs * (len(images) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.15)
    for epoch in range(epochs):
        model.train()
        losses: list[float] = []
        for chosen in batches(len(images), batch, generator):
            inputs = augment(normalise(images[chosen]), generator)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model(inputs)
            wanted = TARGETS[target[chosen]].unbind(dim=1)
            loss = torch.stack([F.cross_entropy(*pair) for pair in zip(logits, wanted, strict=True)]).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        yield epoch, float(np.mean(losses))


@torch.no_grad()
def accuracy(model: Recogniser, images: Tensor, target: Tensor) -> float:
    model.eval()
    preds = torch.cat([model(normalise(chunk))[0].argmax(dim=1) for chunk in torch.split(images, 64)])
    return 100.0 * float((preds == target).double().mean())


def save(model: Recogniser, path: Path, facts: dict[str, object]) -> None:
    """Write the backbone as float16 with timm's parameter names, and `facts` as metadata."""
    halves = {
        name: tensor.half().contiguous() if tensor.is_floating_point() else tensor.contiguous()
        for name, tensor in model.backbone.state_dict().items()
    }
    text = {name: value if isinstance(value, str) else json.dumps(value) for name, value in facts.items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(to_bytes(halves, metadata={"format": "pt", **text}))


# Linear probe: how well frozen features separate the demo's classes, which are not in the pretraining task.


class Probe(NamedTuple):
    """Scores in percent on the validation scenes: mAP of the tags, mIoU of the CAMs, AUC of the foreground prior."""

    tag_map: float
    cam_miou: float
    prior_auc: float


class Scenes(NamedTuple):
    """Demo scenes of one size: images uint8 (N, 3, H, W), tags bool (N, C), gt_masks uint8 (N, H, W)."""

    images: Tensor
    tags: Tensor
    gt_masks: Tensor


def render_scenes(seed: int, count: int) -> Scenes:
    scenes = [make_scene(np.random.default_rng((seed, index)), size=PROBE_SIZE) for index in range(count)]
    return Scenes(
        torch.stack([torch.from_numpy(scene.image).permute(2, 0, 1) for scene in scenes]),
        torch.tensor([[name in scene.tags for name in CLASSES] for scene in scenes]),
        torch.stack([torch.from_numpy(scene.gt_mask) for scene in scenes]),
    )


@torch.no_grad()
def features_of(network: nn.Module, images: Tensor) -> list[Tensor]:
    """Features of every stage, [(N, C_i, H_i, W_i)], of a network in evaluation mode."""
    network.eval()
    parts = [network(normalise(chunk)) for chunk in torch.split(images, 50)]
    return [torch.cat(stage) for stage in zip(*parts, strict=True)]


def fit_tags(pooled: Tensor, tags: Tensor) -> nn.Linear:
    """Fit a linear classifier of tags (N, C) on standardised pooled features (N, D)."""
    torch.manual_seed(0)
    layer = nn.Linear(pooled.shape[1], tags.shape[1])
    optimiser = torch.optim.AdamW(layer.parameters(), lr=0.02, weight_decay=0.05)
    for _ in range(400):
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(layer(pooled), tags.float()).backward()
        optimiser.step()
    return layer


def probe(network: nn.Module, train_scenes: Scenes, val_scenes: Scenes) -> Probe:
    """Scores of a linear classifier of tags on the frozen network (see `Probe`)."""
    pooled = features_of(network, train_scenes.images)[-1].mean(dim=(2, 3))
    mean, std = pooled.mean(dim=0), pooled.std(dim=0) + 1e-6
    layer = fit_tags((pooled - mean) / std, train_scenes.tags)
    stages = features_of(network, val_scenes.images)
    with torch.no_grad():
        standard = (stages[-1] - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1)
        cams = F.conv2d(standard, layer.weight[:, :, None, None])
        scores = layer(standard.mean(dim=(2, 3)))
    maps, prior = class_maps_of(cams, val_scenes.tags), priors_of(stages[-2:])
    best = max(miou_of(maps, val_scenes.gt_masks, threshold) for threshold in np.arange(0.2, 0.8, 0.05))
    return Probe(mean_average_precision(scores, val_scenes.tags), best, area_under_roc(prior, val_scenes.gt_masks > 0))


def class_maps_of(cams: Tensor, tags: Tensor) -> Tensor:
    """Class maps (N, C, H, W) in [0, 1] from class activation maps (N, C, h, w); 0 for absent classes."""
    maps = torch.zeros(*cams.shape[:2], *PROBE_SIZE)
    for index, present in enumerate(tags):
        scaled = class_maps(cams[index, present].numpy(), PROBE_SIZE, scaling="min_max")
        maps[index, present] = torch.from_numpy(scaled)
    return maps


def priors_of(layers: list[Tensor]) -> Tensor:
    """Foreground priors (N, H, W) in [0, 1] from feature layers [(N, C_i, h_i, w_i)]."""
    energies = [layer.abs().sum(dim=1).numpy() for layer in layers]
    return torch.from_numpy(np.stack([foreground_prior(image, PROBE_SIZE) for image in zip(*energies, strict=True)]))


def miou_of(maps: Tensor, masks: Tensor, threshold: float) -> float:
    """mIoU in percent of class maps (N, C, H, W), with background where all are below `threshold`."""
    scores = torch.cat([torch.full_like(maps[:, :1], threshold), maps], dim=1)
    count = scores.shape[1]
    matrix = torch.bincount((masks.long() * count + scores.argmax(dim=1)).flatten(), minlength=count**2)
    matrix = matrix.view(count, count).double()
    hits = matrix.diag()
    return float(100.0 * (hits / (matrix.sum(0) + matrix.sum(1) - hits)).mean())


def mean_average_precision(scores: Tensor, tags: Tensor) -> float:
    """Mean over the classes of the average precision, in percent."""
    values = []
    for column in range(tags.shape[1]):
        hits = tags[scores[:, column].argsort(descending=True), column].double()
        precision = hits.cumsum(0) / torch.arange(1, len(hits) + 1)
        values.append(float((precision * hits).sum() / hits.sum()))
    return 100.0 * float(np.mean(values))


def area_under_roc(values: Tensor, positive: Tensor) -> float:
    """Area under the ROC curve in percent: how often a positive pixel has a higher value than a negative one."""
    ranks = values.flatten().argsort().argsort().double() + 1.0
    chosen = positive.flatten()
    hits, misses = int(chosen.sum()), int((~chosen).sum())
    return 100.0 * (float(ranks[chosen].sum()) - hits * (hits + 1) / 2.0) / (hits * misses)


def random_backbone(scenes: Scenes) -> nn.Module:
    """Make a random network whose batch normalisation has the statistics of these scenes."""
    torch.manual_seed(0)
    network = make_backbone()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # cumulative average
    with torch.no_grad():
        network.train()(normalise(scenes.images[:100]))
    return network


def print_probe(weights: Path, *, train_count: int, val_count: int) -> None:
    train_scenes, val_scenes = render_scenes(101, train_count), render_scenes(202, val_count)
    print(f"linear probe: frozen backbone, trained on {train_count} demo scenes, evaluated on {val_count}")
    print(f"{'backbone':<12}{'tag mAP':>9}{'CAM mIoU':>10}{'prior AUC':>11}")
    for name, network in (("random", random_backbone(train_scenes)), ("pretrained", make_backbone(load_file(weights)))):
        figures = probe(network, train_scenes, val_scenes)
        print(f"{name:<12}{figures.tag_map:>9.1f}{figures.cam_miou:>10.1f}{figures.prior_auc:>11.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=demo_weights())
    parser.add_argument("--probe", action="store_true", help="only compare the weights at --out with random weights")
    parser.add_argument("--per-class", type=int, default=120, help="training images per class")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="threads of the training; rendering uses two processes")
    parser.add_argument("--cache", type=Path, help="store the rendered images in this .npz file for later runs")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.probe:
        pretrain(options)
    print_probe(options.out, train_count=200, val_count=100)


def rendered(options: argparse.Namespace) -> tuple[Tensor, ...]:
    """Training images, their class indices, validation images, their class indices."""
    if options.cache is not None and options.cache.is_file():
        with np.load(options.cache) as file:
            return tuple(torch.from_numpy(file[name]) for name in file.files)
    parts = (
        *render_split(options.seed, TRAIN, options.per_class, PROCESSES),
        *render_split(options.seed, VAL, 10, PROCESSES),
    )
    if options.cache is not None:
        np.savez(options.cache, *(part.numpy() for part in parts))
    return parts


def pretrain(options: argparse.Namespace) -> None:
    torch.manual_seed(options.seed)
    start = time.perf_counter()
    images, target, val_images, val_target = rendered(options)
    print(
        f"{len(images)} + {len(val_images)} images rendered in {time.perf_counter() - start:.0f} s",
        flush=True,
    )
    model = Recogniser()
    settings = {"epochs": options.epochs, "batch": options.batch, "rate": options.rate}
    for epoch, loss in train(model, images, target, seed=options.seed, **settings):
        percent = accuracy(model, val_images, val_target)
        seconds = time.perf_counter() - start
        print(
            f"epoch {epoch + 1:2d}  loss {loss:.3f}  val accuracy {percent:.1f} %  {seconds:.0f} s",
            flush=True,
        )
    facts: dict[str, object] = {
        "name": BACKBONE,
        "mean": IMAGE_MEAN,
        "std": IMAGE_STD,
        "classes": CLASS_NAMES,
        "script": "benchmarks/pretrain_demo.py",
        "seed": options.seed,
        "settings": {
            **settings,
            "per_class": options.per_class,
            "size": SIZE,
            "output_stride": OUTPUT_STRIDE,
        },
        "val_accuracy": round(percent, 1),
    }
    save(model, options.out, facts)
    print(f"{options.out.name}: {options.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
