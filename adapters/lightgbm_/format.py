"""LightGBM's text model read without LightGBM: what a whole file looks like, and what its lines say.

LightGBM trusts a file: nearly every truncated one ends the process with a segmentation fault. `read` first checks that
every tree lies where the header says and is a tree, so that such files get a reason instead. Standard library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from adapters.formats import json_text

START = re.compile(rb"tree\r?\nversion=")

_PANDAS = b"pandas_categorical:"
_BARE = {b"tree", b"average_output"}  #: the header's lines that are no "name=value"
_STRAY_SPACES = (b"\t", b"\r", b"\v", b"\f")  #: Python would split at these, LightGBM does not
_CLASSES = re.compile(rb" num_class:(\d+)")
_PARAMETER = re.compile(rb"\[\w+: .*\]")
_CATEGORICAL = re.compile(rb"^\[categorical_feature: ([\d,]*)\]$", re.MULTILINE)
_CATEGORICAL_SPLIT = 1  #: this bit of a node's decision_type

#: what LightGBM reads of each inner node and each leaf where it is given; older versions wrote less
_OF_NODES = {b"split_gain", b"internal_value", b"internal_weight", b"internal_count"}
_OF_LEAVES = {b"leaf_weight", b"leaf_count"}

Lines = dict[bytes, bytes]


@dataclass(frozen=True)
class TextModel:
    """A checked model: its text with plain line ends, and what the signature needs of it."""

    text: str
    categories: tuple[list[Any], ...]  #: pandas' categories of each categorical column; a value's place is its code
    categorical: tuple[int, ...]  #: the features that were trained as categorical
    infos: tuple[str, ...]  #: each feature's range `[low:high]`, its codes `-1:0:1`, or `none`


def read(data: bytes) -> TextModel:
    """Check a model file and read its header and its end.

    Raises:
        ValueError: it is cut off or damaged; the message says where.
    """
    data = data.replace(b"\r\n", b"\n")  # LightGBM aborts on Windows' line ends: its offsets count plain ones
    start, end = data.find(b"\n\n") + 2, data.find(b"\nend of trees\n") + 1
    if start < 2 or end < 1:
        raise ValueError("it is cut off: there is no line 'end of trees'")
    closing = data.find(b"\nend of parameters\n", end)
    if closing < 0:
        raise ValueError("it is cut off: there is no line 'end of parameters'")
    try:
        header = _lines(data[:start])
        features = int(header[b"max_feature_idx"]) + 1
        _check_header(header, features)
        _check_trees(data[start:end], header, features)
        _check_parameters(data[end:closing])
        indices = _CATEGORICAL.search(data, end)
        return TextModel(
            data.decode(),
            tuple(_categories(data[closing + len(b"\nend of parameters\n") :])),
            tuple(int(index) for index in indices[1].split(b",") if index) if indices else (),
            tuple(header[b"feature_infos"].decode().split(" ")),
        )
    except KeyError as error:
        raise ValueError(f"it is damaged: {error.args[0].decode()} is missing") from error


def _categories(tail: bytes) -> list[list[Any]]:
    """What Python adds as the last line; LightGBM's own command line does not."""
    tail = tail.strip()
    if not tail:
        return []
    if not tail.startswith(_PANDAS):
        raise ValueError("it is cut off or damaged behind 'end of parameters'")
    try:
        categories = json_text.loads(tail[len(_PANDAS) :]) or []
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is cut off or damaged in pandas_categorical: {error}") from error
    if not isinstance(categories, list) or not all(isinstance(values, list) for values in categories):
        raise ValueError("pandas_categorical is no list of lists")
    if not all(isinstance(value, str | int | float) for values in categories for value in values):
        raise ValueError("pandas_categorical holds something else than text and numbers")
    return categories


def _check_header(header: Lines, features: int) -> None:
    for key in (b"feature_names", b"feature_infos"):
        _values(header, key, features)
    classes = int(header[b"num_class"])
    of_objective = _CLASSES.search(header.get(b"objective", b""))
    if min(classes, int(header[b"num_tree_per_iteration"])) < 1 or (of_objective and int(of_objective[1]) != classes):
        raise ValueError("it is damaged: its numbers of classes disagree")


def _check_parameters(text: bytes) -> None:
    lines = text.partition(b"\nparameters:\n")[2].split(b"\n")
    if damaged := [line for line in lines if line and not _PARAMETER.fullmatch(line)]:
        raise ValueError(f"it is damaged in its parameters: {damaged[0][:60]!r}")


def _check_trees(text: bytes, header: Lines, features: int) -> None:
    if any(space in text for space in _STRAY_SPACES):
        raise ValueError("it is damaged: its trees hold other spaces than ' '")
    trees = [b"Tree=" + tree for tree in (b"\n" + text).split(b"\nTree=")[1:]]
    if b"tree_sizes" in header:
        # each tree's text and the line end before the next one
        found = [len(tree) + 1 for tree in trees[:-1]] + [len(tree) for tree in trees[-1:]]
        if found != [int(size) for size in header[b"tree_sizes"].split()]:
            raise ValueError("it is damaged: the trees are not of the sizes that tree_sizes says")
    if len(trees) % int(header[b"num_tree_per_iteration"]):
        raise ValueError("it is damaged: trees are missing")
    for index, tree in enumerate(trees):
        try:
            _check_tree(_lines(tree), features)
        except ValueError as error:
            raise ValueError(f"it is damaged: tree {index}: {error}") from error
        except KeyError as error:
            raise ValueError(f"it is damaged: tree {index}: {error.args[0].decode()} is missing") from error


def _check_tree(tree: Lines, features: int) -> None:
    """Every child inside the tree and each exactly once, the root never: so that no walk can leave or circle.

    Children are inner nodes by their index, and leaves by -1 minus theirs.
    """
    leaves = int(tree[b"num_leaves"])
    _numbers(tree, b"leaf_value", leaves)
    if leaves < 2:
        return
    inner = leaves - 1
    for key in _OF_NODES & tree.keys():
        _numbers(tree, key, inner)
    for key in _OF_LEAVES & tree.keys():
        _numbers(tree, key, leaves)
    children = [*_integers(tree, b"left_child", inner), *_integers(tree, b"right_child", inner)]
    if sorted(children) != [*range(-leaves, 0), *range(1, inner)]:
        raise ValueError("its nodes do not form a tree")
    if not all(0 <= feature < features for feature in _integers(tree, b"split_feature", inner)):
        raise ValueError("split_feature names a feature beyond max_feature_idx")
    _check_categorical(tree, inner)
    if tree.get(b"is_linear") == b"1":
        _check_linear(tree, leaves, features)


def _check_categorical(tree: Lines, inner: int) -> None:
    """Categorical nodes' thresholds number the sets of categories that cat_boundaries cuts cat_threshold into."""
    sets = int(tree[b"num_cat"])
    kinds = _integers(tree, b"decision_type", inner)
    thresholds = zip(_numbers(tree, b"threshold", inner), kinds, strict=True)
    if not all(0 <= threshold < sets for threshold, kind in thresholds if kind & _CATEGORICAL_SPLIT):
        raise ValueError("a categorical threshold is beyond num_cat")
    if sets:
        bounds = _integers(tree, b"cat_boundaries", sets + 1)
        if bounds[0] != 0 or bounds != sorted(bounds):
            raise ValueError("cat_boundaries do not rise")
        _integers(tree, b"cat_threshold", bounds[-1])


def _check_linear(tree: Lines, leaves: int, features: int) -> None:
    terms = _integers(tree, b"num_features", leaves)
    if min(terms) < 0:
        raise ValueError("num_features is negative")
    _numbers(tree, b"leaf_const", leaves)
    _numbers(tree, b"leaf_coeff", sum(terms))
    if not all(0 <= feature < features for feature in _integers(tree, b"leaf_features", sum(terms))):
        raise ValueError("leaf_features names a feature beyond max_feature_idx")


def _lines(text: bytes) -> Lines:
    pairs = [line.partition(b"=") for line in text.split(b"\n") if line]
    if damaged := [key for key, equals, _ in pairs if not equals and key not in _BARE]:
        raise ValueError(f"the line {damaged[0][:60]!r} is no 'name=value'")
    return {key: value for key, _, value in pairs}


def _integers(lines: Lines, key: bytes, count: int) -> list[int]:
    return list(map(int, _values(lines, key, count)))


def _numbers(lines: Lines, key: bytes, count: int) -> list[float]:
    return list(map(float, _values(lines, key, count)))


def _values(lines: Lines, key: bytes, count: int) -> list[bytes]:
    values = lines[key].split()
    if len(values) != count:
        raise ValueError(f"{key.decode()} holds {len(values)} values instead of {count}")
    return values
