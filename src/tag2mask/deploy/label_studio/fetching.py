"""Fetches images over HTTP by the rules of `addresses`, with the token of Label Studio where it belongs.

urllib, not an HTTP library: it is a GET now and then, and every redirect has to be looked at before it is followed.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
import time
import urllib.error
import urllib.request
from email.message import Message
from http.client import HTTPException, HTTPResponse
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

from tag2mask.core.errors import DataError
from tag2mask.deploy.label_studio.addresses import AddressRules, RefusedAddressError, Target, shown

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 3
_PIECE = 1 << 16
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_EARLY_SECONDS = 30
_MOST_JSON = 1 << 20


class NotFetchedError(DataError):
    """An image could not be fetched."""


class Fetcher:
    """Fetches images for one backend; several threads may use it."""

    def __init__(self, rules: AddressRules, token: str | None, *, max_bytes: int, seconds: float = 30.0):
        """Take the rules.

        Args:
            rules: which addresses are fetched.
            token: of a Label Studio account that may see the images: a legacy one, or a personal access token, which is
                exchanged for short-lived ones.
            max_bytes: of an image.
            seconds: for one image.
        """
        self._rules = rules
        self._token = Token(rules, token, seconds) if token else None
        self._max_bytes = max_bytes
        self._seconds = seconds

    def fetch(self, address: str, task: object = None) -> bytes:
        """The content of an image.

        Args:
            address: as the task has it.
            task: id of the task.

        Raises:
            RefusedAddressError: the rules do not allow it.
            NotFetchedError: there is no answer in time, another than the image, or a larger one.
        """
        target = self._rules.target(address, task)
        try:
            return self._get(target)
        except NotFetchedError:
            other = self._rules.fallback(address)
            if other is None:
                raise
            try:
                return self._get(other)
            except NotFetchedError:
                pass
            raise

    def _get(self, target: Target) -> bytes:
        until = time.monotonic() + self._seconds
        for _ in range(_MOST_REDIRECTS + 1):
            headers = {"Accept": "image/*,*/*;q=0.8", "User-Agent": "tag2mask"}
            if target.with_token and self._token is not None:
                headers["Authorization"] = self._token.header()
            try:
                with _open(urllib.request.Request(target.url, headers=headers), self._seconds) as response:
                    return self._read(response, target.url, until)
            except urllib.error.HTTPError as error:
                with error:
                    location = error.headers.get("Location")
                    if error.code not in _REDIRECTS or location is None:
                        raise self._refusal(target, error.code) from None
                target = self._redirected(target, location)
            except (OSError, HTTPException) as error:
                reason = getattr(error, "reason", None) or error
                raise NotFetchedError(f"{shown(target.url)}: not fetched ({reason}); is that address right?") from None
        raise NotFetchedError(f"{shown(target.url)}: redirected more than {_MOST_REDIRECTS} times")

    def _redirected(self, target: Target, location: str) -> Target:
        url = urljoin(target.url, location)
        if target.with_token and "/user/login" in urlsplit(url).path:
            raise self._refusal(target, 401)
        return self._rules.allowed(url)

    def _refusal(self, target: Target, status: int) -> NotFetchedError:
        if target.with_token and status in (401, 403):
            what = "its token" if self._token is not None else "no token was given; give one"
            return NotFetchedError(
                f"{shown(target.url)}: Label Studio refuses it ({status}): {what} as `token`, from Account & Settings, "
                "of an account that may see the project"
            )
        return NotFetchedError(f"{shown(target.url)}: answered {status}")

    def _read(self, response: HTTPResponse, url: str, until: float) -> bytes:
        pieces: list[bytes] = []
        count = 0
        while piece := response.read(_PIECE):
            pieces.append(piece)
            count += len(piece)
            if count > self._max_bytes:
                raise NotFetchedError(f"{shown(url)}: more than {self._max_bytes:,} bytes")
            if time.monotonic() > until:
                raise NotFetchedError(f"{shown(url)}: takes more than {self._seconds:g} seconds")
        return b"".join(pieces)


class Token:
    """What is sent as `Authorization`.

    A legacy token is sent as it is. A personal access token is a JSON Web Token that only serves to get others, which
    live for some minutes (https://labelstud.io/guide/access_tokens).
    """

    def __init__(self, rules: AddressRules, token: str, seconds: float):
        self._rules = rules
        self._given = token.strip()
        self._seconds = seconds
        self._access = ""
        self._until = 0.0
        self._lock = threading.Lock()

    def header(self) -> str:
        """The header's value.

        Raises:
            NotFetchedError: a personal access token is not accepted.
        """
        claims = _claims(self._given)
        if claims is None:
            return f"Token {self._given}"
        if claims.get("token_type") == "access":
            return f"Bearer {self._given}"
        with self._lock:
            if time.time() > self._until - _EARLY_SECONDS:
                self._access = self._refreshed()
                expires = (_claims(self._access) or {}).get("exp")
                self._until = float(expires) if isinstance(expires, int | float) else time.time() + 60
            return f"Bearer {self._access}"

    def _refreshed(self) -> str:
        url = f"{self._rules.base}/api/token/refresh/"
        body = json.dumps({"refresh": self._given}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json", "User-Agent": "tag2mask"})
        try:
            with _open(request, self._seconds) as response:
                access = json.loads(response.read(_MOST_JSON))["access"]
        except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
            raise NotFetchedError(
                f"{shown(url)}: Label Studio does not accept the personal access token ({error!r}); "
                "create a new one under Account & Settings"
            ) from None
        if not isinstance(access, str) or _JWT.fullmatch(access) is None:
            raise NotFetchedError(f"{shown(url)}: Label Studio's answer holds no access token")
        return access


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: `Fetcher` looks at it first."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


_OPENER = urllib.request.OpenerDirector()
for _handler in (
    urllib.request.ProxyHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPErrorProcessor,
    _NoRedirect,
):  # neither file: nor ftp: nor data:
    _OPENER.add_handler(_handler())


def _open(request: urllib.request.Request, seconds: float) -> HTTPResponse:
    response: HTTPResponse = _OPENER.open(request, timeout=seconds)
    return response


def _claims(token: str) -> dict[str, Any] | None:
    """What a JSON Web Token says, unverified; None if it is none."""
    if _JWT.fullmatch(token) is None:
        return None
    middle = token.split(".")[1]
    try:
        found = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except (binascii.Error, ValueError):
        return None
    return found if isinstance(found, dict) else None


__all__ = ["Fetcher", "NotFetchedError", "RefusedAddressError", "Token"]
