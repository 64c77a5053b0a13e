"""What takes logged payloads in tests: a collector of CloudEvents over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Events:
    """What has come: lower-case headers, and bodies."""

    url: str = ""
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    status: int = 202  #: to answer with
    refused: bytes | None = None  #: a body that is answered 413, whatever others are
    location: str = ""  #: ... and to send on to
    opened: threading.Event = field(default_factory=threading.Event)  #: until it is set, nobody is answered

    def of(self, identity: str) -> dict[str, tuple[dict[str, str], bytes]]:
        """Those of one request, by the last word of their type."""
        mine = [each for each in self.taken if each[0].get("ce-id") == identity]
        return {headers["ce-type"].rpartition(".")[2]: (headers, body) for headers, body in mine}


@contextmanager
def taking_events() -> Iterator[Events]:
    """One that listens on a port of its own."""
    events = Events()
    events.opened.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            events.opened.wait(60)
            events.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(413 if body == events.refused else events.status)
            if events.location:
                self.send_header("location", events.location)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    events.url = f"http://127.0.0.1:{server.server_address[1]}/events"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield events
    finally:
        events.opened.set()
        server.shutdown()
        server.server_close()
