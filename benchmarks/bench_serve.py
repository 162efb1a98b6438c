"""Load a server on loopback with good and bad requests, and check every answer.

    python benchmarks/bench_serve.py MODEL IMAGES [--minutes 10] [--clients 3]

MODEL is a file of `tag2mask export-model` or the folder of a run, which is exported first. Beside `--clients`
that send images one after the other there are clients with bad files, ones that break off, ones that
send a byte now and then, and every half minute a burst of 60 images at once, which must be answered 200
or 503. A good answer is right if its mask is that of `Segmenter.predict` on at least 99.9 % of the pixels. Memory
grows by the median of the last tenth of the time over that of the second tenth. Last line:
`serve 1234 good 0 wrong p50 410 ms p99 890 ms memory +1.2 %`. Exit status 1 if an answer was wrong, memory
grew over 5 %, or the server did not answer at the end.
"""

from __future__ import annotations

import argparse
import http.client
import io
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask import Segmenter
from tag2mask.data import list_images

IMAGES = 16


@dataclass
class Load:
    """What is sent, what came back."""

    port: int
    images: list[tuple[bytes, NDArray[np.uint8]]]
    end: float
    lock: threading.Lock = field(default_factory=threading.Lock)
    seconds: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def count(self, kind: str, status: int | str, allowed: tuple[int, ...] = ()) -> None:
        """Count an answer; it is wrong if its status is none of the `allowed`."""
        with self.lock:
            self.answers[f"{kind} {status}"] += 1
            if allowed and status not in allowed:
                self.wrong.append(f"{kind}: {status}")

    def good(self, kind: str, *, busy: bool) -> None:
        """Send an image and compare its mask; with `busy`, 503 is right too."""
        content, expected = random.choice(self.images)
        started = time.perf_counter()
        status, body = post(self.port, content)
        taken = time.perf_counter() - started
        self.count(kind, status, (200, 503) if busy else (200,))
        if status == 200:
            with Image.open(io.BytesIO(body)) as image:
                mask = np.asarray(image)
            equal = mask.shape == expected.shape and float(np.mean(mask == expected)) >= 0.999
            with self.lock:
                if not busy:
                    self.seconds.append(taken)
                if not equal:
                    self.wrong.append(f"{kind}: another mask")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = _as_onnx(args.model, Path(folder))
        images = _images(model, args.images)
        port = _free_port()
        limits = ["--queue", "8", "--upload-seconds", "3", "--max-megapixels", "5", "--max-megabytes", "5"]
        command = [sys.executable, "-m", "tag2mask", "serve", str(model), "--port", str(port), *limits]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _await(port)
            load = Load(port, images, time.monotonic() + 60 * args.minutes)
            memory = _run(load, server.pid, args.clients)
            alive = get(port, "/health") == 200 and server.poll() is None
            load.good("last", busy=False)
        finally:
            server.terminate()
            server.wait(60)
    sys.exit(_report(load, memory, alive=alive))


def _run(load: Load, pid: int, clients: int) -> list[float]:
    """Everything at once until the end; the server's memory in MiB, once a second."""
    kinds: list[Callable[[Load], None]] = [*[_image] * clients, _bad, _broken_off, _slow, _burst]
    threads = [threading.Thread(target=_repeat, args=(kind, load)) for kind in kinds]
    for thread in threads:
        thread.start()
    memory = []
    while time.monotonic() < load.end:
        memory.append(_resident(pid))
        time.sleep(1)
    for thread in threads:
        thread.join()
    return memory


def _repeat(kind: Callable[[Load], None], load: Load) -> None:
    while time.monotonic() < load.end:
        try:
            kind(load)
        except (OSError, http.client.HTTPException) as error:
            load.count(kind.__name__, type(error).__name__)
            with load.lock:
                load.wrong.append(f"{kind.__name__}: {error!r}")


def _image(load: Load) -> None:
    load.good("image", busy=_bursting.is_set())


_bursting = threading.Event()


def _burst(load: Load) -> None:
    """Sixty at once: some must be refused, and afterwards everything is as before."""
    _wait(load, 25)
    if time.monotonic() + 20 > load.end:
        return
    _bursting.set()
    time.sleep(3)  # those on their way are done, and those to come know that 503 is right
    before = load.answers["burst 503"]
    with ThreadPoolExecutor(60) as pool:
        for future in [pool.submit(load.good, "burst", busy=True) for _ in range(60)]:
            future.result()
    if load.answers["burst 503"] == before:
        load.count("burst", "none refused", (503,))
    time.sleep(1)
    _bursting.clear()


def _bad(load: Load) -> None:
    content = load.images[0][0]
    bad = random.choice(
        [
            (b"text that calls itself .jpg" * 9, "image/jpeg", (422,)),
            (content[: len(content) // 2], "image/jpeg", (422,)),
            (b"", "image/png", (422,)),
            (_claims(60_000, 60_000), "image/png", (413, 422)),
            (_claims(3_000, 3_000), "image/png", (413,)),
            (bytes(5_000_001), "image/png", (413,)),
            (content, "text/plain", (415,)),
            (random.randbytes(5_000), "image/webp", (422,)),
        ]
    )
    load.count("bad file", post(load.port, bad[0], bad[1])[0], (*bad[2], 503))
    time.sleep(0.3)


def _broken_off(load: Load) -> None:
    content = load.images[0][0]
    with socket.create_connection(("127.0.0.1", load.port), 20) as connection:
        connection.sendall(_head(len(content)) + content[: random.randrange(len(content) + 1)])
    load.count("broken off", "sent")
    time.sleep(0.5)


def _slow(load: Load) -> None:
    """A byte now and then: answered 408 when its time is over."""
    with socket.create_connection(("127.0.0.1", load.port), 20) as connection:
        connection.sendall(_head(5000))
        connection.settimeout(0.3)
        status = b""
        for _ in range(60):
            try:
                connection.sendall(b"x")
                if status := connection.recv(200):
                    break
            except TimeoutError:
                continue
    code = int(status.split()[1]) if status else 0
    load.count("slow", code, (408, 503))


def post(port: int, body: bytes, kind: str = "image/jpeg") -> tuple[int, bytes]:
    """Status and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before all was sent; the answer is there
            connection.request("POST", "/v1/mask", body, {"Content-Type": kind})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def get(port: int, path: str) -> int:
    """Status of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def _head(length: int) -> bytes:
    text = f"POST /v1/mask HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n"
    return text.encode()


def _claims(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def _as_onnx(model: Path, folder: Path) -> Path:
    if model.suffix == ".onnx":
        return model
    Segmenter.from_pretrained(model).export_onnx(folder / "model.onnx")
    return folder / "model.onnx"


def _images(model: Path, images: Path) -> list[tuple[bytes, NDArray[np.uint8]]]:
    segmenter = Segmenter.from_pretrained(model)
    found = list_images(images)
    chosen = [found[index][0] for index in np.linspace(0, len(found) - 1, IMAGES).astype(int)]
    return [(path.read_bytes(), segmenter.predict(path).mask) for path in chosen]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(port: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if get(port, "/health") == 200:
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the server did not start")


def _wait(load: Load, seconds: float) -> None:
    until = min(load.end, time.monotonic() + seconds)
    while time.monotonic() < until:
        time.sleep(0.2)


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def _report(load: Load, memory: list[float], *, alive: bool) -> int:
    for kind, number in sorted(load.answers.items()):
        print(f"{kind:<24} {number}")
    for reason, number in Counter(load.wrong).most_common(10):
        print(f"WRONG {reason} ({number})")
    tenth = max(1, len(memory) // 10)
    early, late = statistics.median(memory[tenth : 2 * tenth]), statistics.median(memory[-tenth:])
    growth = 100 * (late / early - 1)
    print(f"memory {early:.0f} MiB early, {late:.0f} MiB late, {max(memory):.0f} MiB at most; alive: {alive}")
    p50, p99 = (1000 * float(np.percentile(load.seconds, share)) for share in (50, 99))
    good = sum(number for kind, number in load.answers.items() if kind.endswith(" 200"))
    print(f"serve {good} good {len(load.wrong)} wrong p50 {p50:.0f} ms p99 {p99:.0f} ms memory {growth:+.1f} %")
    return 1 if load.wrong or growth > 5 or not alive else 0


if __name__ == "__main__":
    main()
