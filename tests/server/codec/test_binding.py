"""Named tensors to a signature's inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from adapters.base import Array, Signature, Tensors, TensorSpec
from server.codec import grpc_messages, v2
from server.codec.binding import WireTensor, bind, check_count
from server.errors import InvalidInput
from tests.server.codec.signatures import SIGNATURES, one, same

pytestmark = pytest.mark.filterwarnings("error")

MATRIX, COLUMNS, TABLE = SIGNATURES["matrix"], SIGNATURES["matrix with columns"], SIGNATURES["table"]


def bound(signature: Signature, content_type: Any = None, /, **tensors: Array) -> Tensors:
    return bind([WireTensor(name, array) for name, array in tensors.items()], signature, content_type)


def objects(*values: Any) -> Array:
    return np.array(values, dtype=np.object_)


def test_one_tensor_by_its_name() -> None:
    sent = np.ones((3, 2))
    assert same(bound(MATRIX, x=sent)["x"], sent)


def test_any_name_where_the_model_has_none() -> None:
    assert bound(SIGNATURES["matrix of any name"], whatever=np.ones((3, 2)))["x"].shape == (3, 2)
    with pytest.raises(InvalidInput, match="input 'whatever' is unknown; known: 'x'"):
        bound(MATRIX, whatever=np.ones((3, 2)))
    with pytest.raises(InvalidInput, match="input 'y' is unknown"):
        bound(SIGNATURES["matrix of any name"], x=np.ones((3, 2)), y=np.ones((3, 2)))


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_columns_one_by_one_in_any_order(shape: tuple[int, ...]) -> None:
    a, b = np.arange(3.0).reshape(shape), np.full(shape, 7, dtype=np.int8)
    got = bound(COLUMNS, b=b, a=a)["x"]
    assert same(got, np.array([[0.0, 7], [1, 7], [2, 7]]))


def test_columns_without_known_names_need_the_content_type_and_keep_their_order() -> None:
    sent = {"second": np.zeros(2), "first": np.ones(2)}
    assert bound(MATRIX, "pd", **sent)["x"].tolist() == [[0.0, 1.0], [0.0, 1.0]]
    with pytest.raises(InvalidInput, match="input 'second' is unknown"):
        bound(MATRIX, **sent)
    with pytest.raises(InvalidInput, match="input 'second' is unknown"):
        bound(MATRIX, ["pd"], **sent)


def test_a_single_value_is_one_row() -> None:
    """As KServe's documents ask its Hugging Face server: `"shape": [], "data": ["a text"]`."""
    assert bound(COLUMNS, a=np.array(0.5), b=np.array(2.0))["x"].tolist() == [[0.5, 2.0]]
    text = Signature((TensorSpec("text", "BYTES", (-1,)),), ())
    assert bound(text, text=np.array(b"a", dtype=object))["text"].tolist() == ["a"]


BAD_COLUMNS: list[tuple[dict[str, Array], str]] = [
    ({"a": np.ones(2)}, "column 'b' is missing"),
    ({"a": np.ones(2), "c": np.ones(2)}, "column 'c' is unknown; known: 'a', 'b'"),
    ({"a": np.ones(2), "b": np.ones(3)}, "the columns hold different numbers of rows: 'a' holds 2, 'b' holds 3"),
    ({"a": np.ones(2), "b": np.ones((2, 2))}, "input 'b' has shape [2, 2], the model takes [-1]"),
    ({"a": np.ones(2), "b": np.ones(())}, "hold different numbers of rows: 'a' holds 2, 'b' holds 1"),
    ({"a": np.ones(2), "b": objects(b"1", b"2")}, "input 'b' takes FP64, but BYTES was sent"),
    ({"a": np.ones(2), "b": np.array([1, np.nan])}, "input 'b'[1] is a missing value (NaN)"),
    ({"a": np.ones(1), "x" * 10_000: np.ones(1)}, "is unknown; known: 'a', 'b'"),
]


@pytest.mark.parametrize(("tensors", "says"), BAD_COLUMNS, ids=lambda item: str(item)[:30])
def test_columns_that_do_not_fit(tensors: dict[str, Array], says: str) -> None:
    with pytest.raises(InvalidInput) as error:
        bound(COLUMNS, **tensors)
    assert says in str(error.value)
    assert len(str(error.value)) < 200


def test_a_table_of_its_columns() -> None:
    got = bound(TABLE, count=np.array([[3.0]]), city=objects(b"Rome"), age=np.array([np.nan], dtype=np.float32))
    assert list(got) == ["age", "city", "count"]
    assert same(got["count"], np.array([3]))
    assert same(got["city"], objects("Rome"))
    assert np.isnan(got["age"]).all()


def test_texts_are_decoded_unless_the_model_wants_bytes() -> None:
    assert same(bound(one("BYTES", -1), x=objects("é".encode(), "a"))["x"], objects("é", "a"))
    assert same(bound(one("BYTES", -1, binary=True), x=objects("é", b"\xff"))["x"], objects("é".encode(), b"\xff"))
    assert same(bound(one("BYTES", -1, nullable=True), x=objects(None))["x"], objects(None))
    with pytest.raises(InvalidInput, match=r"input 'x'\[1\] is not UTF-8 text"):
        bound(one("BYTES", -1), x=objects(b"a", b"\xff"))
    with pytest.raises(InvalidInput, match=r"input 'x'\[0\]\[1\] is null"):
        bound(one("BYTES", -1, 2), x=objects(["a", None]))


MISTAKES: list[tuple[str, dict[str, Array], str]] = [
    ("matrix", {}, '"inputs" is empty'),
    ("several inputs", {"a": np.ones((1, 2))}, "input 'b' is missing"),
    ("several inputs", {"a": np.ones((1, 2)), "B": np.ones(1)}, "input 'B' is unknown"),
    ("several inputs", {"a": np.ones((1, 3)), "b": np.ones(1)}, "input 'a': each row holds 3 values"),
    ("several inputs", {"a": np.ones((1, 2)), "b": np.full(1, 0.5)}, "input 'b'[0] is 0.5, which is not a valid INT32"),
    ("an optional input", {"b": np.ones(1)}, "input 'x' is missing"),
    ("unbatched scalar", {"x": np.ones(1)}, "has shape [1], the model takes []"),
    ("texts", {"x": np.ones(1)}, "takes BYTES, but FP64 was sent"),
]


@pytest.mark.parametrize(("kind", "tensors", "says"), MISTAKES, ids=lambda item: str(item)[:40])
def test_mistakes_name_the_input(kind: str, tensors: dict[str, Array], says: str) -> None:
    signature = one("BYTES", -1) if kind == "texts" else SIGNATURES[kind]
    with pytest.raises(InvalidInput) as error:
        bound(signature, **tensors)
    assert says in str(error.value)


def test_a_name_sent_twice_is_refused() -> None:
    tensors = [WireTensor("a", np.ones(1)), WireTensor("b", np.ones(1)), WireTensor("b", np.ones(1))]
    with pytest.raises(InvalidInput, match="inputs: 'b' is sent twice"):
        bind(tensors, MATRIX)


def test_a_table_may_come_as_one_tensor() -> None:
    numbers = Signature((TensorSpec("a", "FP64", (-1,)), TensorSpec("b", "INT64", (-1,))), (), table=True)
    got = bound(numbers, whatever=np.array([[1.5, 2.0], [3.5, 4.0]]))
    assert {name: array.tolist() for name, array in got.items()} == {"a": [1.5, 3.5], "b": [2, 4]}
    with pytest.raises(InvalidInput, match="input 'whatever' is unknown"):
        bound(numbers, whatever=np.ones((2, 3)))


OBJECTS = Signature((TensorSpec("input-0", "BYTES", (-1,), json=True),), (), any_name=True)


def test_objects_may_come_as_a_tensor_a_key() -> None:
    got = bound(OBJECTS, city=objects(b"a", b"b"), n=np.array([[1.5], [2.0]]))
    assert got["input-0"].tolist() == [{"city": "a", "n": 1.5}, {"city": "b", "n": 2.0}]
    assert bound(OBJECTS, "pd", city=objects(b"a"))["input-0"].tolist() == [{"city": "a"}]
    assert bound(OBJECTS, rows=objects(b'{"city": "a"}'))["input-0"].tolist() == [{"city": "a"}]
    with pytest.raises(InvalidInput, match="the columns hold different numbers of rows"):
        bound(OBJECTS, city=objects(b"a", b"b"), n=np.ones(3))


def test_several_texts_a_row_are_a_list_where_a_row_is_a_json_value() -> None:
    labels = Signature((TensorSpec("labels", "BYTES", (-1,), json=True),), ())
    sent = objects(b"dog", b"fox", b"cat", b"owl")
    assert bound(labels, labels=sent.reshape(2, 2))["labels"].tolist() == [["dog", "fox"], ["cat", "owl"]]
    assert bound(labels, labels=sent[:2].reshape(2, 1))["labels"].tolist() == ["dog", "fox"]
    assert bound(labels, labels=objects(b'["dog", "fox"]'))["labels"].tolist() == [["dog", "fox"]]


def test_more_tensors_than_any_model_has_are_refused_before_one_is_read() -> None:
    check_count(10_000, MATRIX)
    with pytest.raises(InvalidInput, match="10001 tensors were sent, and 10000 are read at most"):
        check_count(10_001, MATRIX)
    wide = Signature(tuple(TensorSpec(f"x{n}", "FP32", (-1,)) for n in range(10_001)), ())
    check_count(10_001, wide)
    raw = b'{"inputs": [' + b",".join([b"3"] * 10_001) + b"]}"
    with pytest.raises(InvalidInput, match="10001 tensors were sent"):
        v2.decode(raw, None, MATRIX)
    request = pb.ModelInferRequest(inputs=[pb.ModelInferRequest.InferInputTensor()] * 10_001)
    with pytest.raises(InvalidInput, match="10001 tensors were sent"):
        grpc_messages.decode(request, MATRIX)
