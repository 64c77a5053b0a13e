"""Accounts of what templates make: what is counted, and how."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.huggingface_ import template_budget
from adapters.huggingface_.template_budget import Budget, TooMuch, budget, opened, written


def test_what_is_made_is_spent_until_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_budget, "_MOST_MADE", 1000)
    account = Budget()
    first = account.left
    assert account.made("a" * 300) == "a" * 300
    account.made([1] * 10)
    account.step()
    assert account.left == first - 300 - 160 - 64
    with pytest.raises(TooMuch, match=f"chat template makes more than {first} characters of these messages"):
        account.check(account.left + 1)
    with pytest.raises(TooMuch):
        account.made("a" * first)


def test_a_long_conversation_may_be_read_often() -> None:
    messages = [{"role": "user", "content": "a" * 10_000}] * 100
    account = Budget(messages)
    account.check(account.left + 100 * 10_000 // 2)
    with pytest.raises(TooMuch):
        Budget().check(Budget().left + 1)


def test_numbers_end() -> None:
    assert Budget().made(2**1000) == 2**1000
    with pytest.raises(TooMuch):
        Budget().made(1 << 100_000)


def test_time_is_the_processor_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_budget, "_MOST_SECONDS", -1.0)
    with pytest.raises(TooMuch, match="seconds of a processor"):
        _steps(Budget())


def _steps(account: Budget) -> None:
    for _ in range(100):
        account.step()


def test_each_rendering_has_its_own() -> None:
    with opened():
        outer = budget()
        outer.spend(10)
        with opened("abc"):
            assert budget() is not outer
        assert budget() is outer


@pytest.mark.parametrize("wrap", [lambda inner: [inner, inner], lambda inner: {"a": inner, "b": inner}.items()])
def test_what_stands_twice_is_written_twice_and_looked_at_once(wrap: Any) -> None:
    value: Any = ["a"]
    for _ in range(60):
        value = wrap(value)
    assert written(value) > 2**60
    assert written("abc") == 3


def test_what_holds_itself_is_counted() -> None:
    held: list[Any] = []
    held.append(held)
    assert written(held) < 100
