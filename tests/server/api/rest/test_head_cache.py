"""Which heads are understood without uvicorn, and that strangers cannot fill the memory with them."""

from __future__ import annotations

import pytest

from server.api.rest.head_cache import (
    MAX_BODY,
    MAX_HEAD,
    MAX_HEADS,
    HeadCache,
    HeadRules,
    IdentifyingHeadCache,
    head_cache,
    is_cloudevent,
)

V1 = "/v1/models/iris:predict"


def head(path: str = V1, *more: str, length: object = 7, method: str = "POST", version: str = "1.1") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: x", f"Content-Length: {length}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def test_a_plain_request_is_understood() -> None:
    parsed = HeadCache().parse(head("/v2/models/iris/versions/3/infer", "Inference-Header-Content-Length: 5", "X-A: b"))
    assert parsed is not None
    assert (parsed.protocol, parsed.model, parsed.version) == ("v2", "iris", "3")
    assert (parsed.length, parsed.json_length) == (7, "5")
    assert (b"x-a", b"b") in parsed.headers
    assert parsed.path == b"/v2/models/iris/versions/3/infer"


@pytest.mark.parametrize(
    "other",
    [
        head(method="GET"),
        head(method="PUT"),
        head(version="1.0"),
        head(V1, "Connection: close"),
        head(V1, "Expect: 100-continue"),
        head(V1, "Transfer-Encoding: chunked"),
        head(V1, "Content-Encoding: gzip"),
        head(V1, "Connection: Upgrade", "Upgrade: h2c"),
        head(V1, "ce-id: 1"),
        head(V1, "Content-Type: application/cloudevents+json"),
        head(V1, "Content-Length: 7"),
        head(length=0),
        head(length=MAX_BODY + 1),
        head(length="+7"),
        head(length=""),
        head("/v1/models/iris:explain"),
        head("/v2/models/iris/generate"),
        head("/v1/models/i%72is:predict"),
        head(f"{V1}?a=b"),
        head("/nowhere"),
        b"POST " + V1.encode(),
        b"\x16\x03\x01\x02\x00\r\n\r\n",
    ],
)
def test_anything_else_is_left_to_the_general_way(other: bytes) -> None:
    assert HeadCache().parse(other) is None


def test_the_longest_body_is_still_plain() -> None:
    parsed = HeadCache().parse(head(length=MAX_BODY))
    assert parsed is not None
    assert parsed.length == MAX_BODY


def test_a_head_that_comes_again_is_not_parsed_again() -> None:
    cache = HeadCache()
    assert cache.parse(head()) is cache.parse(bytes(head()))


def test_clients_that_never_repeat_a_head_do_not_fill_the_memory() -> None:
    cache = HeadCache()
    for number in range(MAX_HEADS + 10):
        assert cache.parse(head(V1, f"X-Request-Id: {number}")) is not None
    assert len(cache._known) <= MAX_HEADS
    assert cache.parse(long := head(V1, "X-Long: " + "x" * MAX_HEAD)) is not None
    assert long not in cache._known


@pytest.mark.parametrize(
    ("headers", "is_one"),
    [
        ([], False),
        ([(b"content-type", b"application/json")], False),
        ([(b"ce-specversion", b"1.0")], True),
        ([(b"content-type", b"Application/CloudEvents-batch+json")], True),
        ([(b"accept", b"application/cloudevents+json"), (b"x-ce-id", b"1")], False),
    ],
)
def test_what_is_a_cloudevent(headers: list[tuple[bytes, bytes]], is_one: bool) -> None:
    assert is_cloudevent(headers) == is_one


def test_heads_that_differ_by_their_identifier_alone_are_read_once() -> None:
    cache = HeadCache()
    found = [cache.parse(head(V1, f"X-Request-ID: id-{number}", "X-A: b")) for number in range(50)]
    assert [each.request_id for each in found if each] == [b"id-%d" % number for number in range(50)]
    assert all(each is not None and each.headers[-1] == (b"x-request-id", each.request_id) for each in found)
    assert len(cache._known) == 1
    plain = cache.parse(head(V1, "X-A: b"))
    assert plain is not None
    assert plain.request_id == b""


def test_and_so_are_those_that_differ_by_their_place_in_a_trace() -> None:
    cache = HeadCache()
    for number in range(50):
        traced = (f"Traceparent: {number}", f"tracestate: a={number}")
        parsed = cache.parse(head(V1, *traced, "X-Request-ID: id", "X-A: b"))
        assert parsed is not None
        assert parsed.request_id == b"id"
        wanted = {(b"traceparent", b"%d" % number), (b"tracestate", b"a=%d" % number), (b"x-a", b"b")}
        assert wanted <= set(parsed.headers)
        assert parsed.sent == parsed.headers
    assert len(cache._known) == 1


@pytest.mark.parametrize(
    "line", ["X-Request-Id:", "X-Request-Id: a b", "X-Request-Id: \xe9", "X-Request-Id: " + "x" * 129]
)
def test_what_is_no_identifier_is_refused_in_the_general_way(line: str) -> None:
    assert HeadCache().parse(head(V1, line)) is None
    assert HeadCache().parse(head(V1, "X-Request-Id: a", "x-request-id: b")) is None


def test_headers_that_vary_are_headers_too() -> None:
    lines = [f"traceparent: {number}" for number in range(10)]
    least = len(head(V1).split(b"\r\n")) - 3 + len(lines)
    assert HeadCache(max_headers=least).parse(head(V1, *lines)) is not None
    assert HeadCache(max_headers=least - 1).parse(head(V1, *lines)) is None  # who reads it then refuses it


def test_identifiers_are_made_where_that_was_asked_for() -> None:
    cache = head_cache(10_000, 100, HeadRules(make_ids=True))
    assert isinstance(cache, IdentifyingHeadCache)
    found = [cache.parse(head()) for _ in range(3)]
    assert len({each.request_id for each in found if each and each.request_id}) == 3
    given = cache.parse(head(V1, "x-request-id: mine"))
    assert given is not None
    assert given.request_id == b"mine"
    assert cache.parse(head(method="GET")) is None
    assert type(head_cache(10_000, 100, HeadRules())) is HeadCache


def test_the_root_path_is_left_out() -> None:
    cache = HeadCache(rules=HeadRules(root=b"/ml"))
    for path in (V1, f"/ml{V1}"):
        parsed = cache.parse(head(path))
        assert parsed is not None
        assert (parsed.model, parsed.path) == ("iris", V1.encode())
    assert cache.parse(head(f"/mlx{V1}")) is None
    assert HeadCache().parse(head(f"/ml{V1}")) is None


def test_keys_are_not_shown_where_they_are_asked_for() -> None:
    lines = ("Authorization: Bearer x", "X-API-Key: y", "X-A: b")
    for hides in (False, True):
        parsed = HeadCache(rules=HeadRules(hide_credentials=hides)).parse(head(V1, *lines))
        assert parsed is not None
        assert ({b"authorization", b"x-api-key"} & {name for name, _ in parsed.headers} == set()) == hides
        assert {b"authorization", b"x-api-key", b"x-a"} <= {name for name, _ in parsed.sent}


@pytest.mark.parametrize(
    ("line", "coding"),
    [("Accept-Encoding: gzip, deflate, br", "gzip"), ("Accept-Encoding: deflate, br", "deflate"), ("Accept: */*", "")],
)
def test_an_offer_is_remembered(line: str, coding: str) -> None:
    parsed = HeadCache().parse(head(V1, line))
    assert parsed is not None
    assert parsed.coding == coding


@pytest.mark.parametrize(
    "line",
    ["Accept-Encoding: gzip", "Accept-Encoding: gzip;q=0.5, br", "Content-Type: application/json; charset=utf-16",
     "Content-Type: application/json; charset=klingon"],
)  # fmt: skip
def test_what_is_more_than_a_plain_request_takes_the_general_way(line: str) -> None:
    assert HeadCache().parse(head(V1, line)) is None
    assert HeadCache().parse(head(V1, "Content-Type: application/json; charset=utf-8")) is not None


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\r\n", b"x"])
def test_white_space_in_an_identifier_is_no_work(end: bytes) -> None:
    """A test that does not end is one that fails: there were as many ways to part it as its third power."""
    white = b" \t" * 30_000
    for name in (b"x-request-id", b"traceparent"):
        raw = head()[:-2] + name + b":" + white + end + b"y: z\r\n\r\n"
        HeadCache().parse(raw)


def test_white_space_around_an_identifier_is_none_of_it() -> None:
    parsed = HeadCache().parse(head(V1, "X-Request-Id: \t abc \t "))
    assert parsed is not None
    assert parsed.request_id == b"abc"
