# SPDX-License-Identifier: GPL-2.0
"""Archives over HTTP: resumed, fetched afresh, never accepted with another digest."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rmaplab.errors import InfraError, UserError
from rmaplab.source import download
from rmaplab.store.cache import Cache

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Mirror:
    """A server whose answers a test scripts; ``asked`` are the Range headers that came."""

    url: str
    answers: list[Callable[[BaseHTTPRequestHandler], None]]
    asked: list[str] = field(default_factory=list)
    encodings: list[str] = field(default_factory=list)


def _start(handler: BaseHTTPRequestHandler, status: int, length: int, *headers: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(length))
    for header in headers:
        handler.send_header(*header.split(": ", 1))
    handler.end_headers()


def whole(handler: BaseHTTPRequestHandler) -> None:
    _start(handler, 200, len(CONTENT))
    handler.wfile.write(CONTENT)


def cut(handler: BaseHTTPRequestHandler) -> None:
    """Promise everything, send the first 70000 bytes, hang up."""
    _start(handler, 200, len(CONTENT))
    handler.wfile.write(CONTENT[:70000])
    handler.close_connection = True


def rest(handler: BaseHTTPRequestHandler) -> None:
    start = int(handler.headers["Range"].removeprefix("bytes=").rstrip("-"))
    if start >= len(CONTENT):
        _start(handler, 416, 0)
        return
    _start(
        handler, 206, len(CONTENT) - start,
        f"Content-Range: bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}",
    )  # fmt: skip
    handler.wfile.write(CONTENT[start:])


def other(handler: BaseHTTPRequestHandler) -> None:
    _start(handler, 200, len(CONTENT))
    handler.wfile.write(CONTENT[::-1])


def absent(handler: BaseHTTPRequestHandler) -> None:
    _start(handler, 404, 0)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.headers.get("Range", ""))
            served.encodings.append(self.headers.get("Accept-Encoding", ""))
            served.answers.pop(0)(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Mirror(f"http://127.0.0.1:{server.server_port}/linux.tar", [])
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield served
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def partials(cache: Cache) -> list[Path]:
    return list((cache.root / "downloads").glob(".*.part"))


def test_an_archive_is_fetched_once(tmp_path: Path, mirror: Mirror) -> None:
    mirror.answers = [whole]
    cache = Cache(tmp_path)
    path = download.archive(mirror.url, SHA256, cache)
    assert path.read_bytes() == CONTENT
    assert download.archive(mirror.url, SHA256, cache) == path
    assert mirror.asked == [""]
    assert partials(cache) == []


def test_the_bytes_are_asked_for_as_they_lie_there(tmp_path: Path, mirror: Mirror) -> None:
    """A server that unpacks a tar.gz on the way would break its digest and the resuming."""
    mirror.answers = [whole]
    download.archive(mirror.url, SHA256, Cache(tmp_path))
    assert mirror.encodings == ["identity"]


def test_a_broken_download_goes_on_where_it_stopped(tmp_path: Path, mirror: Mirror) -> None:
    mirror.answers = [cut, rest]
    cache = Cache(tmp_path)
    with pytest.raises(InfraError, match="failed") as caught:
        download.archive(mirror.url, SHA256, cache)
    assert "goes on where it stopped" in caught.value.hint
    (part,) = partials(cache)
    kept = part.read_bytes()
    assert len(kept) >= 65536
    assert CONTENT.startswith(kept)
    assert download.archive(mirror.url, SHA256, cache).read_bytes() == CONTENT
    assert mirror.asked == ["", f"bytes={len(kept)}-"]


def test_a_server_that_cannot_resume_sends_everything_again(tmp_path: Path, mirror: Mirror) -> None:
    mirror.answers = [cut, whole]
    cache = Cache(tmp_path)
    with pytest.raises(InfraError):
        download.archive(mirror.url, SHA256, cache)
    assert download.archive(mirror.url, SHA256, cache).read_bytes() == CONTENT


@pytest.mark.parametrize("size", [1000, len(CONTENT), len(CONTENT) + 10])
def test_a_damaged_part_is_fetched_afresh_once(tmp_path: Path, mirror: Mirror, size: int) -> None:
    cache = Cache(tmp_path)
    part = cache.path("downloads", f".{SHA256[:16]}-linux.tar.part")
    part.parent.mkdir()
    part.write_bytes(b"\0" * size)
    mirror.answers = [rest, whole]
    assert download.archive(mirror.url, SHA256, cache).read_bytes() == CONTENT
    assert mirror.asked == [f"bytes={size}-", ""]


def test_another_digest_is_refused_and_leaves_nothing(tmp_path: Path, mirror: Mirror) -> None:
    mirror.answers = [other, other]
    cache = Cache(tmp_path)
    with pytest.raises(InfraError, match=f"wanted {SHA256}"):
        download.archive(mirror.url, SHA256, cache)
    assert partials(cache) == []
    assert list(cache.entries()) == []


def test_an_archive_that_was_damaged_in_the_cache_is_fetched_again(
    tmp_path: Path, mirror: Mirror
) -> None:
    mirror.answers = [whole, whole]
    cache = Cache(tmp_path)
    download.archive(mirror.url, SHA256, cache).write_bytes(b"rot")
    assert download.archive(mirror.url, SHA256, cache).read_bytes() == CONTENT


def test_what_the_server_does_not_have_is_an_error_that_says_so(
    tmp_path: Path, mirror: Mirror
) -> None:
    mirror.answers = [absent]
    with pytest.raises(InfraError, match="404"):
        download.archive(mirror.url, SHA256, Cache(tmp_path))


def test_a_server_that_is_not_there_is_the_labs_fault(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="failed"):
        download.archive("http://127.0.0.1:1/linux.tar", SHA256, Cache(tmp_path))


def test_a_local_archive_is_used_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "linux.tar"
    path.write_bytes(CONTENT)
    assert download.archive(str(path), SHA256, Cache(tmp_path / "cache")) == path
    assert not (tmp_path / "cache").exists()


def test_a_local_archive_with_another_digest_is_the_users_mistake(tmp_path: Path) -> None:
    path = tmp_path / "linux.tar"
    path.write_bytes(b"x")
    with pytest.raises(UserError, match="another sha256"):
        download.archive(str(path), SHA256, Cache(tmp_path / "cache"))
    with pytest.raises(UserError, match="there is no archive"):
        download.archive(str(tmp_path / "none.tar"), SHA256, Cache(tmp_path / "cache"))
