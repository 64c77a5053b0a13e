"""Triton's `ModelStreamInferResponse`, which KServe's messages lack, around answers that are serialized already.

    message ModelStreamInferResponse { string error_message = 1; ModelInferResponse infer_response = 2; }

Source: Triton's grpc_service.proto; protobuf's wire format.
"""

from __future__ import annotations

_ERROR, _ANSWER = b"\x0a", b"\x12"  #: the two fields' tags: number << 3 | length-delimited


def streamed(answer: bytes) -> bytes:
    """One answer of a stream, from a serialized `ModelInferResponse`."""
    return _ANSWER + varint(len(answer)) + answer


def streamed_error(text: str) -> bytes:
    """An error as one answer of a stream."""
    encoded = text.encode(errors="replace")
    return _ERROR + varint(len(encoded)) + encoded


def varint(number: int) -> bytes:
    """A length as protobuf writes it: seven bits a byte, the lowest first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
