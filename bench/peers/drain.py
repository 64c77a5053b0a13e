"""Takes whatever is posted to it, and answers 200 at once: a collector that costs next to nothing."""

from __future__ import annotations

import argparse
import asyncio
import re

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


class Drain(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._begun = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._begun += data
        while (end := self._begun.find(b"\r\n\r\n") + 4) > 3:
            found = _LENGTH.search(self._begun[:end])
            whole = end + (int(found[1]) if found else 0)
            if len(self._begun) < whole:
                return
            self._begun = self._begun[whole:]
            if self._transport is not None:
                self._transport.write(_ANSWER)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Drain, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--http_port", type=int, required=True)
    asyncio.run(_serve(parser.parse_args().http_port))


if __name__ == "__main__":
    main()
