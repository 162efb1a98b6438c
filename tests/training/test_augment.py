from __future__ import annotations

import numpy as np
import torch

from tag2mask.config.schema import DataConfig
from tag2mask.models import Preprocessing
from tag2mask.training.augment import TrainTransform, hide_and_seek

PREPROCESSING = Preprocessing((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


def config(**options: object) -> DataConfig:
    return DataConfig.model_validate(
        {"image_size": 64, "crop_size": 48, "scale": (1.0, 1.0), "colour_jitter": 0, **options}
    )


def test_image_and_mask_move_together() -> None:
    """The mask is where the image is red, through scaling, cropping and the horizontal flip."""
    image = np.full((60, 80, 3), 100, dtype=np.uint8)
    image[10:40, 5:35] = (250, 0, 0)
    mask = np.zeros((60, 80), dtype=np.uint8)
    mask[10:40, 5:35] = 1
    transform = TrainTransform(config(scale=(0.7, 1.4)), PREPROCESSING)
    flipped = 0
    for seed in range(20):
        torch.manual_seed(seed)
        pixels, target, outside = transform(image, mask)
        assert pixels.shape == (3, 48, 48)
        assert pixels.dtype == target.dtype == torch.uint8
        red = (pixels[0] > 175) & (pixels[1] < 60)
        inside = target == 1
        assert (red == inside).float().mean() > 0.97
        assert torch.equal(outside, target == 255)
        assert (pixels[:, outside].float().mean(dim=1) - torch.tensor([102.0, 128.0, 153.0])).abs().max() < 1 or (
            not outside.any()
        )
        columns = inside.float().sum(dim=0)
        flipped += bool(columns[:24].sum() < columns[24:].sum())
    assert 3 < flipped < 17


def test_the_same_seed_gives_the_same_sample() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    transform = TrainTransform(config(scale=(0.5, 1.5), colour_jitter=0.5), PREPROCESSING)
    samples = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        samples.append(transform(image, None)[0])
    assert torch.equal(samples[0], samples[1])
    assert not torch.equal(samples[0], samples[2])


def test_hide_and_seek_hides_whole_cells_by_chance() -> None:
    torch.manual_seed(0)
    images = torch.ones(64, 3, 32, 48)
    hidden, where = hide_and_seek(images, grid=4, probability=0.5)
    assert torch.equal(where, hidden[:, 0] == 0)
    cells = hidden.reshape(64, 3, 4, 8, 4, 12)
    assert torch.equal(cells.amin(dim=(3, 5)), cells.amax(dim=(3, 5)))
    assert torch.equal(cells[:, 0], cells[:, 2])
    assert 0.45 < float((hidden == 0).float().mean()) < 0.55
    # rows and columns are not mixed up: some image hides (0, 1) without (1, 0)
    first = cells[:, 0, :, 0, :, 0] == 0
    assert bool((first[:, 0, 1] & ~first[:, 1, 0]).any())
    assert torch.equal(images, torch.ones_like(images))


def test_hide_and_seek_can_leave_images_whole() -> None:
    torch.manual_seed(0)
    images = torch.ones(400, 3, 8, 8)
    assert torch.equal(hide_and_seek(images, grid=4, probability=0.0)[0], images)
    whole = hide_and_seek(images, grid=4, probability=1.0, image_probability=0.3)[0].flatten(1).amin(dim=1)
    assert 0.62 < float(whole.mean()) < 0.78
