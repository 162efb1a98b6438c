"""Fetching images from a server that answers as Label Studio does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tag2mask.deploy.label_studio.addresses import AddressRules, RefusedAddressError
from tag2mask.deploy.label_studio.fetching import Fetcher, NotFetchedError
from tag2mask.deploy.label_studio.images import Folder, ImageSource
from tests.deploy.label_studio.fake_label_studio import (
    LEGACY,
    PERSONAL,
    FakeLabelStudio,
    jwt,
    label_studio,
    presigned,
)
from tests.helpers import write_image

IMAGE = b"\x89PNG the bytes of an image"


@pytest.fixture
def server() -> Iterator[FakeLabelStudio]:
    with label_studio() as found:
        yield found


@pytest.fixture
def store() -> Iterator[FakeLabelStudio]:
    """Another server, in the part of cloud storage."""
    with label_studio() as found:
        found.files["/public/a.jpg?signature=1"] = IMAGE
        yield found


def fetcher(server: FakeLabelStudio, token: str | None = LEGACY, *hosts: str, max_bytes: int = 1000) -> Fetcher:
    return Fetcher(AddressRules(server.url, hosts), token, max_bytes=max_bytes, seconds=20)


def test_an_upload_with_a_legacy_token(server: FakeLabelStudio) -> None:
    server.files["/data/upload/7/a.jpg"] = IMAGE
    assert fetcher(server).fetch("/data/upload/7/a.jpg") == IMAGE
    assert server.asked == [("/data/upload/7/a.jpg", f"Token {LEGACY}")]


def test_a_personal_access_token_is_exchanged_once(server: FakeLabelStudio) -> None:
    server.files["/data/upload/7/a.jpg"] = IMAGE
    one = fetcher(server, PERSONAL)
    assert [one.fetch("/data/upload/7/a.jpg") for _ in range(3)] == [IMAGE] * 3
    assert [path for path, _ in server.asked].count("/api/token/refresh/") == 1
    assert all(token is None or not token.endswith(PERSONAL) for _, token in server.asked)


def test_tokens_that_are_not_accepted(server: FakeLabelStudio) -> None:
    server.files["/data/upload/7/a.jpg"] = IMAGE
    for token, message in ((None, "no token was given"), ("wrong", "its token"), (jwt("refresh", 9), "personal")):
        with pytest.raises(NotFetchedError, match=message):
            fetcher(server, token).fetch("/data/upload/7/a.jpg")


def test_an_upload_that_is_kept_in_cloud_storage(server: FakeLabelStudio) -> None:
    server.files["/storage-data/uploaded/?filepath=upload/7/a.jpg"] = IMAGE
    assert fetcher(server).fetch("/data/upload/7/a.jpg") == IMAGE
    with pytest.raises(NotFetchedError, match="404"):
        fetcher(server).fetch("/data/upload/7/b.jpg")


def test_cloud_storage_by_a_redirect_to_a_host_that_was_named(server: FakeLabelStudio, store: FakeLabelStudio) -> None:
    server.moved[presigned("s3://bucket/a.jpg", 4)] = f"{store.url}/public/a.jpg?signature=1"
    host = store.url.removeprefix("http://")
    assert fetcher(server, LEGACY, host).fetch("s3://bucket/a.jpg", 4) == IMAGE
    assert store.asked == [("/public/a.jpg?signature=1", None)], "the token is for Label Studio alone"


def test_a_redirect_to_another_host_is_refused(server: FakeLabelStudio, store: FakeLabelStudio) -> None:
    server.moved["/data/upload/7/a.jpg"] = f"{store.url}/public/a.jpg?signature=1"
    with pytest.raises(RefusedAddressError, match="image_hosts"):
        fetcher(server).fetch("/data/upload/7/a.jpg")
    assert store.asked == []


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a", "/api/users", "http://169.254.169.254/"])
def test_redirects_pass_the_same_rules(server: FakeLabelStudio, target: str) -> None:
    server.moved["/data/upload/7/a.jpg"] = target
    with pytest.raises(RefusedAddressError):
        fetcher(server).fetch("/data/upload/7/a.jpg")


def test_a_redirect_to_the_login_is_a_refused_token(server: FakeLabelStudio) -> None:
    server.moved["/data/upload/7/a.jpg"] = "/user/login/?next=/data/upload/7/a.jpg"
    with pytest.raises(NotFetchedError, match="token"):
        fetcher(server).fetch("/data/upload/7/a.jpg")


def test_redirects_without_end(server: FakeLabelStudio) -> None:
    server.moved["/data/a.jpg"] = "/data/a.jpg"
    with pytest.raises(NotFetchedError, match="redirected"):
        fetcher(server).fetch("/data/a.jpg")


def test_an_image_that_is_too_large(server: FakeLabelStudio) -> None:
    server.files["/data/upload/7/a.jpg"] = bytes(1001)
    with pytest.raises(NotFetchedError, match="more than 1,000 bytes"):
        fetcher(server).fetch("/data/upload/7/a.jpg")


def test_no_server(server: FakeLabelStudio) -> None:
    one = fetcher(server)
    server.shutdown()
    server.server_close()
    with pytest.raises(NotFetchedError, match="not fetched"):
        one.fetch("/data/upload/7/a.jpg")


def source(server: FakeLabelStudio | None, *folders: Path) -> ImageSource:
    rules = AddressRules(None if server is None else server.url)
    return ImageSource(
        rules, Fetcher(rules, LEGACY if server else None, max_bytes=1000), [Folder(folder) for folder in folders]
    )


def test_local_files_are_read_from_the_folders(server: FakeLabelStudio, tmp_path: Path) -> None:
    path = write_image(tmp_path / "photos" / "sub" / "a b.png")
    with source(server, tmp_path / "photos").file("/data/local-files/?d=sub/a%20b.png") as found:
        assert found == path.resolve()
    assert server.asked == []


def test_local_files_that_lead_out_of_the_folders(server: FakeLabelStudio, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    write_image(secret)
    write_image(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "link.png").symlink_to(secret)
    for address in ("../secret.png", "link.png", "%2e%2e/secret.png", "sub/../../secret.png", str(secret)):
        one = source(server, tmp_path / "photos")
        with pytest.raises((RefusedAddressError, NotFetchedError)), one.file(f"/data/local-files/?d={address}"):
            pass
        one = source(None, tmp_path / "photos")
        with pytest.raises(RefusedAddressError), one.file(f"/data/local-files/?d={address}"):
            pass


def test_uploads_are_found_by_their_names_where_nothing_is_fetched(tmp_path: Path) -> None:
    path = write_image(tmp_path / "sub" / "my photo (1).png")
    with source(None, tmp_path).file("/data/upload/7/1a2b3c4d-my_photo_1.png") as found:
        assert found == path.resolve()


def test_an_image_inside_its_task() -> None:
    with source(None).file("data:image/png;base64,aGVsbG8=") as found:
        assert found.read_bytes() == b"hello"
    for address in ("data:image/png;base64,!!", "data:text/html;base64,aGVsbG8=", "data:image/png,x"):
        with pytest.raises(RefusedAddressError), source(None).file(address):
            pass
