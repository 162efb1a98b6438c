"""Honest clients beside clients that hold connections: does anyone honest wait or fail?

    python benchmarks/bench_slow_clients.py MODEL IMAGES [--seconds 60] [--slow 128]

MODEL is a file of `tag2mask export-model` or the folder of a run. A server with default settings runs on loopback.
Beside one client that sends images one after the other and one that asks for /health ten times a second there are, in
turn, for `--seconds` each:

- nobody;
- `--slow` connections that send nothing; one that the server closes is opened again at once;
- as many that send a byte a second of their headers, of an upload's body, and of the body of a request that is
  answered already, a third each;
- as many that send nothing, and 24 clients more that send images as fast as they are answered, so that the
  queue is always full; there 503 is a right answer.

Exit status 1 if an honest request failed.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench_serve import _as_onnx, _await, _free_port, post
from tag2mask.data import list_images

_LOADING = 24
_HEADERS = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 600
_UPLOAD = b"POST /v1/mask HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 9000\r\n\r\n"
_ANSWERED = b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n"


@dataclass
class Honest:
    """What honest clients got.

    Attributes:
        milliseconds: of the answers 200, by kind of request.
        answers: by kind and status.
        failed: requests without a right answer, by reason.
    """

    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, kind: str, request: Callable[[], int], allowed: tuple[int, ...]) -> None:
        """Send one request and count its answer."""
        started = time.perf_counter()
        try:
            status: int | str = request()
        except (OSError, http.client.HTTPException) as error:
            status = type(error).__name__
        taken = 1000 * (time.perf_counter() - started)
        with self.lock:
            self.answers[f"{kind} {status}"] += 1
            if status not in allowed:
                self.failed[f"{kind} {status}"] += 1
            elif status == 200:
                self.milliseconds.setdefault(kind, []).append(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--slow", type=int, default=128)
    args = parser.parse_args()
    contents = [path.read_bytes() for path, _ in list_images(args.images)[:16]]
    with tempfile.TemporaryDirectory() as folder:
        model = _as_onnx(args.model, Path(folder))
        port = _free_port()
        command = [sys.executable, "-m", "tag2mask", "serve", str(model), "--port", str(port)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _await(port)
            for content in contents[:3]:
                post(port, content)
            failed = 0
            for name, slow, load in (
                ("nobody", [], 0),
                ("silent", [b""], 0),
                ("a byte a second", [_HEADERS, _UPLOAD, _ANSWERED], 0),
                ("silent, full load", [b""], _LOADING),
            ):
                failed += _phase(name, port, contents, args, slow, load)
        finally:
            server.terminate()
            server.wait(60)
    print(f"{failed} honest requests failed")
    sys.exit(1 if failed else 0)


def _phase(name: str, port: int, contents: list[bytes], args: argparse.Namespace, slow: list[bytes], load: int) -> int:
    """Run one kind of slow clients beside the honest ones, and print a line; the number of honest failures."""
    honest, end = Honest(), time.monotonic() + args.seconds
    opened: Counter[str] = Counter()
    crowd = threading.Thread(target=lambda: asyncio.run(_crowd(port, args.slow, slow, end, opened)))
    allowed = (200, 503) if load else (200,)

    def images(kind: str) -> None:
        turn = 0
        while time.monotonic() < end:

            def sent(content: bytes = contents[turn % len(contents)]) -> int:
                return int(post(port, content)[0])

            honest.ask(kind, sent, allowed)
            turn += 1

    def health() -> None:
        while time.monotonic() < end:
            honest.ask("health", lambda: _health(port), (200,))
            time.sleep(0.1)

    threads = [threading.Thread(target=images, args=("image",)), threading.Thread(target=health)]
    threads += [threading.Thread(target=images, args=("load",)) for _ in range(load)]
    if slow:
        crowd.start()
        time.sleep(1)
    for thread in threads:
        thread.start()
    for thread in threads + ([crowd] if slow else []):
        thread.join()
    _print(name, honest, opened)
    return sum(honest.failed.values())


async def _crowd(port: int, count: int, kinds: list[bytes], end: float, opened: Counter[str]) -> None:
    """Slow connections until the end, each opened again when the server closes it."""

    async def one(text: bytes) -> None:
        while time.monotonic() < end:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                opened["connections"] += 1
                try:
                    await _hold(reader, writer, text, end)
                finally:
                    writer.close()

    await asyncio.gather(*(one(kinds[index % len(kinds)]) for index in range(count)))


async def _hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes, end: float) -> None:
    """Send a text byte by byte, its request line and headers at once if they are whole, until the server closes."""
    head, blank, _ = text.partition(b"\r\n\r\n")
    at = 0
    if blank:
        writer.write(head + blank)
        text = b"x" * 9000
    while time.monotonic() < end:
        if at < len(text):
            writer.write(text[at : at + 1])
            at += 1
        with suppress(TimeoutError):
            if not await asyncio.wait_for(reader.read(4096), 1.0):
                return


def _health(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/health")
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def _print(name: str, honest: Honest, opened: Counter[str]) -> None:
    words = [f"{name:<18}"]
    for kind in ("image", "health"):
        taken = honest.milliseconds.get(kind, [])
        if taken:
            p50, p99 = (float(np.percentile(taken, share)) for share in (50, 99))
            words.append(f"{kind}: {len(taken)} answered, p50 {p50:.0f} p99 {p99:.0f} most {max(taken):.0f} ms;")
    words.append(f"slow connections opened: {opened['connections']};")
    words.append(f"all answers: {dict(sorted(honest.answers.items()))}; failed: {dict(honest.failed) or 'none'}")
    print(*words, flush=True)


if __name__ == "__main__":
    main()
