"""Time and compare prediction on ONNX Runtime and on eager torch: same size, same threads, same images.

    python benchmarks/bench_onnx.py RUN IMAGES [--masks FOLDER] [--calibrate IMAGES] [--count 40] [--threads 2]

Torch runs in 32 bit and, where that differs, at the precision that the run's settings give on this machine.
The backends alternate on each image, without and with the dense CRF (which is the same for all). The peak memory of
each backend is that of a process of its own. With ground truth (`--masks`) the mIoU of each is printed, which shows
what 8 bits lose. Last line: `onnx x torch 1.62 with crf 1.31 int8 2.05 agree 99.98`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tag2mask.config.schema import PredictionConfig
from tag2mask.data import list_images
from tag2mask.evaluation.metrics import confusion_matrix, mean_iou
from tag2mask.images.decode import read_image
from tag2mask.inference.segmenter import Segmenter
from tag2mask.masks import mask_path, read_mask

ONNX = ("onnx", "int8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--masks", type=Path, help="folder of ground truth")
    parser.add_argument("--calibrate", type=Path, help="images to calibrate the 8-bit form on; IMAGES if not given")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    args = parser.parse_args()
    found = list_images(args.images)
    chosen = [
        found[index] for index in np.unique(np.linspace(0, len(found) - 1, min(args.count, len(found))).astype(int))
    ]
    images = [read_image(path) for path, _ in chosen]
    if args.memory:
        _peak_memory(args.memory, args, images[:10])
        return
    with tempfile.TemporaryDirectory() as folder:
        files = _export(args, Path(folder))
        segmenters = {name: _load(name, args, files) for name in _names(args)}
        times, masks = _measure(segmenters, images)
        memory = {name: _in_a_process(name, files) for name in segmenters}
        sizes = {name: files[name].stat().st_size / 1e6 for name in ONNX}
    _report(segmenters, times, masks, memory, sizes)
    if args.masks is not None:
        target = [read_mask(mask_path(args.masks, name)) for _, name in chosen]
        _score(segmenters, masks, target)
    _last_line(times, masks)


def _names(args: argparse.Namespace) -> list[str]:
    import torch

    from tag2mask.models.precision import resolve_precision

    wanted = Segmenter.from_pretrained(args.run, device="cpu").config.training.precision
    mixed = resolve_precision(wanted, torch.device("cpu")) != "32-true"
    return ["torch", "auto", *ONNX] if mixed else ["torch", *ONNX]


def _export(args: argparse.Namespace, folder: Path) -> dict[str, Path]:
    from tag2mask.portable.quantise import quantise

    files = {name: folder / f"{name}.onnx" for name in ONNX}
    metadata = Segmenter.from_pretrained(args.run, device="cpu").export_onnx(files["onnx"])
    quantise(files["onnx"], files["int8"], args.calibrate or args.images)
    config = metadata.config
    print(
        f"{config.model.backbone}, long side {config.data.image_size}, scales {config.prediction.scales}, "
        f"{'flip' if config.prediction.flip else 'no flip'}, {args.threads} threads, opset {metadata.opset}"
    )
    return files


def _load(name: str, args: argparse.Namespace, files: dict[str, Path]) -> Segmenter:
    if name in ONNX:
        return Segmenter.from_pretrained(files[name], threads=args.threads)
    import torch

    torch.set_num_threads(args.threads)
    segmenter = Segmenter.from_pretrained(args.run, device="cpu", threads=args.threads)
    if name == "torch":
        segmenter.backend.config = segmenter.config.override({"training.precision": "32-true"})
    return segmenter


def _measure(
    segmenters: dict[str, Segmenter], images: list[NDArray[np.uint8]]
) -> tuple[dict[str, list[tuple[float, float]]], dict[str, list[NDArray[np.uint8]]]]:
    """Seconds without and with the CRF, and masks, of each backend for each image."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in segmenters}
    masks: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in segmenters}
    for segmenter in segmenters.values():
        segmenter.predict(images[0])
    for image in images:
        for name, segmenter in segmenters.items():
            settings: PredictionConfig = segmenter.config.prediction
            without = settings.model_copy(update={"crf": settings.crf.model_copy(update={"enabled": False})})
            started = time.perf_counter()
            segmenter.predict(image, settings=without)
            between = time.perf_counter()
            masks[name].append(segmenter.predict(image).mask)
            times[name].append((between - started, time.perf_counter() - between))
    return times, masks


def _in_a_process(name: str, files: dict[str, Path]) -> float:
    """Peak memory in GiB of a process that predicts some images with one backend."""
    model = files.get(name)
    command = [sys.executable, *sys.argv, "--memory", f"{name}={model or ''}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def _peak_memory(which: str, args: argparse.Namespace, images: list[NDArray[np.uint8]]) -> None:
    name, file = which.split("=")
    segmenter = _load(name, args, {name: Path(file)})
    for image in images:
        segmenter.predict(image)
    # Not `ru_maxrss`, in which a process begins with the peak of the one that started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20)


def _agreement(one: list[NDArray[np.uint8]], other: list[NDArray[np.uint8]]) -> list[float]:
    return [100 * float(np.mean(a == b)) for a, b in zip(one, other, strict=True)]


def _report(
    segmenters: dict[str, Segmenter],
    times: dict[str, list[tuple[float, float]]],
    masks: dict[str, list[NDArray[np.uint8]]],
    memory: dict[str, float],
    sizes: dict[str, float],
) -> None:
    print(f"{len(masks['torch'])} images, medians\n")
    print("| backend | without CRF, ms | with CRF, ms | peak memory, GiB | file, MB | pixels as torch, all / worst |")
    print("|---|---|---|---|---|---|")
    pixels = [mask.size for mask in masks["torch"]]
    for name in segmenters:
        without, whole = (1000 * statistics.median(column) for column in zip(*times[name], strict=True))
        equal = _agreement(masks["torch"], masks[name])
        average = np.average(equal, weights=pixels)
        size = f"{sizes[name]:.1f}" if name in sizes else ""
        print(
            f"| {name} | {without:.0f} | {whole:.0f} | {memory[name]:.2f} | {size} | {average:.3f} / {min(equal):.2f} |"
        )
    print()


def _score(
    segmenters: dict[str, Segmenter], masks: dict[str, list[NDArray[np.uint8]]], target: list[NDArray[np.uint8]]
) -> None:
    for name, segmenter in segmenters.items():
        pairs = zip(masks[name], target, strict=True)
        confusion = sum(confusion_matrix(mask, gt_mask, len(segmenter.classes) + 1) for mask, gt_mask in pairs)
        print(f"mIoU {name}: {100 * mean_iou(np.asarray(confusion)):.2f}")


def _last_line(times: dict[str, list[tuple[float, float]]], masks: dict[str, list[NDArray[np.uint8]]]) -> None:
    def ratio(name: str, column: int) -> float:
        pairs = zip(times["torch"], times[name], strict=True)
        return statistics.median(torch[column] / other[column] for torch, other in pairs)

    pixels = [mask.size for mask in masks["torch"]]
    agree = np.average(_agreement(masks["torch"], masks["onnx"]), weights=pixels)
    bare, whole, int8 = ratio("onnx", 0), ratio("onnx", 1), ratio("int8", 0)
    print(f"onnx x torch {bare:.2f} with crf {whole:.2f} int8 {int8:.2f} agree {agree:.2f}")


if __name__ == "__main__":
    main()
