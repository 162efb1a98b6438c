"""What an installation takes: disk, time, and whether it brings GPU libraries.

python benchmarks/bench_install.py                       # every way; the CPU ways from PyTorch's own index
python benchmarks/bench_install.py train-cpu --at-most 1.5
python benchmarks/bench_install.py train-cpu --torch torch==2.13.0+cpu --find-links wheels/

Each way gets a new environment in a temporary folder, which is removed. Sizes are those of the files in it, without
compiled bytecode; times include downloads unless `--cached` (uv's cache is used then). With `--torch`, torchvision
comes from the package index all the same: sizes are right to a few megabytes, and only torch is tried. `--bytecode`
also says what compiled bytecode adds: pip compiles everything at once (unless `--no-compile`), Python what it imports.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EVERYTHING = "train,weights,onnx,serve,hub,heic,parquet,studio,scale,supervision,cvat"


@dataclass(frozen=True)
class Way:
    """An installation: extras, whether torch is the build without GPU libraries, and what must work then."""

    extras: str
    cpu: bool
    check: str

    @property
    def title(self) -> str:
        """As in the table."""
        return f"`tag2mask{f'[{self.extras}]' if self.extras else ''}`" + (", CPU" if self.cpu else "")


TRAINING = "import torch, torchvision, timm, lightning; from tag2mask import train; torchvision.ops.nms"
WAYS = {
    "base": Way("", False, "import tag2mask; tag2mask.Dataset, tag2mask.dense_crf, tag2mask.evaluate"),
    "onnx": Way("onnx", False, "import tag2mask, onnxruntime; tag2mask.Segmenter"),
    "train-cpu": Way("train", True, TRAINING),
    "studio-cpu": Way("studio,weights", True, f"{TRAINING}; import fastapi"),
    "everything-cpu": Way(EVERYTHING, True, f"{TRAINING}; import ray, onnxruntime, supervision"),
    "train": Way("train", False, TRAINING),
    "everything": Way(EVERYTHING, False, f"{TRAINING}; import ray, onnxruntime, supervision"),
}


def run(*words: str | Path, cwd: Path | None = None) -> str:
    """Standard output of a command; ends with what it said where it fails."""
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(str(word) for word in words)}\n{done.stdout}{done.stderr}")
    return done.stdout


def size(folder: Path) -> int:
    """Bytes of the files below a folder, without compiled bytecode."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files if path.suffix != ".pyc")


def compiled(place: Path, site: Path) -> int:
    """Bytes of the bytecode of everything that is installed; some packages hold files that cannot be compiled."""
    subprocess.run([place / "bin" / "python", "-m", "compileall", "-qq", site], check=False)
    return sum(path.stat().st_size for path in site.rglob("*.pyc"))


def gpu_packages(site: Path) -> list[str]:
    """Names of installed packages that only a GPU needs."""
    names = {path.name.split("-")[0].lower() for path in site.glob("*.dist-info")}
    return sorted(name for name in names if name.startswith(("nvidia_", "cuda_")) or name == "triton")


def install(way: Way, wheel: Path, place: Path, args: argparse.Namespace) -> tuple[float, Path]:
    """Make an environment in `place` and install; returns seconds and its site-packages."""
    python = place / "bin" / "python"
    run(args.uv, "venv", "--quiet", "--python", sys.executable, place)
    words: list[str | Path] = [args.uv, "pip", "install", "--quiet", "--python", python]
    words += [] if args.cached else ["--no-cache"]
    words += ["--find-links", args.find_links] if args.find_links else []
    if way.cpu:
        words += [args.torch] if args.torch else ["--torch-backend=cpu"]
    start = time.perf_counter()
    run(*words, f"{wheel}[{way.extras}]" if way.extras else wheel)
    seconds = time.perf_counter() - start
    # torchvision of the package index is built for CUDA: beside another torch it cannot be imported.
    run(python, "-c", "import torch, tag2mask" if way.cpu and args.torch else way.check, cwd=place)
    return seconds, next((place / "lib").glob("python*")) / "site-packages"


def main() -> None:
    """Install each way and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", default=[], help=f"of: {', '.join(WAYS)} (default: all)")
    parser.add_argument("--torch", help="requirement of the torch without GPU libraries, where PyTorch's index is away")
    parser.add_argument("--find-links", help="folder of wheels, for --torch")
    parser.add_argument("--cached", action="store_true", help="use uv's cache: no download, no meaningful time")
    parser.add_argument("--bytecode", action="store_true", help="compile it, and say what that adds")
    parser.add_argument("--at-most", type=float, metavar="GB", help="fail where a CPU way is larger")
    parser.add_argument("--uv", default=shutil.which("uv") or str(Path(sys.executable).with_name("uv")))
    args = parser.parse_args()
    if unknown := sorted(set(args.ways) - set(WAYS)):
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(WAYS)}")
    failed = []
    bytecode = " bytecode, GB |" if args.bytecode else ""
    print(
        f"| way | size, GB | of it GPU libraries | time, s |{bytecode}\n|{'---|' * (5 if bytecode else 4)}", flush=True
    )
    with tempfile.TemporaryDirectory() as folder:
        run(args.uv, "build", "--quiet", "--wheel", "--out-dir", Path(folder) / "dist", ROOT)
        wheel = next((Path(folder) / "dist").glob("*.whl"))
        for name in args.ways or WAYS:
            way, place = WAYS[name], Path(folder) / name
            seconds, site = install(way, wheel, place, args)
            whole, packages = size(place), gpu_packages(site)
            of_gpu = sum(size(site / part) for part in ("nvidia", "triton"))
            added = f" {compiled(place, site) / 1e9:.2f} |" if args.bytecode else ""
            print(f"| {way.title} | {whole / 1e9:.2f} | {of_gpu / 1e9:.2f} | {seconds:.0f} |{added}", flush=True)
            if way.cpu and packages:
                failed.append(f"{name}: GPU libraries: {', '.join(packages)}")
            if way.cpu and args.at_most and whole > args.at_most * 1e9:
                failed.append(f"{name}: {whole / 1e9:.2f} GB, more than {args.at_most}")
            shutil.rmtree(place)
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
