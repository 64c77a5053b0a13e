"""Heads of requests as RFC 9113, 8.2 and 8.3 have them; the table of what is refused is in `test_connection`."""

from __future__ import annotations

import pytest

from server.api.http2.request_head import MalformedHead, RequestHead, check_trailers, request_head
from tests.server.api.http2.client import HEAD


def test_a_head_is_understood() -> None:
    fields = [*HEAD, (b"te", b"trailers"), (b"content-length", b"7"), (b"content-length", b"7"), (b"x", b" a ")]
    assert request_head(fields) == RequestHead(b"POST", b"/", b"localhost", tuple(fields[4:]), 7)
    assert request_head(HEAD[:3]) == RequestHead(b"POST", b"/", b"", (), None)


@pytest.mark.parametrize(
    "field",
    [(b"content-length", b"-1"), (b"content-length", b"1" * 30), (b"a\x00", b""), (b"", b""), (b"a", b"\x00"),
     (b"a b", b""), (b"upgrade", b"h2c"), (b"keep-alive", b"1"), (b"proxy-connection", b"x")],
    ids=repr,
)  # fmt: skip
def test_fields_that_may_not_be(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(MalformedHead):
        request_head([*HEAD, field])
    if field[0] != b"content-length":
        with pytest.raises(MalformedHead):
            check_trailers([field])


def test_lengths_that_contradict_each_other() -> None:
    with pytest.raises(MalformedHead, match="content-length"):
        request_head([*HEAD, (b"content-length", b"7"), (b"content-length", b"8")])
