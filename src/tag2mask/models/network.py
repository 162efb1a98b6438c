"""Two streams on one backbone: recognition of tags and segmentation of pixels."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from tag2mask.config.model import ModelConfig
from tag2mask.config.schema import Config
from tag2mask.models.backbone import Backbone
from tag2mask.models.contrast import Contrast, ContrastHead, contrast_stages


class Recognition(NamedTuple):
    """What the recognition stream says of B images and C classes.

    Attributes:
        tag_logits: (B, C).
        cams: (B, C, h, w) raw class activation maps, on the grid of the last features.
        features: features of every backbone stage and, last, of the CAM convolution if there is one.
        contrast: what stands out from the rest of the image, where the network has a contrast head.
        affinity: (B, h', w', h' * w') between the patches of each image, where a vision transformer is at hand.
        share_logits: (B, C, h, w) which class a pixel of foreground shows, where the network tells it apart.
    """

    tag_logits: Tensor
    cams: Tensor
    features: list[Tensor]
    contrast: Contrast | None = None
    affinity: Tensor | None = None
    share_logits: Tensor | None = None


class Scores(NamedTuple):
    """Both streams from one pass: tag logits (B, C) and pixel logits (B, C + 1, h, w)."""

    tag_logits: Tensor
    pixel_logits: Tensor


class RecognitionHead(nn.Module):
    """CAM convolution (optional), global average pooling, dropout and a linear tag classifier.

    The class activation map of class c is the features weighted by the classifier's weights of c
    (Zhou et al., CVPR 2016, arXiv:1512.04150).
    """

    def __init__(self, in_channels: int, num_classes: int, *, cam_channels: int, dropout: float):
        super().__init__()
        self.cam_conv = nn.Conv2d(in_channels, cam_channels, 3, padding=1) if cam_channels else None
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(cam_channels or in_channels, num_classes)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, features: list[Tensor]) -> Recognition:
        """Classify the features of every stage, [(B, C_i, H_i, W_i)]."""
        last = features[-1]
        if self.cam_conv is not None:
            last = F.relu(self.cam_conv(last))
            features = [*features, last]
        tag_logits = self.classifier(self.dropout(last.mean(dim=(2, 3))))
        cams = F.conv2d(last, self.classifier.weight[:, :, None, None])
        return Recognition(tag_logits, cams, features)


class LargeFovHead(nn.Sequential):
    """DeepLab-LargeFOV: 3x3 dilated, 1x1, 1x1 convolutions (Chen et al., arXiv:1412.7062).

    The dilation is 12 at output stride 8 and in proportion at others.
    """

    def __init__(self, in_channels: int, num_classes: int, *, channels: int, dropout: float, output_stride: int):
        dilation = max(1, 12 * 8 // output_stride)
        classifier = nn.Conv2d(channels, num_classes + 1, 1)
        super().__init__(
            nn.Conv2d(in_channels, channels, 3, padding=dilation, dilation=dilation),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Conv2d(channels, channels, 1),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            classifier,
        )
        nn.init.normal_(classifier.weight, std=0.01)
        if classifier.bias is not None:
            nn.init.zeros_(classifier.bias)


class TagSegmenter(nn.Module):
    """The network: a backbone under a recognition head and a segmentation head.

    Attributes:
        num_classes: classes without background.
        backbone: of both streams, or of recognition where the segmentation stream has later stages
            of its own (`paper.shared_stages`).
        own_backbone: of the segmentation stream in that case, else None; the parameters of its
            first stages are those of `backbone`.
        contrast: evidence from shallow stages (`model.contrast_stages`), or None.
    """

    def __init__(self, config: Config, num_classes: int):
        super().__init__()
        self.num_classes = num_classes
        model, paper = config.model, config.paper
        self.backbone = _build_backbone(model)
        self.own_backbone: Backbone | None = None
        if paper.shared_stages is not None:
            self.own_backbone = _build_backbone(model)
            self.own_backbone.share_stages(self.backbone, paper.shared_stages)
        width = self.backbone.channels[-1]
        self.recognition = RecognitionHead(
            width, num_classes, cam_channels=paper.cam_channels, dropout=model.tag_dropout
        )
        self.segmentation = LargeFovHead(
            width,
            num_classes,
            channels=model.head_channels,
            dropout=model.head_dropout,
            output_stride=self.backbone.strides[-1],
        )
        self.contrast_stages = contrast_stages(model.contrast_stages, len(self.backbone.channels))
        self.contrast: ContrastHead | None = None
        if self.contrast_stages:
            channels = [self.backbone.channels[stage] for stage in self.contrast_stages]
            self.contrast = ContrastHead(channels, num_classes)

    def recognise(self, images: Tensor, ignored: Tensor | None = None) -> Recognition:
        """Run the recognition stream on normalised images (B, 3, H, W).

        Args:
            images: the batch.
            ignored: (B, H, W) bool, pixels outside the image or hidden; the contrast leaves them out.
        """
        return self._recognise(self.backbone(images), ignored)

    def segment(self, images: Tensor) -> Tensor:
        """Run the segmentation stream on normalised images (B, 3, H, W); (B, C + 1, h, w) logits."""
        logits: Tensor = self.segmentation((self.own_backbone or self.backbone)(images)[-1])
        return logits

    def both(
        self, images: Tensor, ignored: Tensor | None = None, *, median: Tensor | None = None
    ) -> tuple[Recognition, Tensor]:
        """Run both streams; the `Recognition` and the pixel logits (B, C + 1, h, w).

        Args:
            images: as `recognise`.
            ignored: as `recognise`.
            median: (B, D) of `shallow`, where the images are parts of larger ones.
        """
        features = self.backbone(images)
        own = features if self.own_backbone is None else self.own_backbone(images)
        return self._recognise(features, ignored, median), self.segmentation(own[-1])

    def shallow(self, images: Tensor) -> Tensor | None:
        """What the contrast head compares, (B, D, h, w); None where the network has none."""
        if self.contrast is None:
            return None
        features = self.backbone(images)
        return self.contrast.describe([features[stage] for stage in self.contrast_stages])

    def _recognise(self, features: list[Tensor], ignored: Tensor | None, median: Tensor | None = None) -> Recognition:
        result: Recognition = self.recognition(features)
        if self.contrast is None:
            return result
        shallow = [features[stage] for stage in self.contrast_stages]
        return result._replace(contrast=self.contrast(shallow, ignored, median))

    def forward(self, images: Tensor) -> Scores:
        """Return both streams' scores of normalised images (B, 3, H, W)."""
        recognition, pixel_logits = self.both(images)
        return Scores(recognition.tag_logits, pixel_logits)


def _build_backbone(config: ModelConfig) -> Backbone:
    return Backbone(
        config.backbone,
        output_stride=config.output_stride,
        freeze_norm=config.freeze_norm,
        freeze_stages=config.freeze_stages,
        args=config.backbone_args,
    )
