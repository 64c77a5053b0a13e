"""Whether the server may be sent requests, by what `--ready` asks for; more of it is in `test_repository.py`."""

from __future__ import annotations

import pytest

from server.repository.readiness import why_not_ready
from server.repository.state import ModelState, State
from server.repository.store import ModelStore
from tests.server.repository.kit import found, ready


@pytest.fixture
def store() -> ModelStore:
    """One that serves, one that would, one that cannot."""
    store = ModelStore()
    store.put(ready("a"))
    store.put(ModelState(found("b"), State.EVICTED))
    store.put(ModelState(found("c"), State.UNAVAILABLE, "it is damaged"))
    return store


def test_every_directory_has_to_be_tried_first(store: ModelStore) -> None:
    store.put(ModelState(found("d")))
    for rule in ("scan", "any", "all"):
        assert why_not_ready(store, rule, scanned=False, loading=1) == "1 of 4 models are still loading"


@pytest.mark.parametrize(("rule", "why"), [("scan", ""), ("any", ""), ("all", "c: it is damaged")])
def test_how_many_have_to_be_ready(store: ModelStore, rule: str, why: str) -> None:
    assert why_not_ready(store, rule, scanned=True) == why


@pytest.mark.parametrize(("rule", "why"), [("scan", ""), ("any", "there is no model"), ("all", "")])
def test_where_there_is_none(rule: str, why: str) -> None:
    assert why_not_ready(ModelStore(), rule, scanned=True) == why


def test_who_may_not_know_of_every_model_is_told_how_many_are_not_ready(store: ModelStore) -> None:
    assert why_not_ready(store, "all", scanned=True, named=False) == "1 of 3 models are not ready"
    assert why_not_ready(store, "any", scanned=True, named=False) == ""
    assert why_not_ready(ModelStore(), "any", scanned=True, named=False) == "there is no model"
