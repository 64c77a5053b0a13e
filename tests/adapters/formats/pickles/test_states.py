"""A state is given once, by Python's rule, and never to what must not change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from adapters.formats.pickles.policy import Refused
from adapters.formats.pickles.states import set_state
from tests.adapters.formats.pickles.opcodes import filled, loaded, value

TREE = DecisionTreeClassifier(random_state=0).fit([[0.0], [1.0], [2.0]], [0, 1, 2]).tree_


def _tree(*states: dict[str, Any]) -> bytes:
    maker, args, _ = TREE.__reduce__()
    return filled(value(maker) + value(args) + b"R", *map(value, states))


def test_a_tree_gets_its_nodes_once() -> None:
    """It makes room for the first, and copies the second into that, however many they are."""
    state = TREE.__getstate__()
    many = 200_000
    larger = {
        **state,
        "node_count": many,
        "nodes": np.zeros(many, state["nodes"].dtype),
        "values": np.full((many, *state["values"].shape[1:]), 1.1),
    }
    for second in (larger, {**state, "node_count": 10**7}, state):  # the last reads behind its end
        with pytest.raises(Refused, match=r"gives a sklearn\.tree\._tree\.Tree its state twice"):
            loaded(_tree(state, second))


def test_a_tree_has_no_more_nodes_than_its_state_brings() -> None:
    tree = loaded(_tree({**TREE.__getstate__(), "node_count": 10**7}))
    assert tree.node_count == TREE.node_count
    assert np.array_equal(loaded(_tree(TREE.__getstate__())).children_left, TREE.children_left)


def test_every_object_gets_its_state_once() -> None:
    with pytest.raises(Refused, match=r"gives a sklearn\..*Interval its state twice"):
        loaded(filled(b"csklearn._loss.link\nInterval\n)\x81", value({"low": 1}), value({"low": 2})))


def test_an_object_without_a_rule_of_its_own_has_attributes_and_slots() -> None:
    class Own:
        pass

    own: Any = Own()
    set_state(own, ({"a": 1}, {"b": 2}))
    set_state(own, {"c": 3})
    assert vars(own) == {"a": 1, "b": 2, "c": 3}
    with pytest.raises(Refused):
        set_state(own, {"__class__": 1})
