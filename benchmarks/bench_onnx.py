"""Time and compare prediction on ONNX Runtime and on eager torch: same size, same threads, same photographs.

    python benchmarks/bench_onnx.py RUN IMAGES [--masks HUMAN] [--calibrate IMAGES] [--count 40] [--threads 2]

Torch runs in 32 bit and, where that differs, at the precision that the run's settings give on this machine.
The times of one photograph are taken in turn, without and with the dense CRF (which is the same for all).
Each way's peak memory is that of a process of its own. With human masks the mIoU of each is printed, and
so what 8 bits lose. Last line: `onnx x torch 1.62 with crf 1.31 int8 2.05 agree 99.98`.
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
from tag2mask.inference.prediction import MaskMaker
from tag2mask.masks import mask_path, read_mask

ONNX = ("onnx", "int8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--masks", type=Path)
    parser.add_argument("--calibrate", type=Path, help="photographs for the 8-bit form; IMAGES if not given")
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
        ways = {name: _load(name, args, files) for name in _names(args)}
        times, masks = _measure(ways, images)
        memory = {name: _in_a_process(name, files) for name in ways}
        sizes = {name: files[name].stat().st_size / 1e6 for name in ONNX}
    _report(ways, times, masks, memory, sizes)
    if args.masks is not None:
        target = [read_mask(mask_path(args.masks, name)) for _, name in chosen]
        _score(ways, masks, target)
    _last_line(times, masks)


def _names(args: argparse.Namespace) -> list[str]:
    import torch

    from tag2mask.inference.predictor import Predictor
    from tag2mask.models.precision import resolve_precision

    wanted = Predictor.load(args.run, device="cpu").config.training.precision
    mixed = resolve_precision(wanted, torch.device("cpu")) != "32-true"
    return ["torch", "auto", *ONNX] if mixed else ["torch", *ONNX]


def _export(args: argparse.Namespace, folder: Path) -> dict[str, Path]:
    from tag2mask.portable.onnx_export import export_onnx
    from tag2mask.portable.quantise import quantise

    files = {name: folder / f"{name}.onnx" for name in ONNX}
    metadata = export_onnx(args.run, files["onnx"])
    quantise(files["onnx"], files["int8"], args.calibrate or args.images)
    config = metadata.config
    print(
        f"{config.model.backbone}, long side {config.data.image_size}, scales {config.prediction.scales}, "
        f"{'flip' if config.prediction.flip else 'no flip'}, {args.threads} threads, opset {metadata.opset}"
    )
    return files


def _load(name: str, args: argparse.Namespace, files: dict[str, Path]) -> MaskMaker:
    if name in ONNX:
        from tag2mask.inference.onnx_predictor import OnnxPredictor

        return OnnxPredictor.load(files[name], threads=args.threads)
    import torch

    from tag2mask.inference.predictor import Predictor

    torch.set_num_threads(args.threads)
    base = Predictor.load(args.run, device="cpu")
    if name == "auto":
        return base
    return Predictor(base.network, base.classes, base.config.override({"training.precision": "32-true"}), device="cpu")


def _measure(
    ways: dict[str, MaskMaker], images: list[NDArray[np.uint8]]
) -> tuple[dict[str, list[tuple[float, float]]], dict[str, list[NDArray[np.uint8]]]]:
    """Seconds without and with the CRF, and masks, of each way for each photograph."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    masks: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in ways}
    for way in ways.values():
        way.predict(images[0])
    for image in images:
        for name, way in ways.items():
            settings: PredictionConfig = way.config.prediction
            without = settings.model_copy(update={"crf": settings.crf.model_copy(update={"enabled": False})})
            started = time.perf_counter()
            way.predict(image, settings=without)
            between = time.perf_counter()
            masks[name].append(way.predict(image).mask)
            times[name].append((between - started, time.perf_counter() - between))
    return times, masks


def _in_a_process(name: str, files: dict[str, Path]) -> float:
    """Peak memory in GiB of a process that predicts some photographs one way."""
    model = files.get(name)
    command = [sys.executable, *sys.argv, "--memory", f"{name}={model or ''}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def _peak_memory(which: str, args: argparse.Namespace, images: list[NDArray[np.uint8]]) -> None:
    name, file = which.split("=")
    way = _load(name, args, {name: Path(file)})
    for image in images:
        way.predict(image)
    # Not `ru_maxrss`, in which a process begins with the peak of the one that started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20)


def _agreement(one: list[NDArray[np.uint8]], other: list[NDArray[np.uint8]]) -> list[float]:
    return [100 * float(np.mean(a == b)) for a, b in zip(one, other, strict=True)]


def _report(
    ways: dict[str, MaskMaker],
    times: dict[str, list[tuple[float, float]]],
    masks: dict[str, list[NDArray[np.uint8]]],
    memory: dict[str, float],
    sizes: dict[str, float],
) -> None:
    print(f"{len(masks['torch'])} photographs, medians\n")
    print("| way | without CRF, ms | with CRF, ms | peak memory, GiB | file, MB | pixels as torch, all / worst |")
    print("|---|---|---|---|---|---|")
    pixels = [mask.size for mask in masks["torch"]]
    for name in ways:
        without, whole = (1000 * statistics.median(column) for column in zip(*times[name], strict=True))
        equal = _agreement(masks["torch"], masks[name])
        average = np.average(equal, weights=pixels)
        size = f"{sizes[name]:.1f}" if name in sizes else ""
        print(
            f"| {name} | {without:.0f} | {whole:.0f} | {memory[name]:.2f} | {size} | {average:.3f} / {min(equal):.2f} |"
        )
    print()


def _score(
    ways: dict[str, MaskMaker], masks: dict[str, list[NDArray[np.uint8]]], target: list[NDArray[np.uint8]]
) -> None:
    for name, way in ways.items():
        pairs = zip(masks[name], target, strict=True)
        confusion = sum(confusion_matrix(mask, human, len(way.classes) + 1) for mask, human in pairs)
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
