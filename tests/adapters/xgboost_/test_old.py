from __future__ import annotations

import struct
from pathlib import Path

import pytest

from adapters.base import ModelDir
from adapters.xgboost_ import old
from adapters.xgboost_.adapter import XGBoostAdapter


def header(
    version: tuple[int, int] = (1, 0), objective: bytes = b"binary:logistic", booster: bytes = b"gbtree"
) -> bytes:
    """The beginning of a model as XGBoost wrote it before 1.0, and behind `binf` until 3.0."""
    fixed = struct.pack("<fIiiiII", 0.5, 4, 0, 1, 0, *version).ljust(136, b"\0")
    return fixed + b"".join(struct.pack("<Q", len(name)) + name for name in (objective, booster)) + bytes(300)


@pytest.mark.parametrize("booster", [b"gbtree", b"gblinear", b"dart"])
@pytest.mark.parametrize("objective", [b"binary:logistic", b"reg:squarederror", b"multi:softprob", b"rank:ndcg"])
def test_both_headers_are_known(objective: bytes, booster: bytes) -> None:
    head = header(objective=objective, booster=booster)
    assert old.is_old(head)
    assert old.is_old(b"binf" + head)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\0" * 512,
        b"{L" + bytes(510),
        b'{"learner"',
        b"tree\nversion=v4\n",
        header(booster=b"gbforest"),
        header()[4:],
    ],
)
def test_nothing_else_is(head: bytes) -> None:
    assert not old.is_old(head)


@pytest.mark.parametrize(
    ("head", "made_by"),
    [
        (header((1, 0)), "XGBoost 1.0"),
        (b"binf" + header((2, 1)), "XGBoost 2.1"),
        (header((0, 0)), "an XGBoost of before 1.0"),
        (b"binf", "an XGBoost of before 1.0"),
        (b"binf" + b"\xff" * 200, "an XGBoost of before 1.0"),
    ],
)
def test_what_made_it(head: bytes, made_by: str) -> None:
    origin = old.origin_of(head)
    assert origin.made_by == made_by
    assert origin.requirements == "xgboost<3.1"


def test_the_old_format_is_told_under_every_ending(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"binf" + header((2, 1)))
    claim = XGBoostAdapter.match(ModelDir.of(tmp_path))
    assert claim is not None
    assert "save it again with save_model('model.ubj')" in claim.problem
    assert claim.origin is not None
    assert claim.origin.requirements == "xgboost<3.1"
