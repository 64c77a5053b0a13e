"""What a call's head says; how wrong ones are refused is in `test_grpc_call`, beside grpcio's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.api.grpc.native.call_head import call_head, is_grpc, too_large
from server.api.http2.request_head import MalformedHead
from tests.server.api.grpc.native.raw_calls import head


def test_what_is_grpcs_own_is_no_metadata() -> None:
    own = {"grpc-timeout": "250m", "grpc-encoding": "gzip", "grpc-accept-encoding": "gzip, identity"}
    fields = head("/a/b", *own.items(), ("x-request-id", "7"), ("x-bin", "AAE"), ("content-length", "9"))
    found, length = call_head(fields)
    assert (found.method, found.timeout, found.encoding, length) == ("/a/b", 0.25, "gzip", 9)
    assert found.accepts == {"gzip", "identity"}
    assert found.metadata == (("x-request-id", "7"), ("x-bin", b"\x00\x01"), ("content-length", "9"))
    assert found.has_id
    assert found.refusal is None


@pytest.mark.parametrize(
    ("kind", "is_one"),
    [("application/grpc", True), ("application/grpc+proto", True), ("application/grpc;x=y", True),
     ("application/grpc-web", False), ("application/grpc-web+proto", False), ("application/json", False)],
)  # fmt: skip
def test_a_call_is_known_by_its_content_type(kind: str, is_one: bool) -> None:
    assert is_grpc(head(content_type=kind)) is is_one
    assert not is_grpc([(b":path", b"/")])


@given(st.integers(0, 10**9 - 1), st.sampled_from("HMSmun"))
def test_timeouts(number: int, unit: str) -> None:
    seconds = {"H": 3600, "M": 60, "S": 1, "m": 1e-3, "u": 1e-6, "n": 1e-9}[unit]
    assert call_head(head(grpc_timeout=f"{number}{unit}"))[0].timeout == pytest.approx(number * seconds)


@pytest.mark.parametrize("timeout", ["", "1", "S", "-1S", "1s", "1.5S", "1234567890S"])
def test_what_is_no_timeout(timeout: str) -> None:
    refusal = call_head(head(grpc_timeout=timeout))[0].refusal
    assert refusal is not None
    assert refusal.status == "INTERNAL"


def test_what_is_no_head_of_http_is_not_grpcs_to_answer() -> None:
    with pytest.raises(MalformedHead):
        call_head(head("/a/b", ("Upper", "x")))


def test_a_head_that_is_too_large() -> None:
    refusal = too_large(77)[0].refusal
    assert refusal is not None
    assert (refusal.status, "77 bytes" in refusal.details) == ("RESOURCE_EXHAUSTED", True)
