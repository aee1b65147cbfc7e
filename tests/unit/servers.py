# SPDX-License-Identifier: GPL-2.0
"""A web server on this host whose answers a test scripts, by path."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Act = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Server:
    """A server that runs: ``acts`` are its answers by path and query, ``asked`` what came."""

    url: str = ""
    acts: dict[str, Act] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)


def text(body: bytes | str, status: int = 200, **headers: str) -> Act:
    """An answer in whole; ``Content_Type`` stands for the header Content-Type."""
    raw = body.encode() if isinstance(body, str) else body

    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(raw)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(raw)

    return act


def moved(place: str) -> Act:
    return text("", 302, Location=place)


def in_turn(*acts: Act) -> Act:
    """One answer after the other."""
    waiting = list(acts)

    def act(handler: BaseHTTPRequestHandler) -> None:
        waiting.pop(0)(handler)

    return act


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            served.headers.append(dict(self.headers))
            act = served.acts.get(self.path, text("nothing here", 404))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                act(self)

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        served.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
