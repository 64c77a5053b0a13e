"""Headers of GGUF files: what is read of them, and what damaged and hostile ones are told."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path

import pytest

from adapters.formats.gguf import GgufHeader, MalformedGguf, read_header
from tests.gguf_models import header, number, tensor, text, texts, value

WHOLE = header(
    value("general.architecture", 8, text("llama")),
    number("llama.block_count", 1),
    texts("tokenizer.ggml.tokens", "a", "b", "c"),
    value("numbers", 9, struct.pack("<IQ3f", 6, 3, 1, 2, 3)),
    value("switch", 7, b"\1"),
    tensors=(tensor("a", (4, 2)), tensor("b", (32, 2), kind=2, offset=32)),
    data=bytes(32 + 36),
)


def read(content: bytes, folder: Path) -> GgufHeader:
    file = folder / "m.gguf"
    file.write_bytes(content)
    with file.open("rb") as stream:
        return read_header(stream)


def test_a_whole_file(tmp_path: Path) -> None:
    found = read(WHOLE, tmp_path)
    assert found.text("general.architecture") == "llama"
    assert found.values["llama.block_count"] == 1
    assert found.values["switch"] is True
    assert found.length("tokenizer.ggml.tokens") == 3
    assert found.length("numbers") == 3
    assert found.text("numbers") == ""
    assert found.length("general.architecture") == 0
    assert found.tensors == {"a": (4, 2), "b": (32, 2)}
    assert found.numbers == 8 + 64


HUGE = 2**63
HOSTILE = {
    "no magic": (b"GGML" + WHOLE[4:], "does not begin with GGUF"),
    "version 1": (header(version=1), "its version is 1"),
    "big-endian": (header(version=3 << 24), "big-endian"),
    "many values": (struct.pack("<4sIQQ", b"GGUF", 3, 0, HUGE), "values"),
    "many tensors": (struct.pack("<4sIQQ", b"GGUF", 3, HUGE, 0), "tensors"),
    "a long name": (header(struct.pack("<Q", HUGE)), "bytes of a name"),
    "a long text": (header(value("a", 8, struct.pack("<Q", HUGE))), "bytes of the value 'a'"),
    "a text beyond the end": (header(value("a", 8, struct.pack("<Q", 1 << 20))), "cut off"),
    "no utf-8": (header(value("a", 8, text(b"\xff"))), "no UTF-8"),
    "no such type": (header(value("a", 13, b"")), "type 13"),
    "an array of arrays": (header(value("a", 9, struct.pack("<IQ", 9, 1))), "elements of type 9"),
    "a long array": (header(value("a", 9, struct.pack("<IQ", 4, HUGE))), "elements of arrays"),
    "an array beyond the end": (header(value("a", 9, struct.pack("<IQ", 4, 1 << 20))), "cut off"),
    "twice": (header(number("a", 1), number("a", 1)), "there twice"),
    "alignment 0": (header(number("general.alignment", 0)), "power of two"),
    "alignment 3": (header(number("general.alignment", 3)), "power of two"),
    "alignment, a text": (header(value("general.alignment", 8, text("32"))), "power of two"),
    "five sizes": (header(tensors=(tensor("a", (1, 1, 1, 1, 1)),), data=bytes(32)), "5 sizes"),
    "no sizes": (header(tensors=(tensor("a", ()),), data=bytes(32)), "0 sizes"),
    "a size of 0": (header(tensors=(tensor("a", (0, 4)),), data=bytes(32)), "0x4"),
    "no whole block": (header(tensors=(tensor("a", (31,), kind=2),), data=bytes(32)), "no blocks"),
    "no such tensor type": (header(tensors=(tensor("a", (4,), kind=99),), data=bytes(32)), "type 99"),
    "a huge tensor": (header(tensors=(tensor("a", (2**40, 2**40)),), data=bytes(32)), "behind the file"),
    "a far tensor": (header(tensors=(tensor("a", (4,), offset=2**63),), data=bytes(32)), "behind the file"),
    "one upon the other": (header(tensors=(tensor("a", (4,)), tensor("b", (4,))), data=bytes(32)), "within another"),
    "one name": (header(tensors=(tensor("a", (4,)), tensor("a", (4,), offset=16)), data=bytes(32)), "one name"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_headers(name: str, tmp_path: Path) -> None:
    content, told = HOSTILE[name]
    with pytest.raises(MalformedGguf, match=told):
        read(content, tmp_path)


def test_every_cut_is_told(tmp_path: Path) -> None:
    for length in range(len(WHOLE)):
        with pytest.raises(MalformedGguf):
            read(WHOLE[:length], tmp_path)


def test_changed_bytes_are_read_or_refused(tmp_path: Path) -> None:
    drawing = random.Random(7)
    for _ in range(2000):
        changed = bytearray(WHOLE)
        for _ in range(drawing.randint(1, 4)):
            changed[drawing.randrange(len(changed))] = drawing.randrange(256)
        try:
            found = read(bytes(changed), tmp_path)
        except MalformedGguf:
            continue
        assert found.numbers <= 8 * len(WHOLE)


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(WHOLE)

    class Shrinking(io.FileIO):
        def read(self, size: int = -1, /) -> bytes:  # type: ignore[override]
            return super().read(size)[: max(0, size - 1)]

    with Shrinking(file) as stream, pytest.raises(MalformedGguf, match="cut off while it was read"):
        read_header(stream)  # type: ignore[arg-type]
