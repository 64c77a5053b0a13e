"""The wire format: fields of every kind, and bytes that are no message."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.formats.protobuf import FileBytes, Malformed, fields
from tests.adapters.formats.messages import message, varint


def test_fields_of_every_wire_type() -> None:
    data = b"\x08\x96\x01" + b"\x11" + bytes(8) + message(3, b"abc") + b"\x25" + bytes(4)
    data += b"\x2b" + message(9, b"inside a group") + b"\x2c" + varint(70_000 << 3) + b"\x01"
    found = [
        (field.number, field.wire, field.value, data[field.start : field.end]) for field in fields(data, 0, len(data))
    ]
    assert [item[:2] for item in found] == [(1, 0), (2, 1), (3, 2), (4, 5), (70_000, 0)]
    assert found[0][2] == 150
    assert found[2][3] == b"abc"


def test_fields_stop_at_the_limit() -> None:
    with pytest.raises(Malformed, match="too many"):
        list(fields(b"\x08\x01" * 11, 0, 22, limit=10))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x0a\x05abc", "its field number 1 should have 5 bytes, 3 are left"),
        (b"\x3a\x02g", "its field graph should have 2 bytes, 1 are left"),
        (b"\x08\x80", "it ends inside a number"),
        (b"\x08" + b"\xff" * 11, "more than ten bytes"),
        (b"\x0b", "it ends inside a group"),
        (b"\x0c", "a group ends that never began"),
        (b"\x07\x00", "of number 0 and type 7, which do not exist"),
    ],
)
def test_what_is_no_message_is_said(data: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        list(fields(data, 0, len(data), names={7: "graph"}))


def test_a_file_is_read_by_slices(tmp_path: Path) -> None:
    data = message(1, b"one") + message(2, b"two")
    (tmp_path / "m").write_bytes(data)
    with (tmp_path / "m").open("rb") as stream:
        file = FileBytes(stream)
        assert [file[field.start : field.end] for field in fields(file, 0, len(data))] == [b"one", b"two"]
