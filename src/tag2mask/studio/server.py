"""Serving the page."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tag2mask.core.errors import ConfigError
from tag2mask.core.extras import require
from tag2mask.studio.page import Page
from tag2mask.studio.workbench import Workbench

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Addresses that other machines cannot reach."""

USER = "tag2mask"
"""Name that a visitor logs in with where there is a password."""

_MOST_UPLOAD = "40mb"
_FONTS = ["system-ui", "sans-serif"]
_HERE = Path(__file__).parent

_log = logging.getLogger(__name__)


def serve_page(bench: Workbench, *, host: str = "127.0.0.1", port: int = 7860, password: str | None = None) -> None:
    """Serve the page until interrupted; arguments and errors as `open_page`."""
    with open_page(bench, host=host, port=port, password=password) as address:
        _log.info("open %s in a browser; Ctrl+C ends it", address)
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(1)


@contextmanager
def open_page(
    bench: Workbench, *, host: str = "127.0.0.1", port: int = 7860, password: str | None = None
) -> Iterator[str]:
    """Serve the page while the context lasts; uploads lie in a temporary folder, which is removed at the end.

    Args:
        bench: the network.
        host: address to listen on.
        port: 0 for any free one.
        password: asked of every visitor (user name `USER`); required unless `host` is loopback.

    Yields:
        The address of the page.

    Raises:
        ConfigError: an open address without a password, or a port in use.
    """
    if host not in LOOPBACK and not password:
        raise ConfigError(f"`host` {host}: anyone who reaches this machine could use the page; set `password`")
    with _gradio_folder() as folder:
        page = Page(bench, folder).build()
        page.queue(default_concurrency_limit=8, max_size=64)
        try:
            page.launch(
                server_name=host,
                server_port=port or None,
                auth=(USER, password) if password else None,
                max_file_size=_MOST_UPLOAD,
                theme=_theme(),
                css=(_HERE / "page.css").read_text(encoding="utf-8"),
                head=f"<script>{(_HERE / 'painter.js').read_text(encoding='utf-8')}</script>",
                footer_links=[],
                ssr_mode=False,
                share=False,
                quiet=True,
                prevent_thread_lock=True,
            )
        except OSError as error:
            raise ConfigError(f"`port` {port}: cannot listen on {host} ({error}); choose another `port`") from None
        try:
            yield str(page.local_url)
        finally:
            page.close(verbose=False)


def _theme() -> Any:
    gr: Any = require("app", "the page", "gradio")
    return gr.themes.Base(primary_hue="blue", font=_FONTS, font_mono=["ui-monospace", "monospace"])


@contextmanager
def _gradio_folder() -> Iterator[Path]:
    """A temporary folder as the one that Gradio stores files in; it takes that from the environment alone."""
    with tempfile.TemporaryDirectory(prefix="tag2mask-app-", ignore_cleanup_errors=True) as folder:
        before = os.environ.get("GRADIO_TEMP_DIR")
        os.environ["GRADIO_TEMP_DIR"] = folder
        try:
            yield Path(folder)
        finally:
            del os.environ["GRADIO_TEMP_DIR"]
            os.environ.update({} if before is None else {"GRADIO_TEMP_DIR": before})
