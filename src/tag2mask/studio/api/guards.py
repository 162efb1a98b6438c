"""ASGI middleware of the studio: headers of every answer, size of bodies, and the password."""

from __future__ import annotations

import hashlib
import hmac
import html
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from tag2mask.core.hosts import Application, Message, Receive, Scope, Send

MOST_BODY = 96 << 20
"""Bytes of a request's body: a mask of 4096 x 4096 pixels that does not compress is smaller."""

_MOST_FORM = 4096
_COOKIE = "tag2mask_"
_YEAR = 365 * 24 * 3600
_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_LOGIN = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>tag2mask studio: password</title>
<meta name="viewport" content="width=device-width">{refresh}<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
main {{ max-width: 22rem; margin: 20vh auto; padding: 0 1rem }}
input, button {{ font: inherit; padding: .5rem; width: 100%; box-sizing: border-box; margin-top: .5rem }}
</style></head><body><main><h1>tag2mask studio</h1><p role="status">{message}</p>
<form method="post" action="/login"><label>Password<input type="password" name="password" required autofocus
autocomplete="current-password"></label><button>Log in</button></form></main></body></html>
"""


class Headers:
    """Adds the content security policy and its like to every answer."""

    def __init__(self, app: Application):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self.app(scope, receive, with_headers)


class _TooLargeError(Exception):
    """A body went past the limit."""


class BodyLimit:
    """Answers 413 to a body above `MOST_BODY`, before all of it is received."""

    def __init__(self, app: Application, most: int = MOST_BODY):
        self.app = app
        self.most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received, started = 0, False

        async def counting(message_of: Receive = receive) -> Message:
            nonlocal received
            message = await message_of()
            received += len(message.get("body", b""))
            if received > self.most:
                raise _TooLargeError
            return message

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        length = next((value for name, value in scope["headers"] if name.lower() == b"content-length"), b"0")
        try:
            if length.isdigit() and int(length) > self.most:
                raise _TooLargeError
            await self.app(scope, counting, noting)
        except _TooLargeError:
            if started:
                raise
            body = f'{{"error": "the body has more than {self.most >> 20} MiB"}}'.encode()
            await _answer(send, 413, body, b"application/json")


class PasswordGuard:
    """Lets in who has logged in on the page `/login`; a cookie remembers that.

    The cookie is a keyed hash of the password. It ends with the password, or when the project's secret is deleted.
    A right password is answered 200, a wrong one 400, which `LoginThrottle` counts.
    """

    def __init__(self, app: Application, password: str, secret: bytes):
        """Guard an application.

        Args:
            app: the application.
            password: what is asked.
            secret: of the project; whoever knows it could guess passwords from cookies.
        """
        self.app = app
        self._password = password.encode()
        self._name = _COOKIE + hashlib.sha256(secret).hexdigest()[:12]
        self._token = hmac.new(secret, self._password, hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, ask for the password, or answer 401."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"].rstrip("/")
        if path == "/login" and scope["method"] == "POST":
            await self._log_in(receive, send)
        elif self._is_known(scope):
            await self.app(scope, receive, send)
        elif scope["method"] in ("GET", "HEAD") and not path.startswith("/api"):
            await _page(send, 401 if path != "/login" else 200, "This page asks for a password.")
        else:
            await _answer(send, 401, b'{"error": "log in", "remedy": "load the page again"}', b"application/json")

    async def _log_in(self, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            if len(body) > _MOST_FORM or not message.get("more_body"):
                break
        try:
            given = parse_qs(body[:_MOST_FORM].decode()).get("password", [""])[0].encode()
        except (UnicodeDecodeError, ValueError):
            given = b""
        if len(body) > _MOST_FORM or not hmac.compare_digest(given, self._password):
            await _page(send, 400, "Wrong password. After a wrong one the next attempt waits, longer each time.")
            return
        cookie = f"{self._name}={self._token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={_YEAR}"
        refresh = '<meta http-equiv="refresh" content="0;url=/">'
        await _page(send, 200, "Welcome.", refresh, [(b"set-cookie", cookie.encode())])

    def _is_known(self, scope: Scope) -> bool:
        for name, value in scope["headers"]:
            if name.lower() != b"cookie":
                continue
            try:
                found = SimpleCookie(value.decode("latin-1")).get(self._name)
            except CookieError:
                continue
            if found is not None and hmac.compare_digest(found.value.encode(), self._token.encode()):
                return True
        return False


async def _page(
    send: Send, status: int, message: str, refresh: str = "", headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    body = _LOGIN.format(message=html.escape(message), refresh=refresh).encode()
    await _answer(send, status, body, b"text/html; charset=utf-8", headers or [])


async def _answer(
    send: Send, status: int, body: bytes, kind: bytes, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    sent = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *(headers or []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body})
