"""Which addresses of images are fetched: Label Studio's own and those of hosts that were named, nothing else.

Anyone who may create tasks chooses the addresses in them. A backend that fetched whatever they say would be a way into
its network ("server-side request forgery"): to the metadata of a cloud machine, or to a service on loopback. So

- an address of Label Studio is taken only below the paths at which it serves files, and alone gets the token;
- other hosts are those that the operator named; `file:`, `ftp:` and the like are refused;
- the target of a redirect must pass the same rules.

The address that Label Studio sends with `/setup` is not used: whoever reaches this server could send another one.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from tag2mask.core.errors import ConfigError, DataError

_FILES = re.compile(
    r"/(data/|static/|storage-data/uploaded/|(?:tasks|projects)/\d+/(?:presign|resolve|file-proxy)/).*", re.DOTALL
)
"""Paths at which Label Studio serves files; `/data/` has uploads and local files."""

_CLOUD = ("s3://", "gs://", "azure-blob://")
_PORTS = {"http": 80, "https": 443}
_NOT_IN_A_URL = re.compile(r"[\x00-\x20\x7f\\]")
_SHOWN = 120


class RefusedAddressError(DataError):
    """An address of an image that is not fetched."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port."""

    scheme: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Target:
    """What to fetch.

    Attributes:
        url: absolute.
        with_token: whether it is Label Studio's, which gets the token.
    """

    url: str
    with_token: bool


def shown(address: str) -> str:
    """An address for messages, without what a presigned one has as its secret."""
    bare = address if "local-files" in address else address.split("?")[0]
    return repr(bare if len(bare) <= _SHOWN else bare[:_SHOWN] + "...")


def local_path(address: str) -> str | None:
    """The path of `/data/local-files/?d=PATH`, as Label Studio reads it; None where it is another address."""
    parts = _split(address)
    if not parts.path.rstrip("/").endswith("/data/local-files"):
        return None
    values = parse_qs(parts.query, keep_blank_values=True).get("d")
    return values[-1].lstrip("/") if values else None


class AddressRules:
    """The rules of one backend."""

    def __init__(self, label_studio: str | None, hosts: Iterable[str] = ()):
        """Take what the operator allows.

        Args:
            label_studio: address of Label Studio, such as `http://localhost:8080`; None: nothing is fetched from it.
            hosts: names of other hosts, `HOST` or `HOST:PORT`, from which images are fetched over HTTP or HTTPS.

        Raises:
            ConfigError: one of them is no such address or name.
        """
        self._base = ""
        self._origin: Origin | None = None
        if label_studio is not None:
            self._base = label_studio.rstrip("/")
            self._origin = _origin(self._base)
            if self._origin is None or urlsplit(self._base).query:
                raise ConfigError(
                    f"`url` {label_studio!r}: expected the address of Label Studio, such as http://localhost:8080"
                )
        self._hosts: set[tuple[str, int | None]] = set()
        for host in hosts:
            found = _origin(f"http://{host}")
            if found is None or urlsplit(f"http://{host}").path:
                raise ConfigError(
                    f"`image_hosts` {host!r}: expected a host name, such as images.example.org or host:9000"
                )
            self._hosts.add((found.host, urlsplit(f"http://{host}").port))

    @property
    def base(self) -> str | None:
        """Address of Label Studio, without a final slash."""
        return self._base or None

    def target(self, address: str, task: object = None) -> Target:
        """What to fetch for the address in a task.

        Args:
            address: as the task has it.
            task: id of the task, which Label Studio needs for images in cloud storage.

        Raises:
            RefusedAddressError: the rules do not allow it.
        """
        if address.startswith(_CLOUD):
            if type(task) is not int:
                raise RefusedAddressError(f"{shown(address)}: cloud storage is reached by the id of a task alone")
            code = base64.urlsafe_b64encode(address.encode()).decode()
            return self._own(f"/tasks/{task}/presign/?fileuri={code}", address)
        if address.startswith(("upload/", "/upload/")):
            return self._own("/data/" + address.lstrip("/"), address)
        if address.startswith("/") and not address.startswith("//"):
            return self._own(address, address)
        return self.allowed(address)

    def fallback(self, address: str) -> Target | None:
        """Another address of an uploaded file: servers that keep uploads in cloud storage have it there."""
        path = _split(address).path
        found = re.search(r"/data/(upload/.+)", path)
        if found is None or self._origin is None:
            return None
        return self._own(f"/storage-data/uploaded/?filepath={quote(unquote(found[1]))}", address)

    def allowed(self, url: str) -> Target:
        """An absolute address, in a task or from a redirect.

        Raises:
            RefusedAddressError: the rules do not allow it.
        """
        origin = _origin(url)
        if origin is None:
            raise RefusedAddressError(
                f"{shown(url)}: not fetched; images come from Label Studio, over HTTP or HTTPS, or from local folders"
            )
        if origin == self._origin:
            return Target(self._checked(url), with_token=True)
        if {(origin.host, origin.port), (origin.host, None)} & self._hosts:
            return Target(url, with_token=False)
        raise RefusedAddressError(
            f"{shown(url)}: images are not fetched from {origin.host}:{origin.port}; if they shall be, name it in "
            "`image_hosts`"
        )

    def _own(self, path: str, address: str) -> Target:
        if self._origin is None:
            raise RefusedAddressError(
                f"{shown(address)}: an image that Label Studio keeps; give its address as `url` and a `token`, "
                "or the folder of the images as `images`"
            )
        return Target(self._checked(self._base + path), with_token=True)

    def _checked(self, url: str) -> str:
        """An address of Label Studio, if it is one of a file."""
        path = _split(url).path.removeprefix(urlsplit(self._base).path)
        decoded = unquote(path)
        if _NOT_IN_A_URL.search(url) or ".." in re.split(r"[/\\]", decoded) or _FILES.fullmatch(decoded) is None:
            raise RefusedAddressError(
                f"{shown(url)}: not where Label Studio serves files (/data/, /static/, /storage-data/, presigned ones)"
            )
        return url


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError as error:
        raise RefusedAddressError(f"{shown(address)}: not an address ({error})") from None


def _origin(url: str) -> Origin | None:
    """Where an address of HTTP or HTTPS leads; None if it is none, or names a user."""
    if _NOT_IN_A_URL.search(url):
        return None
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:
        return None
    if scheme not in _PORTS or not host or "@" in parts.netloc:
        return None
    return Origin(scheme, host.rstrip("."), port or _PORTS[scheme])
