"""XGBoost's model file read without XGBoost: its UBJ or JSON text as plain objects, and what a whole one looks like.

XGBoost trusts a file: a truncated or damaged one can end the process, or allocate as much memory as a damaged length
says. `check` walks the trees first, so that most such files get a reason instead. Standard library and numpy only.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from adapters.formats import json_text
from adapters.shared.messages import listed

#: JSON text beyond this size is left to XGBoost's own parser: as Python objects it would take ten times the memory
JSON_LIMIT = 64 << 20
_DEPTH_LIMIT = 64

_INTEGERS = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8"}
_NUMBERS = {**_INTEGERS, b"d": ">f4", b"D": ">f8"}
_SINGLES = {b"T": True, b"F": False, b"Z": None}

_NO_NAMES = (
    "{} categories, but the file holds no names of them: send their codes, in the order that pandas had them, or save "
    "the model with XGBoost 3.1 or later"
)

Document: TypeAlias = dict[str, Any]


def read(data: bytes) -> Document:
    """The model as nested dicts and lists; UBJ's typed arrays are numpy arrays over `data`.

    Raises:
        ValueError: `data` is cut off or damaged; the message says where.
    """
    try:
        document = _Ubj(data).document() if is_ubj(data) else json_text.loads(data, most_values=len(data))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"it is no valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004
    return document


def is_ubj(data: bytes) -> bool:
    """Whether the leading bytes are those of a UBJ object whose first key is `learner`."""
    return data.startswith(b"{L") and data[10:17] == b"learner"


class _Ubj:
    """A reader of the part of Universal Binary JSON that XGBoost writes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def document(self) -> Any:
        value = self._value(self._take(1), 0)
        if self.at != len(self.data):
            raise ValueError(f"{len(self.data) - self.at} bytes follow its end")
        return value

    def _take(self, size: int) -> bytes:
        start, self.at = self.at, self.at + size
        if size < 0 or self.at > len(self.data):
            raise ValueError(f"it is cut off or damaged at byte {start}")
        return self.data[start : self.at]

    def _value(self, marker: bytes, depth: int) -> Any:
        if depth > _DEPTH_LIMIT:
            raise ValueError("it is nested too deeply")
        if marker == b"{":
            return self._object(depth)
        if marker == b"[":
            return self._array(depth)
        if marker == b"S":
            return self._take(self._length(self._take(1))).decode()
        if marker in _SINGLES:
            return _SINGLES[marker]
        if marker not in _NUMBERS:
            raise ValueError(f"it is damaged at byte {self.at - 1}")
        return self._numbers(marker, 1)[0].item()

    def _object(self, depth: int) -> Document:
        found: Document = {}
        while (marker := self._take(1)) != b"}":
            key = self._take(self._length(marker)).decode()
            found[key] = self._value(self._take(1), depth + 1)
        return found

    def _array(self, depth: int) -> Any:
        marker = self._take(1)
        if marker == b"$":
            kind, marker = self._take(1), self._take(1)
            if marker != b"#":
                raise ValueError(f"it is damaged at byte {self.at - 1}")
            return self._numbers(kind, self._length(self._take(1)))
        if marker == b"#":
            return [self._value(self._take(1), depth + 1) for _ in range(self._length(self._take(1)))]
        items = []
        while marker != b"]":
            items.append(self._value(marker, depth + 1))
            marker = self._take(1)
        return items

    def _length(self, marker: bytes) -> int:
        """A length, never longer than what is left: an array's items take at least a byte each."""
        if marker not in _INTEGERS:
            raise ValueError(f"it is damaged at byte {self.at - 1}")
        length = int(self._numbers(marker, 1)[0])
        if not 0 <= length <= len(self.data) - self.at:
            raise ValueError(f"it is cut off or damaged at byte {self.at}")
        return length

    def _numbers(self, kind: bytes, count: int) -> np.ndarray[Any, np.dtype[Any]]:
        if kind not in _NUMBERS:
            raise ValueError(f"it is damaged at byte {self.at - 1}")
        dtype = np.dtype(_NUMBERS[kind])
        return np.frombuffer(self._take(count * dtype.itemsize), dtype)


def check(document: Document) -> None:
    """Check that the trees are trees, and that their indices stay inside the arrays they point into.

    Raises:
        ValueError: they do not; the message says which.
    """
    try:
        learner = document["learner"]
        parameters = {key: int(learner["learner_model_param"].get(key, 0)) for key in _COUNTS}
        for key in ("feature_names", "feature_types"):
            if len(learner.get(key, ())) not in (0, parameters["num_feature"]):
                raise ValueError(f"{key} and num_feature disagree")
        if len(set(learner.get("feature_names", ()))) != len(learner.get("feature_names", ())):
            raise ValueError("feature_names repeat")
        booster = learner["gradient_booster"]
        groups = max(1, *(parameters[key] for key in ("num_class", "num_target")))
        if booster["name"] == "gblinear":
            _check_length(booster["model"]["weights"], (parameters["num_feature"] + 1) * groups, "weights")
            return
        _check_trees(_tree_model(booster), parameters["num_feature"], groups)
        if any(index >= parameters["num_feature"] for index in categories(document)):
            raise ValueError("cats and num_feature disagree")
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(f"its structure is damaged ({type(error).__name__}: {error})") from error


_COUNTS = ("num_feature", "num_class", "num_target")


def no_names(kinds: Sequence[str] | None, names: Sequence[str] | None) -> str:
    """What to send for columns that are categories where a model holds none, as before 3.1; "" where none are.

    `kinds` and `names` are the booster's `feature_types` and `feature_names`.
    """
    columns = [repr(names[i]) if names else str(i) for i, kind in enumerate(kinds or ()) if kind == "c"]
    if not columns:
        return ""
    one = len(columns) == 1
    return _NO_NAMES.format(f"column{'' if one else 's'} {listed(columns)} {'holds' if one else 'hold'}")


def categories(document: Document) -> dict[int, list[str] | list[int]]:
    """The category values of each categorical feature, by its index; a value's place in the list is its code.

    XGBoost stores them since version 3.1, of models that were trained on a data frame; {} otherwise.
    """
    booster = document["learner"]["gradient_booster"]
    if booster["name"] == "gblinear":
        return {}
    encodings = _tree_model(booster).get("cats", {}).get("enc", ())
    return {index: _values(encoding) for index, encoding in enumerate(encodings) if len(encoding["values"])}


def _values(encoding: Document) -> list[str] | list[int]:
    """Integers as they are; strings as Arrow stores them: all the bytes, and where each begins."""
    if "offsets" not in encoding:
        return [int(value) for value in encoding["values"]]
    text = np.asarray(encoding["values"], dtype=np.int8).tobytes()
    offsets = [int(offset) for offset in encoding["offsets"]]
    return [text[start:end].decode() for start, end in itertools.pairwise(offsets)]


def _tree_model(booster: Document) -> Document:
    """dart wraps gbtree's model."""
    model: Document = booster["gbtree"]["model"] if booster["name"] == "dart" else booster["model"]
    return model


def _check_trees(model: Document, features: int, groups: int) -> None:
    trees = model["trees"]
    _check_length(trees, int(model["gbtree_model_param"]["num_trees"]), "trees")
    _check_length(model["tree_info"], len(trees), "tree_info")
    _check_inside(np.asarray(model["tree_info"]), groups, "tree_info")
    _check_inside(np.asarray(model.get("iteration_indptr", ())), len(trees) + 1, "iteration_indptr")
    for index, tree in enumerate(trees):
        try:
            _check_tree(tree, features)
        except ValueError as error:
            raise ValueError(f"tree {index}: {error}") from error


_LINKS = ("left_children", "right_children", "parents", "split_indices")


def _check_tree(tree: Document, features: int) -> None:
    """Every child inside the tree and a child only once, never the root: so that no walk can leave or circle."""
    nodes = int(tree["tree_param"]["num_nodes"])
    for name in (*_LINKS, "split_conditions", "default_left"):
        _check_length(tree[name], nodes, name)
    left, right, parents, split = (np.asarray(tree[name]) for name in _LINKS)
    inner = np.flatnonzero(left != -1)
    children = np.concatenate([left[inner], right[inner]])
    _check_inside(children, nodes, "children")
    _check_inside(split[inner], features, "split_indices")
    if nodes < 1 or 0 in children or len(np.unique(children)) != len(children):
        raise ValueError("its nodes do not form a tree")
    if not np.array_equal(parents[children], np.concatenate([inner, inner])):
        raise ValueError("parents and children disagree")
    vector = max(1, int(tree["tree_param"].get("size_leaf_vector", 1)))
    _check_length(tree["base_weights"], nodes * vector, "base_weights")
    if "leaf_weights" in tree:  # a tree with a vector in each leaf keeps the leaf's number as its right child
        _check_inside(right[left == -1], len(tree["leaf_weights"]) // vector, "leaves")
    _check_categories(tree, nodes)


def _check_categories(tree: Document, nodes: int) -> None:
    if not len(tree.get("categories_nodes", ())):
        return
    starts, sizes = np.asarray(tree["categories_segments"]), np.asarray(tree["categories_sizes"])
    _check_inside(np.asarray(tree["categories_nodes"]), nodes, "categories_nodes")
    _check_inside(np.concatenate([starts, starts + sizes]), len(tree["categories"]) + 1, "categories_segments")
    _check_inside(np.asarray(tree["categories"]), 1 << 24, "categories")


def _check_length(values: Any, expected: int, name: str) -> None:
    if len(values) != expected:
        raise ValueError(f"{name} holds {len(values)} values instead of {expected}")


def _check_inside(indices: np.ndarray[Any, np.dtype[Any]], size: int, name: str) -> None:
    if len(indices) and (indices.min() < 0 or indices.max() >= size):
        raise ValueError(f"{name} points outside")
