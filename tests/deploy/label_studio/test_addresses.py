"""Which addresses are fetched."""

from __future__ import annotations

import pytest

from tag2mask.core.errors import ConfigError
from tag2mask.deploy.label_studio.addresses import AddressRules, RefusedAddressError, Target, local_path
from tests.deploy.label_studio.fake_label_studio import presigned

RULES = AddressRules("https://ls.example.org:8080/labels/", ["images.example.org", "store.local:9000"])
BASE = "https://ls.example.org:8080/labels"


@pytest.mark.parametrize(
    ("address", "url", "with_token"),
    [
        ("/data/upload/7/1a2b3c4d-a.jpg", f"{BASE}/data/upload/7/1a2b3c4d-a.jpg", True),
        ("upload/7/a.jpg", f"{BASE}/data/upload/7/a.jpg", True),
        ("/data/local-files/?d=a/b.jpg", f"{BASE}/data/local-files/?d=a/b.jpg", True),
        (
            "/storage-data/uploaded/?filepath=upload/7/a.jpg",
            f"{BASE}/storage-data/uploaded/?filepath=upload/7/a.jpg",
            True,
        ),
        ("/static/samples/sample.jpg", f"{BASE}/static/samples/sample.jpg", True),
        (f"{BASE}/data/upload/7/a.jpg", f"{BASE}/data/upload/7/a.jpg", True),
        ("s3://bucket/a b.jpg", BASE + presigned("s3://bucket/a b.jpg", 4), True),
        ("gs://bucket/a.jpg", BASE + presigned("gs://bucket/a.jpg", 4), True),
        ("https://images.example.org/a.jpg?x=1", "https://images.example.org/a.jpg?x=1", False),
        ("http://IMAGES.example.org:81/a.jpg", "http://IMAGES.example.org:81/a.jpg", False),
        ("http://store.local:9000/a.jpg", "http://store.local:9000/a.jpg", False),
    ],
)
def test_what_is_fetched(address: str, url: str, with_token: bool) -> None:
    assert RULES.target(address, 4) == Target(url, with_token)


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:9090/health",
        "http://localhost/a.jpg",
        "http://[::1]/a.jpg",
        "http://ls.example.org:8080/labels/data/upload/a.jpg",  # another scheme
        "https://ls.example.org/labels/data/upload/a.jpg",  # another port
        "https://ls.example.org:8080@evil.example/data/upload/a.jpg",
        "https://user:word@images.example.org/a.jpg",
        "https://images.example.org.evil.example/a.jpg",
        "http://store.local:9001/a.jpg",
        "//evil.example/a.jpg",
        "\\\\evil.example\\a.jpg",
        "https://images.example.org\\@evil.example/a.jpg",
        "https://evil.example#images.example.org/a.jpg",
        "file:///etc/passwd",
        "ftp://images.example.org/a.jpg",
        "gopher://images.example.org/a.jpg",
        "jar:https://images.example.org/a.jpg",
        "/api/current-user/token",
        "/data/../api/current-user/token",
        "/data/%2e%2e/api/current-user/token",
        "/data/upload/..%2f..%2fapi/users",
        "/data/a\r\nX-Injected: 1",
        "/user/logout",
        f"{BASE}/api/users",
        "https://ls.example.org:8080/data/upload/a.jpg/../../../api",
        "http://",
        "http://[",
        "https://images.example.org:99999/a.jpg",
        "a.jpg",
        "",
    ],
)
def test_what_is_refused(address: str) -> None:
    with pytest.raises(RefusedAddressError):
        RULES.target(address, 4)


def test_cloud_storage_needs_the_id_of_a_task() -> None:
    for task in (None, "../../api", True, "4"):
        with pytest.raises(RefusedAddressError, match="id of a task"):
            RULES.target("s3://bucket/a.jpg", task)


def test_without_an_address_of_label_studio_nothing_of_it_is_fetched() -> None:
    rules = AddressRules(None, ["images.example.org"])
    for address in ("/data/upload/7/a.jpg", "s3://bucket/a.jpg", "upload/7/a.jpg", "http://localhost:8080/data/a.jpg"):
        with pytest.raises(RefusedAddressError):
            rules.target(address, 4)
    assert rules.fallback("/data/upload/7/a.jpg") is None
    assert not rules.target("https://images.example.org/a.jpg").with_token


def test_secrets_of_presigned_addresses_are_not_shown() -> None:
    with pytest.raises(RefusedAddressError) as error:
        RULES.target("https://bucket.s3.example/a.jpg?X-Amz-Signature=topsecret")
    assert "topsecret" not in str(error.value)


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("/data/local-files/?d=a/b.jpg", "a/b.jpg"),
        ("/data/local-files?d=a%20b/%C3%BC.jpg", "a b/ü.jpg"),
        ("/data/local-files/?d=/a.jpg", "a.jpg"),
        ("/data/local-files/?d=x.jpg&d=y.jpg", "y.jpg"),
        ("http://localhost:8080/data/local-files/?d=a.jpg", "a.jpg"),
        ("/data/upload/7/a.jpg", None),
        ("/data/local-files/", None),
    ],
)
def test_paths_of_local_files(address: str, path: str | None) -> None:
    assert local_path(address) == path


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", "http://user:word@host", "http://", "http://h?x=1"])
def test_addresses_of_label_studio_that_are_none(url: str) -> None:
    with pytest.raises(ConfigError, match="`url`"):
        AddressRules(url)


@pytest.mark.parametrize("host", ["http://host", "host/path", "user@host", "", "host:port"])
def test_hosts_that_are_none(host: str) -> None:
    with pytest.raises(ConfigError, match="`image_hosts`"):
        AddressRules(None, [host])
