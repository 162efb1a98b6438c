"""Serving the page."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tag2mask.core.ending import told_to_end
from tag2mask.core.errors import ConfigError
from tag2mask.core.extras import require
from tag2mask.core.hosts import HostGuard, is_loopback, known_hosts
from tag2mask.core.scratch import scratch_folder, sweep
from tag2mask.studio.logins import LoginThrottle
from tag2mask.studio.page import Page
from tag2mask.studio.workbench import Workbench

USER = "tag2mask"
"""Name that a visitor logs in with where there is a password."""

UPLOADS = "tag2mask-app-"
"""How the name of the temporary folder of uploads begins."""

_MOST_UPLOAD = "40mb"
_LOGIN_HINT = f"The user name is {USER}. After a wrong password the next attempt waits, longer each time."
_FONTS = ["system-ui", "sans-serif"]
_HERE = Path(__file__).parent

_log = logging.getLogger(__name__)


def serve_page(
    bench: Workbench,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    password: str | None = None,
    allowed_hosts: Iterable[str] = (),
) -> None:
    """Serve the page until interrupted or terminated; arguments and errors as `open_page`."""
    with (
        told_to_end() as stopped,
        open_page(bench, host=host, port=port, password=password, allowed_hosts=allowed_hosts) as address,
    ):
        _log.info("open %s in a browser; Ctrl+C ends it", address)
        with suppress(KeyboardInterrupt):
            while not stopped.wait(1):
                pass


@contextmanager
def open_page(
    bench: Workbench,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    password: str | None = None,
    allowed_hosts: Iterable[str] = (),
) -> Iterator[str]:
    """Serve the page while the context lasts; uploads lie in a temporary folder, which is removed at the end.

    Requests of other sites' pages are refused, and attempts to log in wait after wrong ones. What a process that was
    killed has left of its uploads is removed at the start.

    Args:
        bench: the network.
        host: address to listen on.
        port: 0 for any free one.
        password: asked of every visitor (user name `USER`); required unless `host` is loopback.
        allowed_hosts: names by which visitors reach the page, such as that of a reverse proxy; `*` for every name.
            Loopback's names are always allowed; on another address every name is where this is empty.

    Yields:
        The address of the page.

    Raises:
        ConfigError: an open address without a password, a port in use, or an allowed host that is no name.
    """
    hosts = known_hosts(host, allowed_hosts)
    if not is_loopback(host) and not password:
        raise ConfigError(f"`host` {host}: anyone who reaches this machine could use the page; set `password`")
    require("app", "the page")
    from starlette.middleware import Middleware

    sweep(UPLOADS)
    with _gradio_folder() as folder:
        page = Page(bench, folder).build()
        page.queue(default_concurrency_limit=8, max_size=64)
        try:
            page.launch(
                server_name=host,
                server_port=port or None,
                auth=(USER, password) if password else None,
                auth_message=_LOGIN_HINT if password else None,
                app_kwargs={"middleware": [Middleware(HostGuard, hosts=hosts), Middleware(LoginThrottle)]},
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
    with scratch_folder(UPLOADS) as folder:
        before = os.environ.get("GRADIO_TEMP_DIR")
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        try:
            yield folder
        finally:
            del os.environ["GRADIO_TEMP_DIR"]
            os.environ.update({} if before is None else {"GRADIO_TEMP_DIR": before})
