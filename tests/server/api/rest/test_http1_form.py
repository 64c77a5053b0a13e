"""A head over HTTP/2 is one head in HTTP/1.1's form, whatever it holds, or none."""

from __future__ import annotations

from typing import Any

import hpack
import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.api.http2.request_head import MalformedHead, request_head
from server.api.rest.http1_form import answer_block, http1_head

Fields = list[tuple[bytes, bytes]]


def head(*more: tuple[bytes, bytes], **changed: bytes) -> Fields:
    fields = {b":method": b"GET", b":scheme": b"http", b":path": b"/a?b=c", b":authority": b"host:1"}
    fields |= {b":" + name.encode(): value for name, value in changed.items()}
    return [*((name, value) for name, value in fields.items() if value), *more]


def form(*more: tuple[bytes, bytes], **changed: bytes) -> Any:
    return http1_head(request_head(head(*more, **changed)))


def test_a_head_line_by_line() -> None:
    found = form((b"x-a", b"1"), (b"cookie", b"a=b"), (b"te", b"trailers"), (b"x-a", b"2"), (b"cookie", b"c=d"))
    lines = b"GET /a?b=c HTTP/1.1\r\nhost: host:1\r\nx-a: 1\r\nx-a: 2\r\ncookie: a=b; c=d\r\n"
    assert found.bytes(ended=True) == lines + b"\r\n"
    assert found.bytes(ended=False) == lines + b"transfer-encoding: chunked\r\n\r\n"
    assert not found.is_head
    assert form(method=b"HEAD").is_head


def test_how_long_the_body_is_is_said_once() -> None:
    found = form((b"content-length", b"7"), (b"content-length", b"7"), method=b"POST")
    assert found.bytes(ended=False).endswith(b"host: host:1\r\ncontent-length: 7\r\n\r\n")


def test_the_host_is_that_of_the_authority() -> None:
    assert b"\r\nhost: host:1\r\n" in form((b"host", b"HOST:1")).bytes(ended=True)
    assert b"\r\nhost: other\r\n" in form((b"host", b"other"), authority=b"").bytes(ended=True)


@pytest.mark.parametrize(
    ("more", "changed"),
    [
        ((), {"path": b"/a HTTP/1.1\x20"}),
        ((), {"path": b"/a\tb"}),
        ((), {"path": b"a"}),
        ((), {"path": b"http://other/a"}),
        ((), {"method": b"GET /b"}),
        ((), {"method": b"get"}),
        ((), {"method": b"CONNECT"}),
        ((), {"method": b"G" * 40}),
        ((), {"authority": b""}),
        ((), {"authority": b"a b"}),
        ((), {"authority": b"a/b"}),
        (((b"x", b"a\x01b"),), {}),
        (((b"host", b"a"), (b"host", b"b")), {"authority": b""}),
        (((b"host", b"other"),), {}),  # as RFC 9113 has it: who is on the way may believe either
        (((b"host", b"host:1"), (b"host", b"host:1")), {}),
    ],
    ids=str,
)
def test_what_http_1_has_no_words_for_is_none(more: Any, changed: dict[str, bytes]) -> None:
    with pytest.raises(MalformedHead):
        form(*more, **changed)


class Parsed:
    """A request as the REST protocol's parser reads it."""

    def __init__(self, data: bytes) -> None:
        self.url = b""
        self.headers: Fields = []
        self.begun = self.whole = 0
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(data)
        self.method = parser.get_method()

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_message_complete(self) -> None:
        self.whole += 1


VALUES = st.one_of(st.binary(max_size=12), st.sampled_from([b"chunked", b"a\tb", b" a ", b"5", b"GET / HTTP/1.1", b""]))
NAMES = st.sampled_from([b"x-a", b"content-length", b"host", b"cookie", b"te", b"expect", b"content-type", b"x_b!"])


@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=5),
    st.one_of(st.just(b"/x"), st.binary(max_size=12), st.builds(lambda rest: b"/" + rest, st.binary(max_size=12))),
    st.one_of(st.sampled_from([b"GET", b"POST", b"DELETE"]), st.binary(max_size=8)),
)
def test_whatever_comes_is_one_request_with_those_headers(more: Fields, path: bytes, method: bytes) -> None:
    try:
        found = form(*more, path=path, method=method)
    except MalformedHead:
        return
    try:
        parsed = Parsed(found.bytes(ended=True))
    except httptools.HttpParserError:  # it is refused as any other is
        return
    assert parsed.begun == 1
    assert (parsed.url, parsed.method) == (path, method)
    assert parsed.whole == (found.length in (None, 0))
    kept = [(name, value.strip(b" \t")) for name, value in more if name == b"x-a"]
    assert [(name, value.strip(b" \t")) for name, value in parsed.headers if name == b"x-a"] == kept
    assert {name for name, _ in parsed.headers} <= {name for name, _ in more} | {b"host"}


def test_an_answers_block() -> None:
    block = answer_block(404, [(b"Content-Type", b"a"), (b"connection", b"close"), (b"transfer-encoding", b"chunked")])
    assert hpack.Decoder().decode(block, raw=True) == [(b":status", b"404"), (b"content-type", b"a")]
