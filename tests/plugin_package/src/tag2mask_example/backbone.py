"""A network of three stages."""

import torch
from torch import Tensor, nn


class ThreeStages(nn.Module):
    """Gives feature maps of a quarter, an eighth and a sixteenth of the image's size."""

    mean = (0.5, 0.5, 0.5)  # of the images it takes; left out: ImageNet's
    std = (0.5, 0.5, 0.5)

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, width, 4, stride=4), nn.BatchNorm2d(width), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(width, 2 * width, 2, stride=2), nn.BatchNorm2d(2 * width), nn.ReLU())
        self.third = nn.Sequential(nn.Conv2d(2 * width, 4 * width, 2, stride=2), nn.BatchNorm2d(4 * width), nn.ReLU())

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map images (B, 3, H, W) to features [(B, C, H', W')], the finest first."""
        first = self.first(images)
        second = self.second(first)
        return [first, second, self.third(second)]


def three_stages(pretrained: bool = False, width: int = 8) -> nn.Module:
    """The network: `pretrained` asks for weights of its own (`model.weights: hub`), `width` is a setting of it."""
    network = ThreeStages(width)
    if pretrained:  # a real package would load a file that it brings
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0, 0.1, generator=generator)
    return network
