"""`tag2mask serve`: masks over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from tag2mask.cli.common import Device, Network, app


@app.command()
def serve(
    model: Network,
    host: Annotated[str, typer.Option(help="Address to listen on; the default is this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    workers: Annotated[int, typer.Option(min=0, help="Images at once; 0: half of the cores.")] = 0,
    queue: Annotated[int, typer.Option(min=0, help="Images that may wait; more are answered 503.")] = 16,
    max_megabytes: Annotated[float, typer.Option(min=0.001, help="Largest upload.")] = 20.0,
    max_megapixels: Annotated[float, typer.Option(min=0.001, help="Largest image.")] = 12.5,
    seconds: Annotated[float, typer.Option(min=0.1, help="Longest time for an answer; beyond it 503.")] = 30.0,
    upload_seconds: Annotated[float, typer.Option(min=0.1, help="Longest time for an upload; beyond it 408.")] = 20.0,
    device: Device = "auto",
) -> None:
    """Serve masks over HTTP, described at /docs, with /health and /metrics."""
    from tag2mask.deploy.serving import Limits
    from tag2mask.deploy.serving.server import serve as run

    limits = Limits(
        max_bytes=int(max_megabytes * 1e6),
        max_pixels=int(max_megapixels * 1e6),
        workers=workers,
        queue=queue,
        seconds=seconds,
        upload_seconds=upload_seconds,
    )
    run(model, host=host, port=port, device=device, limits=limits)
