"""The process that computes features and fits probes: `python -m tag2mask.studio.suggestion_worker`.

It is the server's child, so that torch takes neither the server's memory nor its time. Commands come as JSON lines on
standard input, answers go as JSON lines to standard output; the last one of a command is `{"ready": true}` or has an
`error`. The process ends with its parent, or when it had nothing to do for a while.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from tag2mask.core.errors import Tag2MaskError
from tag2mask.core.files import atomic_path
from tag2mask.studio.features import Features, Request, compute, load_network, read_features
from tag2mask.studio.probe import probe

_IDLE_SECONDS = 120.0
_NICE = 5


class Worker:
    """Answers commands; keeps the network and the features from one to the next."""

    def __init__(self) -> None:
        self._network: Any = None
        self._loaded: tuple[str, str, str] | None = None
        self._features: dict[Path, dict[str, Features]] = {}

    def answers(self, command: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Do what a command says: `compute` is a `features.Request`, `fit` a folder of features with `tags.npy`."""
        if "compute" in command:
            request = Request(**command["compute"])
            about = request.backbone, request.weights, request.device
            if about != self._loaded:
                self._network, self._loaded = load_network(*about), about
            for done in compute(request, self._network):
                yield {"done": done}
        if "fit" in command:
            self._fit(Path(command["fit"]))

    def _fit(self, folder: Path) -> None:
        """Fit a probe to `tags.npy` (N, C) of the images `keys.npy` (N,), and write `probabilities.npy` (N, C)."""
        keys: list[str] = np.load(folder / "keys.npy", allow_pickle=False).tolist()
        states = np.load(folder / "tags.npy", allow_pickle=False)
        for path in sorted(folder.glob("*.npz")):
            if path not in self._features:
                self._features[path] = read_features(path)
        features = {key: row for part in self._features.values() for key, row in part.items()}
        rows = [row for row, key in enumerate(keys) if key in features]
        found = np.full(states.shape, np.nan, np.float32)
        if rows:
            stacked = np.stack([features[keys[row]] for row in rows]).astype(np.float32)
            found[rows] = probe(stacked, states[rows])
        with atomic_path(folder / "probabilities.npy") as temporary:
            np.save(temporary, found)


def main() -> None:
    """Answer commands until there are none any more."""
    commands: queue.Queue[bytes] = queue.Queue()

    def read() -> None:
        rest = b""
        while more := os.read(0, 1 << 16):  # not `sys.stdin`, whose lock would be held when the interpreter ends
            *lines, rest = (rest + more).split(b"\n")
            for line in lines:
                commands.put(line)
        os._exit(0)

    with suppress(OSError, AttributeError):
        os.nice(_NICE)
    threading.Thread(target=read, daemon=True).start()
    worker = Worker()
    while True:
        try:
            line = commands.get(timeout=_IDLE_SECONDS)
        except queue.Empty:
            return
        last: dict[str, Any] = {"ready": True}
        try:
            for answer in worker.answers(json.loads(line)):
                say(answer)
        except Tag2MaskError as error:
            last = {"error": str(error)}
        say(last)


def say(answer: Mapping[str, Any]) -> None:
    """Send an answer to the server."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
