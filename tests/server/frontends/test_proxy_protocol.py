"""The line that says who a connection to the main process is for: what is written is read, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from server.frontends.proxy_protocol import LONGEST, addresses, preamble

GET = b"GET /who HTTP/1.1\r\nHost: x\r\n\r\n"
LINE = b"PROXY TCP4 203.0.113.7 10.0.0.1 51234 8080\r\n"


@pytest.mark.parametrize(
    ("client", "server", "line"),
    [
        (("203.0.113.7", 51234), ("10.0.0.1", 8080), LINE),
        (("::1", 1), ("::1", 2), b"PROXY TCP6 ::1 ::1 1 2\r\n"),
        (("::ffff:127.0.0.1", 0), ("::1", 65535), b"PROXY TCP6 ::ffff:127.0.0.1 ::1 0 65535\r\n"),
        (("fe80::1%eth0", 1), ("fe80::2%eth0", 2), b"PROXY TCP6 fe80::1 fe80::2 1 2\r\n"),
        (("f" * 4 + ":ffff" * 7, 65535), ("f" * 4 + ":ffff" * 7, 65535), None),
    ],
)  # fmt: skip
def test_every_address_is_told_as_it_is(client: Any, server: Any, line: bytes | None) -> None:
    told = preamble(client, server)
    assert line is None or told == line
    assert len(told) <= LONGEST
    assert addresses(told) == ((client[0].partition("%")[0], client[1]), (server[0].partition("%")[0], server[1]))


@pytest.mark.parametrize(
    ("client", "server"),
    [
        (None, ("10.0.0.1", 1)), (("10.0.0.1", 1), None), (("10.0.0.1", 1), ("/run/socket", None)),
        (("10.0.0.1", 1), ("::1", 1)), (("somebody", 1), ("10.0.0.1", 1)), (("", 1), ("10.0.0.1", 1)),
    ],
)  # fmt: skip
def test_a_client_without_an_address_is_nobody(client: Any, server: Any) -> None:
    assert addresses(preamble(client, server)) is None


MALFORMED = [
    *(b"PROXY%b\r\n" % rest for rest in (
        b"", b" ", b" TCP4", b" UNKNOWN ", b" UNKNOWN 1.1.1.1 1.1.1.1 1 1", b"  TCP4 1.1.1.1 1.1.1.1 1 1",
        b" UDP4 1.1.1.1 1.1.1.1 1 1", b" tcp4 1.1.1.1 1.1.1.1 1 1", b" TCP6 1.1.1.1 1.1.1.1 1 1", b" TCP4 ::1 ::1 1 1",
        b" TCP4 1.1.1.1 ::1 1 1", b" TCP4 1.1.1.1 1.1.1.1 1", b" TCP4 1.1.1.1 1.1.1.1 1 1 1",
        b" TCP4 1.1.1 1.1.1.1 1 1",
        b" TCP4 1.1.1.1 01.1.1.1 1 1", b" TCP4 1.1.1.1 1.1.1.1 01 1", b" TCP4 1.1.1.1 1.1.1.1 65536 1",
        b" TCP4 1.1.1.1 1.1.1.1 -1 1", b" TCP4 1.1.1.1 1.1.1.1 +1 1", b" TCP4 1.1.1.1 1.1.1.1  1",
        b" TCP4 1.1.1.1 1.1.1.1 1_0 1", b" TCP4 1.1.1.1 1.1.1.1 \xb2 1", b" TCP4 localhost 1.1.1.1 1 1",
        b" TCP6 ::1%lo ::1 1 1", b" TCP4 1.1.1.1\x00 1.1.1.1 1 1", b" TCP4 1.1.1.1\n1.1.1.1 1 1",
        b" TCP4 1.1.1.1 1.1.1.1 1 1 ",
        b" TCP6 " + b"0:" * 60 + b" ::1 1 1",
    )),
    b"", b"\r\n", GET, b"proxy UNKNOWN\r\n", b" PROXY UNKNOWN\r\n", b"PROXY UNKNOWN\n\r\n", b"\r\nPROXY UNKNOWN\r\n",
    LINE[:-1], LINE[:-2] + b"\r", LINE[:-2] + b"\n",
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + b"\x7f\x00\x00\x01" * 3,  # version 2
]  # fmt: skip


@pytest.mark.parametrize("line", MALFORMED)
def test_another_line_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):
        addresses(line)
