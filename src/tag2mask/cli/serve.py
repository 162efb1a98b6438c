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
    queue: Annotated[
        int, typer.Option(min=0, help="Images that may wait; more are answered 503 with Retry-After.")
    ] = 16,
    max_megabytes: Annotated[float, typer.Option(min=0.001, help="Largest upload.")] = 20.0,
    max_megapixels: Annotated[float, typer.Option(min=0.001, help="Largest image.")] = 12.5,
    seconds: Annotated[float, typer.Option(min=0.1, help="Longest time for an answer; beyond it 503.")] = 30.0,
    upload_seconds: Annotated[float, typer.Option(min=0.1, help="Longest time for an upload; beyond it 408.")] = 20.0,
    max_memory: Annotated[
        str | None,
        typer.Option(
            help="Memory of the process, such as 2GiB: the CRF of large images works on fewer pixels where it must; "
            "what does not fit is answered 413.",
            show_default="no bound beside the size of images",
        ),
    ] = None,
    header_seconds: Annotated[
        float, typer.Option(min=0.1, help="Longest time for the headers of a request; then the connection is closed.")
    ] = 10.0,
    connections: Annotated[
        int, typer.Option(min=1, help="Open at once; for another one the oldest without a request is closed.")
    ] = 512,
    allowed_hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            help="Name that clients reach the server by, such as a proxy's; repeat for several, `*` for any. Others "
            "are answered 403; without this option, on loopback all but loopback's names, else none.",
            show_default=False,
        ),
    ] = None,
    request_log: Annotated[
        bool, typer.Option("--request-log", help="Log method, path, status, milliseconds and bytes of every request.")
    ] = False,
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
        header_seconds=header_seconds,
        connections=connections,
    )
    run(
        model,
        host=host,
        port=port,
        device=device,
        limits=limits,
        max_memory=max_memory,
        allowed_hosts=allowed_hosts or (),
        request_log=request_log,
    )
