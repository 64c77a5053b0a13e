"""XGBoost's model file by hand: UBJ and JSON to the same objects, and which damage `check` names."""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adapters.xgboost_.format import categories, check, is_ubj, read


def text(value: str) -> bytes:
    return b"L" + struct.pack(">q", len(value.encode())) + value.encode()


def ubj(value: Any) -> bytes:
    """A value as XGBoost writes it."""
    if isinstance(value, dict):
        return b"{" + b"".join(text(key) + ubj(item) for key, item in value.items()) + b"}"
    if isinstance(value, str):
        return b"S" + text(value)
    if isinstance(value, np.ndarray):
        marker = {"i4": b"l", "f4": b"d", "i1": b"i", "u1": b"U", "i2": b"I", "i8": b"L", "f8": b"D"}
        head = b"[$" + marker[value.dtype.str[1:]] + b"#L" + struct.pack(">q", len(value))
        return head + value.astype(value.dtype.newbyteorder(">")).tobytes()
    if isinstance(value, list):
        return b"[#L" + struct.pack(">q", len(value)) + b"".join(map(ubj, value))
    return b"D" + struct.pack(">d", value) if isinstance(value, float) else b"l" + struct.pack(">i", value)


def signed(value: str) -> list[int]:
    """A text as XGBoost stores it: bytes with a sign."""
    return np.frombuffer(value.encode(), np.int8).tolist()  # type: ignore[no-any-return]


def tree() -> dict[str, Any]:
    """A stump: feature 1, two leaves."""
    return {
        "tree_param": {"num_nodes": "3", "size_leaf_vector": "1"},
        "left_children": [1, -1, -1],
        "right_children": [2, -1, -1],
        "parents": [2147483647, 0, 0],
        "split_indices": [1, 0, 0],
        "split_conditions": [0.5, 1.0, -1.0],
        "default_left": [1, 0, 0],
        "base_weights": [0.0, 1.0, -1.0],
        "categories_nodes": [0],
        "categories_segments": [0],
        "categories_sizes": [2],
        "categories": [0, 4],
    }


def document() -> dict[str, Any]:
    model = {
        "gbtree_model_param": {"num_trees": "2"},
        "tree_info": [0, 1],
        "iteration_indptr": [0, 2],
        "trees": [tree(), tree()],
        "cats": {"enc": [{"values": []}, {"offsets": [0, 4, 9], "values": signed("BernGenè")}]},
    }
    parameters = {"num_feature": "2", "num_class": "2", "num_target": "1"}
    names = {"feature_names": ["age", "city"], "feature_types": ["float", "c"]}
    booster = {"name": "gbtree", "model": model}
    return {"learner": {"learner_model_param": parameters, **names, "gradient_booster": booster}, "version": [3, 1, 0]}


Change = Callable[[dict[str, Any]], Any]


def model_of(found: dict[str, Any]) -> Any:
    return found["learner"]["gradient_booster"]["model"]


def test_ubj_and_json_are_read_to_the_same() -> None:
    assert read(ubj(document())) == document()
    assert read(json.dumps(document()).encode()) == document()
    assert is_ubj(ubj(document()))
    assert not is_ubj(json.dumps(document()).encode())


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "i4", "i8", "f4", "f8"])
def test_typed_arrays_keep_their_numbers(dtype: str) -> None:
    values = np.array([0, 1, 100], dtype=dtype)
    found = read(ubj({"learner": values}))["learner"]
    assert found.tolist() == [0, 1, 100]
    assert found.dtype.str == np.dtype(f">{dtype}").str


def test_single_values_are_read_by_their_markers() -> None:
    inner = b"[" + b"T" + b"F" + b"Z" + b"i\xff" + b"U\xff" + b"D" + struct.pack(">d", 0.1) + b"]"
    assert read(b"{" + text("learner") + inner + b"}") == {"learner": [True, False, None, -1, 255, 0.1]}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no valid JSON"),
        (b"{", "no valid JSON"),
        (b"\xff\xfe{", "no valid JSON"),
        (b"[" * 100_000, "no valid JSON"),
        (b"[1]", "no JSON object"),
        (ubj({"learner": {}}) + b"ab", "2 bytes follow its end"),
        (b"{" + text("learner") + b"X}", "damaged at byte 17"),
        (b"{" + text("learner") + b"[$i!", "damaged at byte 20"),
        (b"{" + text("learner") + b"[$X#i\x01!", "damaged at byte 22"),
        (b"{" + text("learner") + b"SL" + b"\x7f" * 8, "cut off or damaged at byte 27"),
        (b"{" + text("learner") + b"SL" + b"\xff" * 8, "cut off or damaged at byte 27"),
        (b"{" + text("learner") + b"SS", "damaged at byte 18"),
        (b"{" + text("learner") + b"[" * 70, "nested too deeply"),
    ],
    ids=["empty", "cut", "no-text", "deep-json", "list", "more", "marker", "hash", "kind", "long", "negative", "length",
         "deep"],
)  # fmt: skip
def test_bytes_that_are_no_model_get_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read(data)


def test_a_file_that_ends_anywhere_is_cut_off() -> None:
    whole = ubj(document())
    for end in range(20, len(whole), 3):
        with pytest.raises(ValueError, match="cut off or damaged"):
            read(whole[:end])


def test_a_sound_model_passes() -> None:
    check(document())
    check(read(ubj(document())))
    dart = document()
    booster = dart["learner"]["gradient_booster"]
    dart["learner"]["gradient_booster"] = {"name": "dart", "gbtree": {"model": booster["model"]}}
    check(dart)
    assert categories(dart) == {1: ["Bern", "Genè"]}


def test_categories_are_texts_or_whole_numbers_by_feature() -> None:
    found = document()
    assert categories(found) == {1: ["Bern", "Genè"]}
    model_of(found)["cats"]["enc"][0] = {"values": np.array([7, 3], dtype=">i4")}
    assert categories(found) == {0: [7, 3], 1: ["Bern", "Genè"]}
    del model_of(found)["cats"]
    assert categories(found) == {}


def linear(weights: int) -> dict[str, Any]:
    found = document()
    found["learner"]["gradient_booster"] = {"name": "gblinear", "model": {"weights": [0.0] * weights}}
    return found


def test_a_linear_model_has_a_weight_for_each_feature_and_class_and_their_bias() -> None:
    check(linear(6))
    assert categories(linear(6)) == {}
    with pytest.raises(ValueError, match="weights holds 5 values instead of 6"):
        check(linear(5))


DAMAGE: dict[str, tuple[Change, str]] = {
    "learner": (lambda d: d.pop("learner"), r"its structure is damaged \(KeyError: 'learner'\)"),
    "no object": (lambda d: d.update(learner=[]), r"its structure is damaged \(TypeError"),
    "names": (lambda d: d["learner"]["feature_names"].pop(), "feature_names and num_feature disagree"),
    "types": (lambda d: d["learner"]["feature_types"].append("c"), "feature_types and num_feature disagree"),
    "twins": (lambda d: d["learner"].update(feature_names=["a", "a"]), "feature_names repeat"),
    "trees": (lambda d: model_of(d)["trees"].pop(), "trees holds 1 values instead of 2"),
    "tree info": (lambda d: model_of(d)["tree_info"].pop(), "tree_info holds 1 values instead of 2"),
    "class": (lambda d: model_of(d).update(tree_info=[0, 2]), "tree_info points outside"),
    "iterations": (lambda d: model_of(d).update(iteration_indptr=[0, 4]), "iteration_indptr points outside"),
    "categories": (lambda d: model_of(d)["cats"]["enc"].append({"values": [1]}), "cats and num_feature disagree"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_model_is_named(name: str) -> None:
    change, reason = DAMAGE[name]
    found = document()
    change(found)
    with pytest.raises(ValueError, match=reason):
        check(found)


TREE_DAMAGE: dict[str, tuple[dict[str, Any], str]] = {
    "no nodes": (
        {"tree_param": {"num_nodes": "0"}, **{name: [] for name in tree() if name[0] != "t" and name[:3] != "cat"}},
        "its nodes do not form a tree",
    ),
    "length": ({"split_conditions": [0.5]}, "split_conditions holds 1 values instead of 3"),
    "weights": ({"base_weights": [0.0]}, "base_weights holds 1 values instead of 3"),
    "outside": ({"right_children": [3, -1, -1]}, "children points outside"),
    "negative": ({"right_children": [-5, -1, -1]}, "children points outside"),
    "root": ({"right_children": [0, -1, -1]}, "its nodes do not form a tree"),
    "twice": ({"right_children": [1, -1, -1]}, "its nodes do not form a tree"),
    "parents": ({"parents": [0, 0, 1]}, "parents and children disagree"),
    "feature": ({"split_indices": [2, 0, 0]}, "split_indices points outside"),
    "vectors": ({"leaf_weights": [1.0, 2.0]}, "leaves points outside"),
    "category node": ({"categories_nodes": [3]}, "categories_nodes points outside"),
    "category set": ({"categories_sizes": [3]}, "categories_segments points outside"),
    "category": ({"categories": [0, -1]}, "categories points outside"),
}


@pytest.mark.parametrize("name", TREE_DAMAGE)
def test_a_damaged_tree_is_named_with_its_number(name: str) -> None:
    change, reason = TREE_DAMAGE[name]
    found = document()
    model_of(found)["trees"][1] = {**tree(), **copy.deepcopy(change)}
    with pytest.raises(ValueError, match=f"tree 1: {reason}"):
        check(found)


def test_a_tree_of_vectors_numbers_its_leaves() -> None:
    found = document()
    vectors = {"tree_param": {"num_nodes": "3", "size_leaf_vector": "2"}, "right_children": [2, 0, 1]}
    vectors |= {"base_weights": [0.0] * 6, "leaf_weights": [1.0, 2.0, 3.0, 4.0]}
    model_of(found)["trees"][0] = {**tree(), **vectors}
    check(found)
    model_of(found)["trees"][0]["right_children"] = [2, 0, 2]
    with pytest.raises(ValueError, match="tree 0: leaves points outside"):
        check(found)
