"""What a model holds of the memory budget comes back once its memory has."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from adapters.base import Adapter
from server.loading.memory_budget import LEAST, Budget
from server.repository.claims import ModelClaims
from server.runtime import memory
from tests.patience import wait_for
from tests.server.repository.kit import model
from tests.server.stand_ins import EchoAdapter


def test_a_closed_model_is_emptied_and_then_its_claim_released() -> None:
    budget = Budget(10 * LEAST)
    claims = ModelClaims(budget)
    served = model()
    claim = budget.take(("m", ""), 3 * LEAST)
    claims.hold(served, claim)
    assert claims.of(served) is claim
    claims.closed(served)
    wait_for(lambda: not budget.used)
    assert claims.of(served) is None
    assert isinstance(served.adapter, EchoAdapter)
    assert served.adapter.released == 1


def test_an_adapter_that_says_nothing_else_is_emptied() -> None:
    adapter = EchoAdapter("echo", {})
    content = np.zeros(3)
    vars(adapter)["model"] = content
    gone = weakref.ref(content)
    del content
    Adapter.release(adapter)
    assert gone() is None
    assert not vars(adapter)


def test_nobody_keeps_a_closed_model() -> None:
    claims = ModelClaims(Budget())
    served = model()
    gone = weakref.ref(served)
    claims.hold(served, None)
    claims.closed(served)
    del served
    wait_for(lambda: gc.collect() >= 0 and gone() is None)


def test_the_claim_is_released_whatever_goes_wrong(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(memory, "release", lambda *_: 1 / 0)
    budget = Budget(10 * LEAST)
    claims = ModelClaims(budget)
    served = model()
    claims.hold(served, budget.take(("m", ""), LEAST))
    claims.closed(served)
    wait_for(lambda: not budget.used)
    assert "the memory of model m was not given back" in caplog.text
