"""What is read from the graph itself: inputs without a shape, categories of encoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from adapters.formats.protobuf import Malformed
from adapters.onnx_.graph import MAX_COLUMNS, _packed, branches, categories, counts, unranked_inputs
from tests.adapters.onnx_.models import FLOAT, INT64, STRING, constant, graph, identity, node, value, write


def file_of(folder: Path, model: onnx.ModelProto) -> Path:
    return write(folder, model).file("model.onnx")


@pytest.mark.parametrize(("dims", "unranked"), [(None, {"x"}), ([], set()), (["N", None], set())])
def test_unranked_inputs(tmp_path: Path, dims: list[str | None] | None, unranked: set[str]) -> None:
    assert unranked_inputs(file_of(tmp_path, identity(FLOAT, dims))) == unranked


def test_categories_are_followed_through_columns(tmp_path: Path) -> None:
    ml = "ai.onnx.ml"
    packed = constant(np.array([2]), "packed")  # raw bytes
    plain = onnx.TensorProto(name="plain", data_type=INT64, dims=[1], int64_data=[0])
    model = graph(
        [
            node("Identity", ["texts"], ["1"]),
            node("Concat", ["1", "more"], ["2"], axis=1),
            node("ArrayFeatureExtractor", ["2", "packed"], ["3"], domain=ml),
            node("Gather", ["2", "plain"], ["4"], axis=1),
            node("OneHotEncoder", ["3"], ["5"], domain=ml, cats_strings=["third", "also third", "unused"]),
            node("LabelEncoder", ["4"], ["6"], domain=ml, keys_strings=["first"], values_int64s=[0]),
            node("Cast", ["codes"], ["7"], to=INT64),
            node("OneHotEncoder", ["7"], ["8"], domain=ml, cats_int64s=[-3, 4]),
            node("OneHotEncoder", ["nowhere"], ["9"], domain=ml, cats_int64s=[1]),
            node("Gather", ["2", "unknown"], ["10"]),
            node("OneHotEncoder", ["10"], ["11"], domain=ml, cats_strings=["lost"]),
        ],
        [value("texts", STRING, ["N", 2]), value("more", STRING, ["N", 1]), value("codes", FLOAT, ["N", 2])],
        [value("5", FLOAT, None)],
        [packed, plain],
    )
    assert categories(file_of(tmp_path, model), {"texts": 2, "more": 1, "codes": 2}) == {
        ("texts", 0): ("first",),
        ("more", 0): ("third", "also third"),
        ("codes", 0): (-3, 4),
        ("codes", 1): (-3, 4),
    }


def test_a_graph_without_encoders_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = file_of(tmp_path, identity(FLOAT, ["N", 3]))
    monkeypatch.setattr(Path, "read_bytes", lambda *_: pytest.fail("read as a whole"))
    assert categories(file, {"x": 3}) == {}


def test_operators_whose_answers_depend_on_values_are_noticed(tmp_path: Path) -> None:
    found = graph([node("NonZero", ["x"], ["y"])], [value("x", FLOAT, [1, 3])], [value("y", INT64, [2, "k"])])
    file = file_of(tmp_path / "found", found)
    assert (branches(file), counts(file)) == (False, True)
    file = file_of(tmp_path / "plain", identity(FLOAT, ["N", 3]))
    assert (branches(file), counts(file)) == (False, False)


def test_columns_that_double_have_an_end(tmp_path: Path) -> None:
    doubling = [node("Concat", [str(step), str(step)], [str(step + 1)], axis=1) for step in range(60)]
    encoder = node("OneHotEncoder", ["60"], ["y"], domain="ai.onnx.ml", cats_int64s=[1, 2])
    model = graph([*doubling, encoder], [value("0", INT64, ["N", 10**9])], [value("y", FLOAT, None)])
    known = categories(file_of(tmp_path, model), {"0": 10**9})
    assert len(known) == MAX_COLUMNS  # without an end it would take longer than anybody waits


def test_packed_numbers_have_an_end() -> None:
    """Of one without each byte took as long as all before it: thirty megabytes, hours."""
    assert list(_packed(b"\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")) == [5, 2**64 - 1]
    with pytest.raises(Malformed, match="more than ten bytes"):
        list(_packed(b"\xff" * 11))
