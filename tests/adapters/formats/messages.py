"""Protobuf messages written by hand, for tests that need what no library would write."""

from __future__ import annotations


def varint(number: int) -> bytes:
    """A number as protobuf writes it: seven bits a byte, the lowest first."""
    low = number & 0x7F
    return bytes([low]) if number < 0x80 else bytes([low | 0x80]) + varint(number >> 7)


def message(number: int, content: bytes) -> bytes:
    """A field of that number that holds bytes, a text or a message."""
    return varint(number << 3 | 2) + varint(len(content)) + content
