"""Images a second of the training loader alone, with and without the cache, against the training step.

    python benchmarks/bench_loader.py [--images FOLDER] [--weights FILE]

Images as they are (about 500 x 375) and enlarged to 4000 x 3000, as a telephone takes them. The first
pass over a cache fills it; the second reads it. The step is the joint one, on fixed batches, on every core.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import torch
from PIL import Image

from tag2mask import Config, Dataset
from tag2mask.images.cache import image_reader
from tag2mask.models import TagSegmenter, build_network
from tag2mask.training.augment import TrainTransform
from tag2mask.training.module import JointTraining
from tag2mask.training.samples import EpochSampler, TrainDataset, make_loader

BENCH = Path(__file__).parents[2] / "shared"


def loader_rate(images: Dataset, config: Config, epochs: int) -> list[float]:
    """Images a second of each epoch, after the loader's processes have started."""
    network = build_network(config, len(images.classes), pretrained=False)
    transform = TrainTransform(config.data, network.backbone.preprocessing)
    dataset = TrainDataset(images, transform, seed=0, read=image_reader(config))
    sampler = EpochSampler(len(images), seed=0)
    loader = make_loader(dataset, sampler, batch_size=config.training.batch_size, workers=2)
    rates = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        started = time.perf_counter()
        count = sum(len(batch["index"]) for batch in loader)
        rates.append(count / (time.perf_counter() - started))
    return rates


def step_rate(images: Dataset, config: Config, steps: int = 8) -> float:
    """Images a second of the training step on batches that lie ready."""
    network = build_network(config, len(images.classes), pretrained=False)
    assert isinstance(network, TagSegmenter)
    dataset = TrainDataset(images, TrainTransform(config.data, network.backbone.preprocessing), seed=0)
    sampler = EpochSampler(len(images), seed=0)
    batch = next(iter(make_loader(dataset, sampler, batch_size=config.training.batch_size, workers=0)))
    names = [record.name for record in images.records]
    module = JointTraining(network, config, classes=images.classes, names=names, epochs=1, steps_per_epoch=steps)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    for step in range(steps + 2):
        if step == 2:
            started = time.perf_counter()
        optimizer.zero_grad()
        module.training_step(batch, step).backward()
        optimizer.step()
    return steps * len(batch["index"]) / (time.perf_counter() - started)


def enlarged(images: Dataset, folder: Path, count: int) -> Dataset:
    """The first images of a dataset with a long side of 4000 pixels."""
    lines = ["image,tags"]
    for record in images.records[:count]:
        with Image.open(record.path) as image:
            factor = 4000 / max(image.size)
            large = image.resize((round(image.width * factor), round(image.height * factor)))
            large.save(folder / record.name, quality=90)
        lines.append(f"{record.name},{' '.join(sorted(record.present))}")
    (folder / "tags.csv").write_text("\n".join(lines) + "\n")
    return Dataset.load(folder, folder / "tags.csv", classes=images.classes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, default=BENCH / "bench/voc_animals/val")
    args = parser.parse_args()
    if not args.images.is_dir():
        print(f"{args.images}: not here; nothing measured")
        return 0
    warnings.filterwarnings("ignore", module="lightning")
    images = Dataset.load(args.images / "images", args.images / "tags.csv")
    config = Config().override({"model.weights": "none", "training.warmup": 0.0})
    rate = step_rate(images, config)
    print(f"training step: {rate:.1f} images/s on {torch.get_num_threads()} threads", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "large").mkdir()
        large = enlarged(images, Path(folder) / "large", 96)
        for name, some in (("as they are", images), ("4000 pixels", large)):
            plain = loader_rate(some, config, 2)[1]
            cached = config.override({"data.cache": f"{folder}/cache"})
            filling, reading = loader_rate(some, cached, 2)
            print(
                f"{name}: loader {plain:.0f} images/s, cache {reading:.0f} (while it is filled {filling:.0f})",
                flush=True,
            )
        size = sum(path.stat().st_size for path in Path(folder, "cache").rglob("*.npy"))
        count = len(images) + len(large)
        print(f"the cache takes {size / count / 1e3:.0f} kB an image")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
