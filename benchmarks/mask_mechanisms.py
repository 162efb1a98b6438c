"""Mechanisms of the field that were tried on first masks and are no part of the product; rows of bench_frozen_masks.py.

Each takes the outputs of the heads on the kept features of a dataset and changes them, or takes the place of the CRF.
Names and descriptions follow the papers; see docs/lab-log.md for what each brought.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tag2mask.config.schema import Config
from tag2mask.core.constants import Tag
from tag2mask.data import Dataset
from tag2mask.images.decode import read_image
from tag2mask.images.resize import resize_image
from tag2mask.method.affinity import Affinity
from tag2mask.method.class_scores import class_scores
from tag2mask.method.output import Array, NetworkOutput
from tag2mask.method.resize import resize_maps
from tag2mask.method.scaling import min_max
from tag2mask.models import FrozenSegmenter
from tag2mask.models.backbones.attention import attention_layers
from tag2mask.models.inputs import network_input
from tag2mask.training.feature_files import FeatureStore

Change = Callable[[int, NetworkOutput], NetworkOutput]
"""From the position of an image and the network's output on it to another output."""

CPU = torch.device("cpu")
_SIDE = 24  # patches along the long side of an affinity where attention gives none
_SURE = 0.7  # class score from which a pixel is taken for its class


@dataclass(frozen=True)
class Scene:
    """A dataset with its kept features, and the heads' output on each image before any mechanism."""

    dataset: Dataset
    config: Config
    network: FrozenSegmenter
    store: FeatureStore
    seen: Callable[[int], NetworkOutput]

    def features(self, index: int) -> Tensor:
        """Features (D, h, w) that tell classes apart best: fine ones of surfaces, deep ones of objects."""
        fine = self.store.differences(index)
        return self.store.maps(index) if fine is None else fine

    def scores(self, index: int, size: tuple[int, int]) -> tuple[Array, NDArray[np.intp]]:
        """Class scores (K + 1, *size) of the present classes, and their positions."""
        present = np.flatnonzero(self.dataset.tags()[index] == Tag.PRESENT)
        return class_scores(self.seen(index), present, size, self.config.masks, self.config.paper).scores, present


def class_distribution(scene: Scene) -> Change:
    """Affinity falls with the Jensen-Shannon divergence of two pixels' class distributions (CD-CLIP)."""

    def change(index: int, output: NetworkOutput) -> NetworkOutput:
        grid = _grid(output)
        found, _ = scene.scores(index, grid)
        flat = found.reshape(len(found), -1).T.astype(np.float64) + 1e-6
        flat /= flat.sum(axis=1, keepdims=True)
        entropy = -(flat * np.log(flat)).sum(axis=1)
        middle = (flat[:, None] + flat[None]) / 2
        divergence = -(middle * np.log(middle)).sum(axis=2) - (entropy[:, None] + entropy[None]) / 2
        return _with_affinity(output, np.exp(-divergence / 0.1), grid)

    return change


def learned_affinity(scene: Scene) -> Change:
    """Affinity of an embedding that is trained to tell pixels of the first masks apart, same class or not (WeCLIP+)."""
    torch.manual_seed(scene.config.training.seed)
    count = len(scene.dataset.records)
    generator = np.random.default_rng(scene.config.training.seed)
    layer = torch.nn.Conv2d(len(scene.features(0)), 64, 1)
    scale = torch.nn.Parameter(torch.tensor([5.0, 0.0]))
    size = float(torch.stack([scene.features(index).std() for index in range(min(16, count))]).mean())
    optimiser = torch.optim.Adam([*layer.parameters(), scale], lr=1e-3)
    for _ in range(200):
        losses = []
        for index in generator.integers(0, count, 8).tolist():
            features = scene.features(index)
            scores, _ = scene.scores(index, (features.shape[1], features.shape[2]))
            sure = np.flatnonzero(scores.max(axis=0).ravel() > _SURE)
            if len(sure) < 8:
                continue
            chosen = torch.from_numpy(generator.choice(sure, min(200, len(sure)), replace=False))
            labels = torch.from_numpy(scores.argmax(axis=0).ravel())[chosen]
            points = F.normalize(layer(features[None] / size)[0].flatten(1)[:, chosen], dim=0)
            same = (labels[:, None] == labels[None]).float()
            weight = torch.where(same > 0, 0.5 / same.mean(), 0.5 / (1 - same.mean()).clamp_min(1e-3))
            losses.append(F.binary_cross_entropy_with_logits(scale[0] * (points.T @ points) + scale[1], same, weight))
        if losses:
            optimiser.zero_grad()
            torch.stack(losses).mean().backward()
            optimiser.step()

    def change(index: int, output: NetworkOutput) -> NetworkOutput:
        grid = _grid(output)
        with torch.no_grad():
            points = F.adaptive_avg_pool2d(layer(scene.features(index)[None] / size), grid)[0].flatten(1)
            points = F.normalize(points, dim=0)
            affinity = torch.sigmoid(scale[0] * (points.T @ points) + scale[1]).numpy()
        return _with_affinity(output, affinity, grid)

    return change


def prototypes(scene: Scene, each: int = 4) -> Change:
    """Class maps raised by the best cosine similarity with several prototypes a class, of its sure pixels (PBIP)."""
    found: list[list[Tensor]] = [[] for _ in scene.dataset.classes]
    for index in range(len(scene.dataset.records)):
        features = F.normalize(scene.features(index), dim=0)
        scores, present = scene.scores(index, (features.shape[1], features.shape[2]))
        for channel, position in enumerate(present):
            sure = torch.from_numpy(scores[channel + 1].ravel() > _SURE)
            found[position].append(features.flatten(1)[:, sure][:, ::4].T)
    centres = [_clusters(torch.cat(parts), each) if parts else None for parts in found]

    def change(index: int, output: NetworkOutput) -> NetworkOutput:
        features = F.normalize(scene.features(index), dim=0)
        maps = np.zeros((len(centres), *features.shape[1:]), np.float32)
        for position, centre in enumerate(centres):
            if centre is not None:
                likeness = (centre @ features.flatten(1)).amax(dim=0).reshape(features.shape[1:]).numpy()
                maps[position] = min_max(likeness)
        return _raised(output, maps)

    return change


def image_negatives(scene: Scene, clusters: int = 64) -> Change:
    """Class maps lowered where features lie in clusters that are as frequent in images without the class."""
    tags = scene.dataset.tags()
    pixels = [F.normalize(scene.features(index), dim=0).flatten(1).T for index in range(len(tags))]
    centres = _clusters(torch.cat([one[::16] for one in pixels]), clusters)
    shares = np.stack([np.bincount((one @ centres.T).argmax(dim=1), minlength=clusters) / len(one) for one in pixels])
    worth = np.ones((tags.shape[1], clusters), np.float32)
    for position in range(tags.shape[1]):
        present, absent = tags[:, position] == Tag.PRESENT, tags[:, position] == Tag.ABSENT
        if present.any() and absent.any():
            more, less = shares[present].mean(axis=0), shares[absent].mean(axis=0)
            worth[position] = np.clip((more - less) / np.maximum(more + less, 1e-9), 0, 1)

    def change(index: int, output: NetworkOutput) -> NetworkOutput:
        grid = scene.features(index).shape[1:]
        nearest = (pixels[index] @ centres.T).argmax(dim=1).numpy().reshape(grid)
        return _weighed(output, worth[:, nearest])

    return change


def head_weights(scene: Scene) -> Change:
    """Attention with one weight a head, learned from the tags by the largest values of the spread class maps (WeakTr).

    Networks without attention are left as they are.
    """
    backbone = next((one for one in scene.network.backbones if attention_layers(one.net)), None)
    if backbone is None:
        return lambda _, output: output
    blocks = attention_layers(backbone.net)[-6:]
    heads = [_heads(scene, index, blocks) for index in range(len(scene.dataset.records))]
    tags = torch.from_numpy(scene.dataset.tags())
    weights = torch.zeros(len(heads[0]), requires_grad=True)
    scale = torch.tensor([1.0, 0.0], requires_grad=True)
    optimiser = torch.optim.Adam([weights, scale], lr=0.03)
    generator = np.random.default_rng(scene.config.training.seed)
    for _ in range(150):
        losses = []
        for index in generator.integers(0, len(heads), 8).tolist():
            output = scene.seen(index)
            assert output.cams is not None
            cams = torch.from_numpy(resize_maps(output.cams, _grid(output))).flatten(1)
            mixed = torch.einsum("n,nij->ij", weights.softmax(0), heads[index].float())
            spread = cams @ mixed.T
            logits = scale[0] * spread.topk(max(1, spread.shape[1] // 20), dim=1).values.mean(dim=1) + scale[1]
            known = tags[index] != Tag.UNKNOWN
            losses.append(
                F.binary_cross_entropy_with_logits(logits[known], (tags[index] == Tag.PRESENT).float()[known])
            )
        optimiser.zero_grad()
        torch.stack(losses).mean().backward()
        optimiser.step()

    def change(index: int, output: NetworkOutput) -> NetworkOutput:
        with torch.no_grad():
            mixed = torch.einsum("n,nij->ij", weights.softmax(0), heads[index].float()).numpy()
        return replace(output, affinity=Affinity.whole(mixed.reshape(*_grid(output), -1)))

    return change


def par(image: NDArray[np.uint8], scores: Array, iterations: int = 20) -> Array:
    """Pixel-adaptive refinement in place of the CRF (AFA): 8 neighbours at six dilations, weights by colour."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float()[None] / 255
    offsets = [(dy, dx, d) for d in (1, 2, 4, 8, 12, 24) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]

    def around(values: Tensor) -> Tensor:
        padded = F.pad(values, (24, 24, 24, 24), mode="replicate")
        height, width = values.shape[-2:]
        parts = [
            padded[..., 24 + dy * d : 24 + dy * d + height, 24 + dx * d : 24 + dx * d + width] for dy, dx, d in offsets
        ]
        return torch.stack(parts, dim=2)

    neighbours = around(pixels)
    sigma = neighbours.std(dim=2, keepdim=True) + 1e-8
    colour = -(((neighbours - pixels[:, :, None]).abs() / sigma / 0.3) ** 2).mean(dim=1)
    distance = torch.tensor([-((d * (dy * dy + dx * dx) ** 0.5) ** 2) for dy, dx, d in offsets])
    spread = float(distance.abs().sqrt().std())
    near = (distance / (0.3 * spread) ** 2).softmax(dim=0)
    weights = colour.softmax(dim=1) + 0.01 * near[None, :, None, None]
    current = torch.from_numpy(scores).float()[None]
    for _ in range(iterations):
        current = (around(current) * weights[:, None]).sum(dim=2)
    refined: Array = (current / current.sum(dim=1, keepdim=True))[0].numpy()
    return refined


def _grid(output: NetworkOutput) -> tuple[int, int]:
    """Patches of the affinity of an output, or as many as one would have."""
    if output.affinity is not None:
        height, width, _ = output.affinity.blocks[0].matrix.shape
        return height, width
    source = output.contrast_prior if output.contrast_prior is not None else output.energies[-1]
    most = max(source.shape)
    return tuple(max(1, round(_SIDE * length / most)) for length in source.shape)


def _with_affinity(output: NetworkOutput, matrix: NDArray[np.floating], grid: tuple[int, int]) -> NetworkOutput:
    """An output whose affinity, 1 everywhere where there is none, is multiplied by a matrix (N, N) in [0, 1]."""
    if output.affinity is not None:
        matrix = matrix * output.affinity.blocks[0].matrix.reshape(matrix.shape)
    for _ in range(3):
        matrix = matrix / matrix.sum(axis=0, keepdims=True)
        matrix = matrix / matrix.sum(axis=1, keepdims=True)
    return replace(output, affinity=Affinity.whole(matrix.astype(np.float32).reshape(*grid, -1)))


def _raised(output: NetworkOutput, maps: Array) -> NetworkOutput:
    """An output whose class maps are, by half, other ones (C, h, w) in [0, 1]."""
    if output.contrast_logits is not None:
        return replace(output, contrast_logits=_half(output.contrast_logits, maps))
    assert output.cams is not None
    return replace(output, cams=_half(output.cams, maps))


def _half(own: Array, maps: Array) -> Array:
    other = resize_maps(maps, (own.shape[1], own.shape[2]))
    top = np.maximum(own.max(axis=(1, 2), keepdims=True), 1e-6)
    mixed: Array = own / 2 + other * top / 2
    return mixed


def _weighed(output: NetworkOutput, weights: Array) -> NetworkOutput:
    """An output whose class maps are multiplied by weights (C, h, w)."""
    if output.contrast_logits is not None:
        own = output.contrast_logits
        low = own.min(axis=(1, 2), keepdims=True)
        return replace(output, contrast_logits=low + (own - low) * resize_maps(weights, (own.shape[1], own.shape[2])))
    assert output.cams is not None
    own = output.cams
    return replace(output, cams=np.maximum(own, 0) * resize_maps(weights, (own.shape[1], own.shape[2])))


def _clusters(points: Tensor, count: int) -> Tensor:
    """Centres (count, D) of unit length by k-means on at most 20,000 of (N, D) points."""
    chosen = points[:: max(1, len(points) // 20_000)].numpy().astype(np.float32)
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 1e-4)
    count = min(count, len(chosen))
    _, _, centres = cv2.kmeans(chosen, count, np.empty(0, np.int32), criteria, 1, cv2.KMEANS_PP_CENTERS)
    return F.normalize(torch.from_numpy(centres), dim=1)


def _heads(scene: Scene, index: int, blocks: Sequence[torch.nn.Module]) -> Tensor:
    """Balanced attention (heads of all blocks, N, N) between the patches of one image, float16."""
    network = scene.network
    image = read_image(scene.dataset.records[index].path)
    seen = resize_image(image, scene.store.shapes[index].seen)
    records: list[Tensor] = []
    drops = [block.attn_drop for block in blocks]
    fused = [block.fused_attn for block in blocks]
    handles = [
        drop.register_forward_hook(lambda _, __, probs: records.append(probs))  # type: ignore[union-attr]
        for drop in drops
    ]
    try:
        for block in blocks:
            block.fused_attn = False  # type: ignore[assignment]
        with torch.no_grad():
            pixels = torch.from_numpy(np.ascontiguousarray(seen[None])).permute(0, 3, 1, 2)
            network.joined(network_input(pixels, network.backbone.preprocessing))
    finally:
        for handle in handles:
            handle.remove()
        for block, was in zip(blocks, fused, strict=True):
            block.fused_attn = was
    count = int(np.prod(scene.store.shapes[index].patches))
    matrices = torch.cat([one[0] for one in records])[:, -count:, -count:]
    for _ in range(3):
        matrices = matrices / matrices.sum(dim=1, keepdim=True)
        matrices = matrices / matrices.sum(dim=2, keepdim=True)
    return ((matrices + matrices.transpose(1, 2)) / 2).half()
