# SPDX-License-Identifier: GPL-2.0
"""Series from servers: which addresses there are, and what a server may answer instead."""

from __future__ import annotations

import gzip
import json
import os
import socket
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from rmaplab.errors import ExitCode, InfraError, RmaplabError, UserError
from rmaplab.model import Series
from rmaplab.source import mailbox, online, patchwork, web
from rmaplab.source.series import load
from rmaplab.store.cache import Cache

from .servers import Act, Server, in_turn, moved, serving, text
from .test_mail_threads import ALICE, MALLORY, letter, lines_of, patch, root_of, said, series

LORE = "https://lore.kernel.org/all"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as served:
        yield served


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "PAUSE_S", 0.0)
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name == online.VARIABLE:
            monkeypatch.delenv(name)


def fetch(spec: str, cache: Cache, accept: tuple[str, ...] = ()) -> Series:
    return load(spec, cache.root, accept, cache)


def refused(spec: str, cache: Cache) -> RmaplabError:
    with pytest.raises(RmaplabError) as caught:
        fetch(spec, cache)
    return caught.value


# -- addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "url"),
    [
        ("20260529-rmap-v3@example.org", f"{LORE}/20260529-rmap-v3@example.org/t.mbox.gz"),
        ("<a/b+c@example.org>", f"{LORE}/a%2Fb%2Bc@example.org/t.mbox.gz"),
        ("<../../../x@y>", f"{LORE}/..%2F..%2F..%2Fx@y/t.mbox.gz"),
        ("https://lore.kernel.org/r/a@b.c", f"{LORE}/a@b.c/t.mbox.gz"),
        ("https://patch.msgid.link/a@b.c", f"{LORE}/a@b.c/t.mbox.gz"),
        ("https://lore.kernel.org/linux-mm/a@b.c/T/#u",
         "https://lore.kernel.org/linux-mm/a@b.c/t.mbox.gz"),
        ("http://box.example:8080/x/linux-mm/a%2Fb@c/raw",
         "http://box.example:8080/x/linux-mm/a%2Fb@c/t.mbox.gz"),
    ],
)  # fmt: skip
def test_a_message_id_is_one_of_an_archive(spec: str, url: str) -> None:
    place = online.place_of(spec)
    assert place is not None
    assert (place.url, place.patchwork) == (url, None)
    assert place.message_id


def test_the_archive_is_that_of_the_option_then_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(online.VARIABLE, "https://env.example/mm/")
    places = online.place_of("a@b.c"), online.place_of("a@b.c", "https://option.example/x")
    assert [place.url if place else "" for place in places] == [
        "https://env.example/mm/a@b.c/t.mbox.gz",
        "https://option.example/x/a@b.c/t.mbox.gz",
    ]
    assert online.qualified("a@b.c", "https://o.example/x") == "https://o.example/x/a@b.c/"
    assert online.qualified("patches/x", "https://o.example/x") == "patches/x"


@pytest.mark.parametrize(
    ("path", "kind", "number"),
    [
        ("/project/linux-mm/list/?series=123", "series", "123"),
        ("/project/linux-mm/list/?submitter=9&series=123&state=*", "series", "123"),
        ("/series/123/mbox/", "series", "123"),
        ("/api/series/123/", "series", "123"),
        ("/api/1.3/series/123/", "series", "123"),
        ("/api/1.2/patches/7", "patches", "7"),
        ("/patch/7/", "patches", "7"),
        ("/project/linux-mm/patch/a-1@b.c/", "patches", "a-1@b.c"),
        ("/project/linux-mm/patch/a-1@b.c/mbox/", "patches", "a-1@b.c"),
        ("/project/linux-mm/cover/a-0@b.c/", "covers", "a-0@b.c"),
        ("/api/covers/7/", "covers", "7"),
    ],
)
@pytest.mark.parametrize("root", ["https://patchwork.example", "https://x.example/patchwork"])
def test_the_addresses_of_a_patchwork(root: str, path: str, kind: str, number: str) -> None:
    assert patchwork.place_of(root + path) == patchwork.Place(root, kind, number)


@pytest.mark.parametrize(
    "spec",
    ["http://", "https://user:secret@host/a@b.c", "http://[::1/x", "https://:1/x"],
)
def test_an_address_that_is_none_is_refused(spec: str, cache: Cache) -> None:
    error = refused(spec, cache)
    assert error.exit_code is ExitCode.USAGE
    assert "secret" not in error.message


def test_a_name_that_is_no_series_at_all_says_what_one_is(cache: Cache) -> None:
    error = refused("patches/no-such-series", cache)
    assert "Message-ID" in error.hint


# -- what a server gives ---------------------------------------------------------------------------


def thread() -> list[bytes]:
    """A thread with v1, v2 and an answer."""
    first = series("", 2)
    return [
        *first,
        letter("Re: [PATCH 1/2] mm: a series, part 1", "Reviewed-by: Bob\n", "re", root_of(first)),
        *series("v2", 2, day=3, to=root_of(first)),
    ]


def box(*mails: bytes) -> bytes:
    return gzip.compress(b"".join(mails))


def at(server: Server, name: str) -> str:
    return f"/all/{quote(name)}@example.org/t.mbox.gz"


def test_of_a_thread_the_newest_version_is_taken(
    server: Server, cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    mails = thread()
    server.acts[at(server, root_of(mails))] = text(box(*mails))
    found = fetch(f"{server.url}/all/{root_of(mails)}@example.org/", cache)
    assert lines_of(found) == [f"v2 by {ALICE}"] * 2
    assert (found.version, found.name) == ("v2", "mm-a-series")
    assert "v2 is taken, not v1" in said(capsys)
    older = fetch(f"{server.url}/all/{root_of(mails)}@example.org/", cache, ("v1",))
    assert lines_of(older) == [f"v1 by {ALICE}"] * 2


@pytest.mark.parametrize("kind", ["cover", "patch", "answer"])
def test_any_mail_of_a_series_names_it(kind: str, server: Server, cache: Cache) -> None:
    mails = thread()
    name = {"cover": root_of(mails), "patch": root_of(mails[2:]), "answer": "re"}[kind]
    server.acts[at(server, name)] = text(box(*mails))
    assert lines_of(fetch(f"{server.url}/all/{name}@example.org", cache))[0] == f"v2 by {ALICE}"


def test_of_two_series_in_a_thread_the_named_one_is_taken(
    server: Server, cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    first = series("", 2)
    other = series("", 3, title="mm: another one", to=root_of(first))
    strange = series("", 1, title="mm: a third", sender=MALLORY, to=root_of(first))
    mails = [*first, *other, *strange]
    for one in (first, other, strange):
        server.acts[at(server, root_of(one))] = text(box(*mails))
    names = {}
    for one in (first, other, strange):
        found = fetch(f"{server.url}/all/{root_of(one)}@example.org", cache)
        names[found.name] = len(found.patches)
    assert names == {"mm-a-series": 2, "mm-another-one": 3, "mm-a-third": 1}
    assert "is another series of the thread; to test it: --series" in said(capsys)


def test_a_part_that_was_sent_again_completes_the_named_series(
    server: Server, cache: Cache
) -> None:
    first = series("", 3)
    again = letter(
        "[PATCH v2 2/3] mm: a series, part 2", patch("a-series-2", f"v2 by {ALICE}"), "again",
        root_of(first[2:]), day=2,
    )  # fmt: skip
    server.acts[at(server, root_of(first))] = text(box(*first, again))
    found = fetch(f"{server.url}/all/{root_of(first)}@example.org", cache)
    assert lines_of(found) == [f"{v} by {ALICE}" for v in ("v1", "v2", "v1")]


def test_a_file_of_a_server_is_a_series(server: Server, cache: Cache) -> None:
    server.acts["/x/series.mbox"] = text(b"".join(series("", 2)))
    assert len(fetch(f"{server.url}/x/series.mbox", cache).patches) == 2


def test_what_was_fetched_is_not_fetched_again_soon(
    server: Server, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    mails, spec = series("", 2), f"{server.url}/x.mbox"
    server.acts["/x.mbox"] = text(b"".join(mails))
    assert fetch(spec, cache) == fetch(spec, cache)
    assert server.asked == ["/x.mbox"]
    monkeypatch.setattr(online, "FRESH_S", 0.0)
    fetch(spec, cache)
    assert server.asked == ["/x.mbox"] * 2


def test_a_cached_answer_that_is_damaged_is_fetched_again(server: Server, cache: Cache) -> None:
    server.acts["/x.mbox"] = text(b"".join(series("", 2)))
    fetch(f"{server.url}/x.mbox", cache)
    (body,) = (cache.root / "mails").glob("*/body")
    body.write_bytes(body.read_bytes()[:-30])
    assert len(fetch(f"{server.url}/x.mbox", cache).patches) == 2
    assert len(server.asked) == 2


def test_without_a_network_the_cache_has_what_was_fetched(
    server: Server,
    cache: Cache,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.acts["/x.mbox"] = text(b"".join(series("", 2)))
    spec = f"{server.url}/x.mbox"
    first = fetch(spec, cache)
    monkeypatch.setattr(online, "FRESH_S", 0.0)
    server.acts["/x.mbox"] = text("no", 503)
    assert fetch(spec, cache) == first
    assert "taking what was fetched 0 minutes ago" in said(capsys)


def test_a_server_that_is_unwell_is_asked_again(server: Server, cache: Cache) -> None:
    good = text(b"".join(series("", 2)))
    server.acts["/x.mbox"] = in_turn(text("no", 503), cut(b"From ", 500), text("no", 502), good)
    assert len(fetch(f"{server.url}/x.mbox", cache).patches) == 2


def test_the_proxy_of_the_environment_is_asked(
    server: Server, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    server.acts["http://lists.invalid/x.mbox"] = text(b"".join(series("", 2)))
    assert len(fetch("http://lists.invalid/x.mbox", cache).patches) == 2


def test_no_password_of_the_user_is_sent(
    server: Server, cache: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.acts["/x.mbox"] = text(b"".join(series("", 2)))
    fetch(f"{server.url}/x.mbox", cache)
    assert not [name for name in server.headers[0] if name.lower() == "authorization"]


# -- what a server may do instead ------------------------------------------------------------------


def cut(body: bytes, length: int) -> Act:
    """An answer that ends before its announced length."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True

    return act


def endless(piece: bytes) -> Act:
    """An answer without a length and without an end."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(piece)

    return act


def hanging(server: Server, said: bytes = b"") -> Act:
    """A server that says no more."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(said)
        server.ended.wait()

    return act


def slow(server: Server) -> Act:
    """A server that sends a byte now and then, never too late for a limit of silence."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not server.ended.wait(0.05):
            handler.wfile.write(b"x")

    return act


def bomb() -> bytes:
    """More than a series may have, in a few kilobytes."""
    inner = zlib.compressobj(9, wbits=31)
    zeros = b"\n" * (1 << 20)
    return b"".join([*(inner.compress(zeros) for _ in range(80)), inner.flush()])


ODD: dict[str, tuple[Callable[[Server], Act], str]] = {
    "a web page": (lambda _: text("<!DOCTYPE html><p>x", Content_Type="text/html"), "a web page"),
    "a page of another type": (lambda _: text("\n<html>"), "a web page"),
    "nothing": (lambda _: text(""), "neither an mbox nor a patch"),
    "words": (lambda _: text("hello\n"), "neither an mbox nor a patch"),
    "not there": (lambda _: text("no", 404), "has no mail with the Message-ID <a@b.c>"),
    "forbidden": (lambda _: text("no", 403), "answers 403"),
    "a truncated gzip": (lambda _: text(box(*series("", 2))[:-20]), "ended before"),
    "a damaged gzip": (lambda _: text(b"\x1f\x8b\x08" + bytes(90)), "cannot be read"),
    "a gzip bomb": (lambda _: text(bomb()), "at most 64 MB"),
    "a bomb on the way": (
        lambda _: text(bomb(), Content_Encoding="gzip"), "at most 64 MB"),
    "an unknown packing": (lambda _: text(b"x", Content_Encoding="zstd"), "packed by 'zstd'"),
    "two gigabytes": (lambda _: cut(b"From ", 2 << 30), "2048 MB"),
    "an answer without an end": (lambda _: endless(b"x" * 65536), "at most 64 MB"),
    "a redirect loop": (lambda _: moved("t.mbox.gz"), "more than 5 times"),
    "a redirect to a file": (lambda _: moved("file:///etc/passwd"), "cannot be fetched"),
    "a server that hangs": (hanging, "says nothing for"),
    "a server that hangs in the middle": (
        lambda s: hanging(s, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nFrom "),
        "says nothing for"),
    "a server that is slow": (slow, "no whole answer within"),
    "another thread": (lambda _: text(box(*series("", 2))), "no mail <a@b.c> in this thread"),
    "an answer without patches": (
        lambda _: text(box(letter("Re: x", "Hello\n", "a").replace(b"a@example.org", b"a@b.c"))),
        "no patch in it"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_whatever_a_server_answers_the_user_hears_what_to_do(
    name: str, server: Server, cache: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(web, "SILENT_S", 0.5)
    monkeypatch.setattr(web, "WHOLE_S", 1.5 if name == "a server that is slow" else 60.0)
    act, message = ODD[name]
    server.acts["/mm/a@b.c/t.mbox.gz"] = act(server)
    error = refused(f"{server.url}/mm/a@b.c/", cache)
    assert message in error.message
    assert error.hint
    assert error.exit_code is ExitCode.USAGE
    assert {path.name for path in tmp_path.iterdir()} == {"cache"}


def test_a_server_that_is_down_is_no_mistake_of_the_users(cache: Cache) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        error = refused(f"http://127.0.0.1:{port}/x.mbox", cache)
    assert isinstance(error, InfraError)
    assert "refused" in error.message
    assert "4 tries" in error.message


def test_a_host_without_an_address_is_told_in_plain_words(cache: Cache) -> None:
    error = refused("http://no-such-host.invalid/x.mbox", cache)
    assert isinstance(error, InfraError)
    assert "<urllib3" not in error.message


def test_the_way_from_https_to_http_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    session = web._Session()
    answer = requests.Response()
    answer.status_code, answer.url = 302, "https://lists.example/x"
    answer.headers["Location"] = "http://lists.example/x"
    with pytest.raises(UserError, match="not https"):
        session.get_redirect_target(answer)


# -- Patchwork -------------------------------------------------------------------------------------


def patchwork_server(server: Server, **changes: object) -> None:
    """A Patchwork with series 5: two patches and a cover letter, in its documented JSON."""
    cover, *patches = series("v2", 2)
    host = {"project": {"id": 1, "name": "mm"}, "submitter": {"id": 2, "name": "Alice"}}
    about = {
        "id": 5, "url": f"{server.url}/api/1.2/series/5/", "name": "mm: a series",
        "date": "2025-01-30T12:00:00", "version": 2, "total": 2, "received_total": 2,
        "received_all": True, "mbox": f"{server.url}/series/5/mbox/", **host,
        "cover_letter": {"id": 6, "msgid": f"<{root_of([cover])}@example.org>",
                         "mbox": f"{server.url}/cover/6/mbox/"},
        "patches": [{"id": 7 + n, "mbox": f"{server.url}/patch/{7 + n}/mbox/"} for n in range(2)],
        **changes,
    }  # fmt: skip
    one = {"id": 8, "msgid": "<a-2@example.org>", "mbox": f"{server.url}/patch/8/mbox/",
           "series": [{"id": 5, "version": 2}], **host}  # fmt: skip
    server.acts |= {
        "/api/1.2/series/5/": text(json.dumps(about), Content_Type="application/json"),
        "/api/1.2/patches/8/": text(json.dumps(one)),
        "/api/1.2/patches/?msgid=a-2@example.org": text(json.dumps([one])),
        "/api/1.2/patches/?msgid=nobody@example.org": text("[]"),
        "/cover/6/mbox/": text(cover),
        "/series/5/mbox/": text(
            b"".join(
                one.replace(b"Subject: [PATCH v2 ", b"Subject: [v2,").replace(
                    b"Message-ID:", b"X-Patchwork-Id: 9\nMessage-Id:"
                )
                for one in patches
            )
        ),
    }


@pytest.mark.parametrize(
    "path",
    [
        "/project/mm/list/?series=5",
        "/api/1.3/series/5/",
        "/patch/8/",
        "/project/mm/patch/a-2@example.org/",
    ],
)
def test_a_series_of_a_patchwork_by_any_of_its_addresses(
    path: str, server: Server, cache: Cache
) -> None:
    patchwork_server(server)
    found = fetch(server.url + path, cache)
    assert lines_of(found) == [f"v2 by {ALICE}"] * 2
    assert (found.version, found.name) == ("v2", "mm-a-series")
    assert "Hello" in found.cover


def test_a_patch_of_no_series_is_taken_by_itself(server: Server, cache: Cache) -> None:
    patchwork_server(server)
    one = {"id": 8, "series": [], "mbox": f"{server.url}/patch/8/mbox/"}
    server.acts["/api/1.2/patches/8/"] = text(json.dumps(one))
    server.acts["/patch/8/mbox/"] = text(letter("[PATCH] x", patch("x", "v1"), "a"))
    assert len(fetch(f"{server.url}/patch/8/", cache).patches) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"received_all": False, "total": 4}, "has 2 of the 4 patches"),
        ({"patches": []}, "has 0 of the 2 patches"),
        ({"patches": None}, "no patches as Patchwork's API says"),
        ({"mbox": None}, "no mbox as Patchwork's API says"),
        ({"mbox": "http://127.0.0.1:1/series/5/mbox/"}, "an mbox of another server"),
        ({"mbox": "file:///etc/passwd"}, "an mbox of another server"),
    ],
)
def test_a_patchwork_that_has_not_all_or_says_something_else(
    change: dict[str, object], message: str, server: Server, cache: Cache
) -> None:
    patchwork_server(server, **change)
    error = refused(f"{server.url}/series/5/", cache)
    assert message in error.message
    assert (error.exit_code, bool(error.hint)) == (ExitCode.USAGE, True)


@pytest.mark.parametrize("answer", ["[]", "{", "5", "[" * 100_000, "<html>"])
def test_an_answer_that_is_not_the_apis_is_refused(
    answer: str, server: Server, cache: Cache
) -> None:
    server.acts["/api/1.2/series/5/"] = text(answer)
    error = refused(f"{server.url}/series/5/", cache)
    assert error.exit_code is ExitCode.USAGE


def test_an_unknown_mail_of_a_patchwork_is_said(server: Server, cache: Cache) -> None:
    patchwork_server(server)
    error = refused(f"{server.url}/project/mm/patch/nobody@example.org/", cache)
    assert "no such mail in this Patchwork" in error.message


def test_the_limits_are_those_of_a_series(server: Server, cache: Cache) -> None:
    mails = b"".join(letter(f"[PATCH {n}/5000] x", patch(f"x{n}"), f"m{n}") for n in range(1, 5001))
    assert len(mails) < mailbox.MAX_BYTES
    server.acts["/x.mbox"] = text(mails)
    assert "5000 patches is too long" in refused(f"{server.url}/x.mbox", cache).message
