"""The network on frozen backbones: features that never change, a tag classifier and a light decoder on them.

Features of the last stages of all backbones are joined on one grid and projected by principal components. As nothing
before the projection is trained, they are computed once an image; training works on `FrozenFeatures` that were kept.
"""

from __future__ import annotations

from copy import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tag2mask.config.schema import Config
from tag2mask.models.backbone import Attention, Backbone, Preprocessing, load_backbone_weights
from tag2mask.models.backbones.plan import DEFAULT_STRIDE
from tag2mask.models.contrast import contrast_stages
from tag2mask.models.decoder import light_decoder
from tag2mask.models.folding import folded
from tag2mask.models.network import Recognition, Scores
from tag2mask.models.surface import Differences, SurfaceContrast

_STAGES = 2
"""Last stages of each backbone whose features are joined."""

_PRECISION = 1000
"""Parts of 1 to which the scale of a companion is exact."""

_BALANCING = 3
"""Rounds in which columns and rows of the attention are divided by their sums in turn (Sinkhorn and Knopp, 1967)."""


class FrozenFeatures(NamedTuple):
    """What the frozen backbones say of B images.

    Attributes:
        maps: (B, D, h, w) joined and projected features.
        energy: (B, h, w), at least 0: how much the backbone responds, whatever the class; the foreground prior.
        pooled: (B, P), the means over the image of each backbone's last stage, of the convolution before its
            classifier where it has one, and of what differs from the background.
        affinity: (B, h', w', h' * w') between patches, from the attention of the vision transformers; or None.
        differences: (B, S, h'', w'') of shallow features from the background, on a fine grid; or None.
        contrast_prior: (B, h'', w'') in [0, 2]: how much a pixel stands out; or None.
    """

    maps: Tensor
    energy: Tensor
    pooled: Tensor
    affinity: Tensor | None
    differences: Tensor | None = None
    contrast_prior: Tensor | None = None


class LinearTagHead(nn.Module):
    """Linear classifiers of the tags: which classes an image shows, where, and which one a pixel of foreground shows.

    The features that tell classes apart best are not those whose class activation maps cover objects best. `tags`
    takes the pooled features of all backbones, `classifier` the projected ones; the class activation map of a class is
    these weighted by the weights of it (Zhou et al., CVPR 2016, arXiv:1512.04150), less `usual`, what images without
    the class have. `shares`, where the network has it, lets all classes compete at each pixel.
    """

    usual: Tensor

    def __init__(self, channels: int, pooled: int, num_classes: int, *, shares: bool = True):
        super().__init__()
        self.classifier = nn.Linear(channels, num_classes)
        self.tags = nn.Linear(pooled, num_classes)
        self.shares = nn.Linear(channels, num_classes) if shares else None
        self.register_buffer("usual", torch.zeros(num_classes))
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: FrozenFeatures) -> Recognition:
        """Classify the features of B images."""
        tag_logits = self.tags(features.pooled)
        cams = F.conv2d(features.maps, self.classifier.weight[:, :, None, None], -self.usual)
        shares = None
        if self.shares is not None:
            shares = F.conv2d(features.maps, self.shares.weight[:, :, None, None], self.shares.bias)
        return Recognition(
            tag_logits, cams, [features.energy[:, None]], affinity=features.affinity, share_logits=shares
        )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Networks of earlier versions took nothing off their class activation maps."""
        state_dict.setdefault(f"{prefix}usual", torch.zeros_like(self.usual))
        super()._load_from_state_dict(state_dict, prefix, *args)


class FrozenSegmenter(nn.Module):
    """Frozen backbones, a projection of their features, a tag classifier and a light decoder.

    Attributes:
        num_classes: classes without background.
        backbone: the first backbone, whose grid and preprocessing are the network's.
        companions: the further backbones.
        project: 1x1 convolution (D, all channels), the principal components.
        groups: channels of each stage that is joined.
        pooled_channels: P of the pooled features.
        recognition: the tag classifiers.
        surface: what stands out from a surface (`model.contrast_stages`), or None.
        segmentation: light decoder on features, and on what stands out where the network has `surface`.
        contrast: None; there is no contrast head.
    """

    contrast: None = None
    contrast_stages: tuple[int, ...] = ()

    def __init__(self, config: Config, num_classes: int):
        super().__init__()
        self.num_classes = num_classes
        model = config.model
        self.backbone = _frozen_backbone(model.backbone, model.output_stride, dict(model.backbone_args))
        self.companions = nn.ModuleList(
            _frozen_backbone(one.backbone, DEFAULT_STRIDE, dict(one.backbone_args)) for one in model.companions
        )
        self.scales = tuple(one.scale for one in model.companions)
        self.groups = [count for one in self.backbones for count in _stages(one)]
        joined = sum(self.groups)
        self.channels = min(model.feature_channels, joined)
        self.pooled_channels = sum(_pooled_channels(one) for one in self.backbones)
        self.project = nn.Conv2d(joined, self.channels, 1)
        self.project.requires_grad_(False)
        stages = contrast_stages(model.contrast_stages, len(self.backbone.channels))
        self.surface: SurfaceContrast | None = None
        if stages:
            self.surface = SurfaceContrast(stages, self.backbone.channels, self.backbone.strides, num_classes)
            self.pooled_channels += 2 * sum(self.surface.groups)
        self.recognition = LinearTagHead(self.channels, self.pooled_channels, num_classes, shares=self.surface is None)
        self.segmentation = light_decoder(
            self.channels,
            num_classes,
            fine=0 if self.surface is None else self.surface.channels,
            channels=model.head_channels,
            dropout=model.head_dropout,
        )

    @property
    def backbones(self) -> tuple[Backbone, ...]:
        """The first one and its companions."""
        return (self.backbone, *(one for one in self.companions if isinstance(one, Backbone)))

    def train(self, mode: bool = True) -> FrozenSegmenter:
        """Switch the heads between training and evaluation; the backbones stay in evaluation."""
        self.training = mode
        for name, child in self.named_children():
            if name not in ("backbone", "companions"):  # hundreds of layers, which would be walked through each time
                child.train(mode)
        return self

    @torch.no_grad()
    def joined(self, images: Tensor) -> FrozenFeatures:
        """Features of normalised images, the maps (B, all channels, h, w) as they are before the projection."""
        maps: list[Tensor] = []
        pooled: list[Tensor] = []
        energy: Tensor | None = None
        affinities: list[Tensor] = []
        differences: Differences | None = None
        for backbone, scale in zip(self.backbones, (1.0, *self.scales), strict=True):
            seen = _as_seen_by(backbone, images, self.backbone.preprocessing, scale)
            attention = backbone.attention(seen, blocks=_later_blocks(backbone))
            features = backbone(seen) if attention is None else attention.features
            if self.surface is not None and differences is None:
                differences = self.surface.joined(features)
            pooled += [one.float().mean(dim=(2, 3)) for one in features[len(backbone.channels) - _lasts(backbone) :]]
            if backbone.head is not None:
                features = features[:-1]
            maps += features[-_STAGES:]
            if energy is None:
                energy = features[-1].float().abs().sum(dim=1) if attention is None else _looked_at(attention)
            if attention is not None:
                affinities.append(_balanced(attention))
        assert energy is not None
        grid = maps[len(_stages(self.backbone)) - 1].shape[-2:]
        joined = torch.cat([_on_grid(one.float(), grid) for one in maps], dim=1)
        if differences is not None:
            pooled += differences.pooled()
        found = FrozenFeatures(joined, energy, torch.cat(pooled, dim=1), _mean_affinity(affinities))
        if differences is None:
            return found
        return found._replace(differences=differences.maps, contrast_prior=differences.prior)

    @torch.no_grad()
    def features(self, images: Tensor) -> FrozenFeatures:
        """The features of normalised images (B, 3, H, W)."""
        return self.projected(self.joined(images))

    def projected(self, joined: FrozenFeatures) -> FrozenFeatures:
        """Joined features and differences on their principal components, (B, D, h, w) and (B, S, h', w')."""
        with torch.autocast(joined.maps.device.type, enabled=False):
            found = joined._replace(maps=self.project(joined.maps))
            if self.surface is not None and joined.differences is not None:
                found = found._replace(differences=self.surface.project(joined.differences))
        return found

    def recognise(self, images: Tensor, ignored: Tensor | None = None) -> Recognition:
        """Run the tag classifier on normalised images (B, 3, H, W)."""
        return self.both(images)[0]

    def both(
        self, images: Tensor, ignored: Tensor | None = None, *, median: Tensor | None = None
    ) -> tuple[Recognition, Tensor]:
        """Run both on normalised images (B, 3, H, W); the `Recognition` and the pixel logits (B, C + 1, h, w)."""
        return self.heads(self.features(images))

    def heads(self, features: FrozenFeatures, *, decoded: bool = True) -> tuple[Recognition, Tensor]:
        """Run both on features that were computed before; zeros for pixel logits that are not wanted (`decoded`)."""
        recognition: Recognition = self.recognition(features)
        if self.surface is not None and features.differences is not None and features.contrast_prior is not None:
            contrast = self.surface(Differences(features.differences, features.contrast_prior))
            recognition = recognition._replace(contrast=contrast)
        if not decoded:
            like = features.maps if features.differences is None else features.differences
            return recognition, like.new_zeros(len(like), self.num_classes + 1, *like.shape[-2:])
        return recognition, self.segmentation(features.maps, features.differences)

    def shallow(self, images: Tensor) -> Tensor | None:
        """None: there is no contrast head."""
        return None

    def forward(self, images: Tensor) -> Scores:
        """Return both heads' scores of normalised images (B, 3, H, W)."""
        recognition, pixel_logits = self.both(images)
        return Scores(recognition.tag_logits, pixel_logits)

    def with_decoder(self, decoder: nn.Module) -> FrozenSegmenter:
        """The same network, all parts shared, with another decoder."""
        twin = copy(self)
        twin._modules = {**self._modules, "segmentation": decoder}
        return twin

    def folded(self) -> FrozenSegmenter:
        """The same network, all other parts shared, with backbones whose batch norms are folded into convolutions."""
        twin = copy(self)
        companions = nn.ModuleList(folded(one) for one in self.backbones[1:])
        twin._modules = {**self._modules, "backbone": folded(self.backbone), "companions": companions}
        return twin

    def load_weights(self, config: Config) -> None:
        """Load the pretrained weights of every backbone.

        Raises:
            WeightsError: they cannot be loaded.
        """
        sources = [weights for _, weights in config.model.backbone_weights()]
        for number, (backbone, weights) in enumerate(zip(self.backbones, sources, strict=True)):
            load_backbone_weights(backbone, weights, companion=number > 0)


def _frozen_backbone(name: str, output_stride: int, args: dict[str, object]) -> Backbone:
    backbone = Backbone(name, output_stride=output_stride, freeze_norm=True, args=args, with_head=True)
    backbone.requires_grad_(False)
    backbone.eval()
    return backbone


def _lasts(backbone: Backbone) -> int:
    """How many of its last features are pooled: the last stage, and the convolution before the classifier."""
    return 1 if backbone.head is None else 2


def _pooled_channels(backbone: Backbone) -> int:
    return sum(backbone.channels[-_lasts(backbone) :])


def _stages(backbone: Backbone) -> tuple[int, ...]:
    """Channels of the last stages, without the convolution before the classifier."""
    stages = backbone.channels if backbone.head is None else backbone.channels[:-1]
    return stages[-_STAGES:]


def _as_seen_by(backbone: Backbone, images: Tensor, given: Preprocessing, scale: float) -> Tensor:
    """Images normalised for one backbone as another one takes them, at a scale."""
    own = backbone.preprocessing
    if own != given:

        def vector(values: tuple[float, float, float]) -> Tensor:
            return torch.tensor(values, dtype=images.dtype, device=images.device).view(3, 1, 1)

        images = (images * vector(given.std) + vector(given.mean) - vector(own.mean)) / vector(own.std)
    if scale != 1:
        # In whole numbers, which an exported graph has for sizes that vary; rounded up to what the network takes. ONNX
        # divides towards zero, so no number is negative.
        parts, whole = round(scale * _PRECISION), _PRECISION * backbone.input_multiple
        size = [(side * parts + whole - 1) // whole * backbone.input_multiple for side in images.shape[-2:]]
        images = F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=scale < 1)
    return images


def _later_blocks(backbone: Backbone) -> int:
    """Half of a vision transformer's blocks: the later ones join the parts of objects."""
    blocks = getattr(getattr(backbone.net, "model", None), "blocks", ())
    return (len(blocks) + 1) // 2


def _looked_at(attention: Attention) -> Tensor:
    """How much each patch is looked at, (B, h, w): by the class token, or by all patches where there is none.

    The norm of a vision transformer's tokens is no foreground prior; what its class token attends to is.
    """
    source = attention.class_token if attention.class_token is not None else attention.patches.mean(dim=2)
    looked: Tensor = source.float().mean(dim=1).unflatten(1, attention.grid)
    return looked


def _balanced(attention: Attention) -> Tensor:
    """Affinity (B, h, w, N) of the patches: the blocks' mean attention, balanced and made symmetric.

    Columns and rows are divided by their sums in turn, so that no patch draws all others to itself, then the matrix
    is averaged with its transpose (Lin et al., CVPR 2023, arXiv:2212.09506).
    """
    matrix = attention.patches.float().mean(dim=1)
    for _ in range(_BALANCING):
        matrix = matrix / matrix.sum(dim=1, keepdim=True)
        matrix = matrix / matrix.sum(dim=2, keepdim=True)
    symmetric: Tensor = ((matrix + matrix.transpose(1, 2)) / 2).unflatten(1, attention.grid)
    return symmetric


def _mean_affinity(affinities: list[Tensor]) -> Tensor | None:
    """Mean of the affinities on the grid of the first; those on other grids are left out."""
    if not affinities:
        return None
    alike = [one for one in affinities if one.shape == affinities[0].shape]
    return torch.stack(alike).mean(dim=0)


def _on_grid(maps: Tensor, grid: torch.Size) -> Tensor:
    if maps.shape[-2:] == grid:
        return maps
    return F.interpolate(maps, (grid[0], grid[1]), mode="bilinear", align_corners=False)
