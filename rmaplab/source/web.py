# SPDX-License-Identifier: GPL-2.0
"""Get a text from a server within limits of time, bytes, redirects and tries.

Proxies and certificates are those of the user's environment (requests); no password is sent. What a
server answers is a stranger's text.
"""

from __future__ import annotations

import queue
import threading
import time
import zlib
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
import urllib3

from rmaplab import __version__
from rmaplab.errors import InfraError, RmaplabError, UserError
from rmaplab.log import log

CONNECT_S, SILENT_S, WHOLE_S = 10.0, 30.0, 300.0
"""The time to connect, between two bytes, and of an answer with all redirects and tries."""
TRIES = 4
PAUSE_S = 0.5
"""The pause before the second try; each later one is twice as long."""
MAX_REDIRECTS = 5
_CHUNK = 1 << 16
_SAVE_IT = "save the mails of the series in a file, and name that"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a server: its status, its media type, and the bytes."""

    url: str
    status: int
    kind: str
    body: bytes

    @property
    def is_page(self) -> bool:
        """True for a web page, whatever its media type says."""
        start = self.body[:200].lstrip().lower()
        return self.kind == "text/html" or start.startswith((b"<!doctype html", b"<html"))


class _AgainError(Exception):
    """A fault that another try may not meet: the connection broke, or the server is overloaded."""


class _Session(requests.Session):
    """A session that sends nobody's password and is not led from https to http."""

    def __init__(self) -> None:
        super().__init__()
        self.max_redirects = MAX_REDIRECTS
        # Requests would unpack an answer without a limit: it is asked for as it is.
        self.headers.update({"User-Agent": f"rmaplab/{__version__}", "Accept-Encoding": "identity"})
        self.auth = _as_it_is  # else requests takes passwords from ~/.netrc

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target and resp.url.startswith("https:") and target.lower().startswith("http:"):
            raise UserError(f"{resp.url} leads to {target!r}, which is not https", hint=_SAVE_IT)
        return target


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def get(url: str, limit: int) -> Answer:
    """Return what a server answers, at most ``limit`` bytes, also for a status of 404.

    Raises UserError for an answer that cannot be taken: too large, too slow, led in a circle, cut,
    refused; InfraError if there is no connection or the server fails, after several tries.
    """
    found: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found.put(_patiently(url, limit))
        except Exception as error:
            found.put(error)

    # No limit of requests' is one of the whole: a server that sends a byte a second keeps them all.
    threading.Thread(target=ask, name=f"get {url}", daemon=True).start()
    try:
        answer = found.get(timeout=WHOLE_S)
    except queue.Empty:
        raise UserError(
            f"{url}: no whole answer within {WHOLE_S:g} s", hint=f"try again later, or {_SAVE_IT}"
        ) from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _patiently(url: str, limit: int) -> Answer:
    """Return the answer, after more tries and longer pauses while the server is unwell."""
    for number in range(TRIES):
        try:
            return _once(url, limit)
        except _AgainError as error:
            if number == TRIES - 1:
                raise InfraError(
                    f"{url}: {error} ({TRIES} tries)",
                    hint="is the network or a proxy (https_proxy) down? try again, or " + _SAVE_IT,
                ) from error
            pause_s = PAUSE_S * 2**number
            log.detail(f"{url}: {error}: trying again in {pause_s:g} s")
            time.sleep(pause_s)  # what it waits for is on another host
    raise AssertionError("no try was made")


def _once(url: str, limit: int) -> Answer:
    try:
        with _Session() as session:
            answer = session.get(url, stream=True, timeout=(CONNECT_S, SILENT_S))
            with answer:
                if answer.status_code >= 500 or answer.status_code == requests.codes.too_many:
                    raise _AgainError(f"the server answers {answer.status_code} {answer.reason}")
                body = _body(answer, limit)
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return Answer(answer.url, answer.status_code, kind, body)
    except RmaplabError:
        raise
    except requests.TooManyRedirects as error:
        raise UserError(
            f"{url} leads from one address to the next, more than {MAX_REDIRECTS} times",
            hint=f"is it the right address? or {_SAVE_IT}",
        ) from error
    except (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError) as error:
        raise UserError(
            f"{url}: the server says nothing for {SILENT_S:g} s",
            hint=f"try again later, or {_SAVE_IT}",
        ) from error
    except requests.exceptions.SSLError as error:
        raise UserError(
            f"{url}: its certificate is not one to trust: {_cause(error)}",
            hint="REQUESTS_CA_BUNDLE names the certificates of your organisation",
        ) from error
    except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
        raise UserError(f"{url} cannot be fetched: {error}", hint=_SAVE_IT) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise _AgainError(_cause(error)) from error
    except zlib.error as error:
        raise UserError(f"{url}: the answer cannot be unpacked: {error}", hint=_SAVE_IT) from error
    except (UnicodeError, ValueError) as error:
        raise UserError(f"{url} is no address of a server: {error}") from error


def _cause(error: BaseException) -> str:
    """Return what is at the bottom of an error of a connection, in the words of the system."""
    inner: object = error
    while isinstance(inner, Exception):
        text = str(inner)
        further = getattr(inner, "reason", None) or (inner.args[0] if inner.args else None)
        if not isinstance(further, Exception):
            return text.rpartition(">: ")[2] or type(inner).__name__
        inner = further
    return str(error)


def _body(answer: requests.Response, limit: int) -> bytes:
    """Return the bytes of an answer; raises UserError for more than the limit, or for a part."""
    said = answer.headers.get("Content-Length", "")
    if said.isdecimal() and int(said) > limit:
        raise _too_large(answer.url, limit, f"{int(said) >> 20} MB")
    inflate = _inflater(answer)
    pieces: list[bytes] = []
    received = size = 0
    for piece in answer.raw.stream(_CHUNK, decode_content=False):
        received += len(piece)
        unpacked = inflate.decompress(piece, limit + 1 - size) if inflate is not None else piece
        size += len(unpacked)
        if size > limit or received > limit:
            raise _too_large(answer.url, limit, "more")
        pieces.append(unpacked)
    if (said.isdecimal() and received < int(said)) or (inflate is not None and not inflate.eof):
        raise _AgainError(f"the connection ended after {received} of {said or 'more'} bytes")
    return b"".join(pieces)


def _inflater(answer: requests.Response) -> zlib._Decompress | None:
    """Return what unpacks an answer that was compressed although that was not asked for."""
    coding = answer.headers.get("Content-Encoding", "").strip().lower()
    if coding in {"", "identity"}:
        return None
    if coding not in {"gzip", "x-gzip"}:
        raise UserError(f"{answer.url}: the answer is packed by {coding!r}", hint=_SAVE_IT)
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)


def _too_large(url: str, limit: int, has: str) -> UserError:
    return UserError(
        f"{url}: a series has at most {limit >> 20} MB, the answer has {has}",
        hint="is it the archive of a whole list? name the Message-ID of one of its mails",
    )


def check(url: str) -> None:
    """Raise UserError for an address that is none of http or https, or that has a password."""
    try:
        parts = urlsplit(url)
        whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise UserError(f"not an address of a server: {url!r}: {error}") from error
    if not whole:
        raise UserError(f"not an address of a server: {url!r}", hint="write https://HOST/...")
    if "@" in parts.netloc:
        raise UserError(
            f"the address for {parts.hostname} has a user or a password in it",
            hint="it would be in every report of the run: take it out, or save the mails in a file",
        )
