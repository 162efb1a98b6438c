"""Kept features by stage: images a second of decoding, resizing, backbones, writing; hours and GiB of a large dataset.

    python benchmarks/bench_features.py IMAGES --weights DIR [--config frozen] [--limit 200] [--threads 1]

Stages run one after the other, each on all images, backbones in batches as `train` has them. Rates are given by the
processor time (which other work on the machine does not change) and by the clock. Then the whole is run as `train` runs
it, into a temporary folder (`--out`), with the peak of the memory, and once more, when everything is there.
Last line: `100000 images: 61.2 GiB, 3.2 h on 1 thread`, by processor time.
"""

from __future__ import annotations

import argparse
import logging
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from tag2mask.cli.common import parse_settings
from tag2mask.config import Config
from tag2mask.config.load import on_preset
from tag2mask.core.record import ImageRecord
from tag2mask.data import list_images
from tag2mask.images.decode import read_image
from tag2mask.models import FrozenSegmenter, build_network
from tag2mask.training.feature_compute import FeatureComputer, image_sizes, in_batches
from tag2mask.training.feature_files import Layout
from tag2mask.training.feature_folder import FeatureWriter, KeptImages, image_keys
from tag2mask.training.feature_store import feature_store

BATCH = 4
CLASSES = 6


class Clock:
    """Seconds of processor time and by the clock of each stage."""

    def __init__(self) -> None:
        self.stages: dict[str, tuple[float, float]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add what is done in the context to a stage."""
        began = time.process_time(), time.perf_counter()
        yield
        before = self.stages.get(name, (0.0, 0.0))
        self.stages[name] = (
            before[0] + time.process_time() - began[0],
            before[1] + time.perf_counter() - began[1],
        )


def main() -> int:
    args = _arguments()
    torch.set_num_threads(args.threads)
    settings = {"model.weights": args.weights, **parse_settings(args.set or [])}
    config = on_preset(args.config, {}).override(settings)
    network = build_network(config, CLASSES)
    if not isinstance(network, FrozenSegmenter):
        raise SystemExit(f"--config {args.config}: the network is not frozen")
    network.eval()
    computer = FeatureComputer(network, config, torch.device("cpu"))
    paths = [path for path, _ in list_images(args.images)[: args.limit]]
    records = [ImageRecord(path.name, path) for path in paths]
    names = " + ".join(one.name for one in network.backbones)
    print(
        f"{len(paths)} images, {names}, {config.data.image_size} px, {args.threads} threads, torch {torch.__version__}"
    )
    with tempfile.TemporaryDirectory(dir=args.out) as folder:
        clock = _stages(computer, paths, Path(folder))
        _print(clock, len(paths))
        whole, size = _whole(network, records, config, Path(folder))
    each = sum(processor for processor, _ in clock.stages.values()) / len(paths)
    print(
        f"together as `train` runs it: {len(paths) / whole[0]:.1f} images/s; again, all being there: {whole[1]:.1f} s"
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"peak memory {memory:.0f} MiB; {size / 2**20:.2f} MiB an image")
    planned = args.planned
    gib, hours = planned * size / 2**30, planned * each / 3600
    print(f"{planned} images: {gib:.1f} GiB, {hours:.1f} h on {args.threads} thread{'s' * (args.threads > 1)}")
    return 0


def _stages(computer: FeatureComputer, paths: list[Path], folder: Path) -> Clock:
    """Time each stage on all images, held in memory between them batch by batch."""
    clock = Clock()
    with clock.stage("keys (path, size, time of change)"):
        keys = image_keys(paths)
    with clock.stage("sizes from headers"):
        sizes = image_sizes(paths)
    seen_sizes = [computer.seen_size(size) for size in sizes]
    batches = in_batches(range(len(paths)), seen_sizes, BATCH)
    computer.run(np.zeros((1, *seen_sizes[0], 3), np.uint8))  # warm-up
    flat = folder / "stages"
    flat.mkdir()
    with FeatureWriter(KeptImages(flat, Layout.of(computer.network))) as writer:
        for batch in batches:
            with clock.stage("decoding"):
                images = [read_image(paths[index]) for index in batch]
            with clock.stage("resizing"):
                seen = np.stack([computer.seen(image) for image in images])
                small = [computer.small(image) for image in images]
            with clock.stage("backbones"):
                found = computer.run(seen)
            with clock.stage("writing, to the disk"):
                for number, index in enumerate(batch):
                    one = {
                        name: values[number : number + 1]
                        for name, values in found._asdict().items()
                        if values is not None
                    }
                    writer.add(keys[index], paths[index], found._replace(**one), seen_sizes[index], small[number])
                if len(writer.unmarked) >= 64:
                    writer.mark()
        with clock.stage("writing, to the disk"):
            writer.mark()
    return clock


def _whole(
    network: FrozenSegmenter, records: list[ImageRecord], config: Config, folder: Path
) -> tuple[tuple[float, float], float]:
    """Seconds of the whole, and of finding it again; bytes an image."""
    logging.basicConfig(format="  %(message)s", stream=sys.stdout)
    logging.getLogger("tag2mask").setLevel(logging.INFO)
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        store = feature_store(network, records, config, folder, read=read_image, device=torch.device("cpu"))
        seconds.append(time.perf_counter() - began)
    return (seconds[0], seconds[1]), store.bytes / len(records)


def _print(clock: Clock, count: int) -> None:
    total = sum(processor for processor, _ in clock.stages.values())
    print(f"{'':<36}{'ms an image':>12}{'images/s':>10}{'share':>8}{'by the clock, images/s':>25}")
    for name, (processor, wall) in clock.stages.items():
        rate, by_clock = count / max(processor, 1e-9), count / max(wall, 1e-9)
        print(f"{name:<36}{1000 * processor / count:>12.2f}{rate:>10.0f}{processor / total:>8.1%}{by_clock:>25.0f}")
    print(f"{'all':<36}{1000 * total / count:>12.2f}{count / total:>10.1f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--weights", required=True, help="folder of safetensors files by timm name, a file, or 'none'")
    parser.add_argument("--config", default="frozen", help="a preset with a frozen backbone")
    parser.add_argument("--set", action="append", help="any setting, name=value; repeatable")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--planned", type=int, default=100_000, help="images that the last line speaks of")
    parser.add_argument("--out", type=Path, help="folder on the disk to measure; default: the temporary one")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
