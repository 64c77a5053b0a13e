"""The length of vectors stands in the file, and nowhere else."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from adapters.formats.cbm import embedding_lengths


def calcer(length: int, *, told: bool = True) -> bytes:
    """As CatBoost writes it: tables of FlatBuffers, whose fields' places stand before them."""
    calculation = struct.pack("<HHH2x", 6, 8, 4 if told else 0) + struct.pack("<ii", 8, length)
    outer = struct.pack("<HH4H", 12, 8, 0, 0, 0, 4) + struct.pack("<iI", 12, 4 + 8)
    data = struct.pack("<I", 16) + outer + calculation
    return b"EmbedCalcerV1\0\0\0" + bytes(4) + struct.pack("<Q", len(data)) + data


def test_the_lengths_of_all_calculations() -> None:
    assert embedding_lengths(b"CBM1 trees") == set()
    assert embedding_lengths(b"CBM1 trees" + calcer(3) + calcer(3) + b"." + calcer(128)) == {3, 128}


@pytest.mark.parametrize("data", [calcer(3)[:-4], calcer(3)[:20], calcer(3, told=False)])
def test_what_cannot_be_read_is_no_length(data: bytes) -> None:
    with pytest.raises(ValueError, match="a calculation over an embedding feature"):
        embedding_lengths(data)


def test_a_file_that_catboost_wrote(tmp_path: Path) -> None:
    catboost = pytest.importorskip("catboost")
    rows = [[float(row), [row * 0.5, 1.0 / (row + 1), float(row % 3)]] for row in range(30)]
    pool = catboost.Pool(rows, [row % 3 for row in range(30)], embedding_features=[1])
    model = catboost.CatBoost({"iterations": 2, "verbose": 0, "allow_writing_files": False, "thread_count": 1})
    model.fit(pool).save_model(str(tmp_path / "m.cbm"))
    assert embedding_lengths((tmp_path / "m.cbm").read_bytes()) == {3}
