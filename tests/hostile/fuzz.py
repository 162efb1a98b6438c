"""Damages a right file of every reader and image kind thousands of times, and reads what comes out.

    python -m tests.hostile.fuzz [--count 2000] [--seed 1] [--only NAME] [--failures FOLDER]

Each reading must end in an error of the project's own (`Tag2MaskError`) or in a dataset that accounts for
every image: as a record, or in a problem. Anything else, more than 5 s of processor time, or a process over
1 GiB of memory is a fault: it is printed with the command that repeats it, and the file is kept. A seed is read in a
process of its own, so that a crash or a loop in a library's C code is a fault like any other. Exit status 1 if there
was a fault.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from tag2mask.core.errors import Tag2MaskError
from tests.hostile.mutate import damaged
from tests.hostile.seeds import SEEDS, Account, Seed

SECONDS = 5.0
"""Most processor time for one reading."""

MEMORY_MB = 1024
"""Most memory of a process."""

_FAULTS_SHOWN = 5


class TooSlowError(BaseException):
    """A reading took too much processor time; not an `Exception`, which a reader might catch."""


@dataclass
class Result:
    """How the readings of a seed ended.

    Attributes:
        read: readings that gave something.
        refused: readings that ended in an error of the project's own.
        slowest: most seconds of processor time.
        faults: by number of the reading.
    """

    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    faults: dict[int, str] = field(default_factory=dict)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="readings of each seed")
    parser.add_argument("--seed", type=int, help="of the random numbers; any by default")
    parser.add_argument("--only", choices=sorted(SEEDS), help="one seed")
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"), help="where files with faults are kept")
    args = parser.parse_args(arguments)
    number = secrets.randbelow(2**31) if args.seed is None else args.seed
    print(f"seed {number}, {args.count} readings of each of {1 if args.only else len(SEEDS)} seeds", flush=True)
    faulty = 0
    for name in [args.only] if args.only else SEEDS:
        result = fuzz(name, args.count, number, args.failures)
        print(
            f"{name:<36} {result.read:>6} read {result.refused:>6} refused, slowest {result.slowest:.2f} s, "
            f"{len(result.faults)} faults",
            flush=True,
        )
        if result.faults:
            faulty += 1
            _show(name, result, args.count, number)
    print(f"{faulty} seeds with faults" if faulty else "no faults")
    return 1 if faulty else 0


def fuzz(name: str, count: int, number: int, failures: Path) -> Result:
    """Read `count` damaged copies of the seed `name`, in a process of its own where the system can fork."""
    if not hasattr(os, "fork"):
        with tempfile.TemporaryDirectory() as folder:
            return _readings(name, count, number, failures, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        sys.stdout.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: nothing else runs here
            child = os.fork()
        if child == 0:
            _child(name, count, number, failures, Path(folder), out)
        _, status = os.waitpid(child, 0)
        found = json.loads(out.read_text()) if out.is_file() else {}
        result = Result(**{**found, "faults": {int(index): why for index, why in found.get("faults", {}).items()}})
        if status:
            begun = Path(folder) / "index"  # not there where the seed itself failed
            index = int(begun.read_text() or 0) if begun.is_file() else 0
            ended = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit status {status >> 8}"
            said = (Path(folder) / "stderr").read_text(errors="replace")[-2000:]
            result.faults[index] = f"the process ended with {ended}\n{said}".strip()
            _keep(Path(folder) / "files" / SEEDS[name].target, failures, name, index)
        return result


def _child(name: str, count: int, number: int, failures: Path, folder: Path, out: Path) -> None:
    """What the forked process does; it never returns."""
    status = 70
    with (folder / "stderr").open("w") as errors:  # C libraries write there
        os.dup2(errors.fileno(), 2)
    try:
        result = _readings(name, count, number, failures, folder)
        if (peak := peak_memory()) > MEMORY_MB:
            result.faults[count] = f"{peak:.0f} MB of memory, more than {MEMORY_MB}"
        out.write_text(json.dumps(vars(result)))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _readings(name: str, count: int, number: int, failures: Path, folder: Path) -> Result:
    logging.getLogger("tag2mask").setLevel(logging.CRITICAL)
    seed, result = SEEDS[name], Result()
    right = dict(seed.files())
    (folder / "index").write_text("-1")
    if (fault := _read(seed, _written(right, folder / "files"), Result(), right=True)) is not None:
        result.faults[-1] = f"the right files: {fault}"
        return result
    stream = zlib.crc32(name.encode()) ^ number
    for index, content in enumerate(damaged(right[seed.target], seed.target, count, stream)):
        (folder / "index").write_text(str(index))
        root = _written({**right, seed.target: content}, folder / "files")
        before = time.process_time()
        fault = _read(seed, root, result)
        taken = time.process_time() - before
        result.slowest = max(result.slowest, taken)
        if fault is None and taken > SECONDS:
            fault = f"{taken:.1f} s of processor time, more than {SECONDS:g}"
        if fault is not None:
            result.faults[index] = fault
            _keep(root / seed.target, failures, name, index)
    return result


def _read(seed: Seed, root: Path, result: Result, *, right: bool = False) -> str | None:
    """Read once; why it is a fault, or None. The `right` files must not be refused."""
    try:
        with _time_limit(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = seed.read(root)
    except Tag2MaskError as error:
        result.refused += 1
        return str(error) or "an error without a message" if right or not str(error).strip() else None
    except TooSlowError:
        return f"more than {SECONDS:g} s of processor time\n{traceback.format_exc(limit=-3)}"
    except Exception:
        return traceback.format_exc(limit=-4)
    result.read += 1
    if isinstance(found, Account) and (silent := found.unsaid()):
        problems = Counter(problem.kind for problem in found.problems)
        return f"left out unsaid: {', '.join(silent)}; problems: {dict(problems)}"
    return None


@contextmanager
def _time_limit() -> Iterator[None]:
    """`TooSlowError` after `SECONDS` of processor time; what does not come back to Python is killed 5 s later."""
    if not hasattr(signal, "SIGPROF"):
        yield
        return

    import resource

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooSlowError

    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    with suppress(ValueError):  # a lower hard limit is the user's
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + 2 * SECONDS) + 1, hard))
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def peak_memory() -> float:
    """MB of this process; 0 where the system does not tell. Not `ru_maxrss`, which begins with that of the parent."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0.0
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024


def _written(files: dict[str, bytes], root: Path) -> Path:
    """A folder with these files and nothing else."""
    shutil.rmtree(root, ignore_errors=True)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def _keep(path: Path, failures: Path, name: str, index: int) -> None:
    if path.is_file():
        failures.mkdir(parents=True, exist_ok=True)
        plain = "".join(letter if letter.isalnum() else "-" for letter in name)
        shutil.copyfile(path, failures / f"{plain}-{index}{path.suffix}")


def _show(name: str, result: Result, count: int, number: int) -> None:
    for index, why in list(result.faults.items())[:_FAULTS_SHOWN]:
        print(f"  reading {index}: " + why.strip().replace("\n", "\n    "))
    if len(result.faults) > _FAULTS_SHOWN:
        print(f"  and {len(result.faults) - _FAULTS_SHOWN} more")
    print(f"  again: python -m tests.hostile.fuzz --only '{name}' --count {count} --seed {number}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
