"""The last lines about each model are kept, so many and no more."""

from __future__ import annotations

import logging

import pytest

from server.runtime import log_rings
from server.runtime.log_rings import LogRings


@pytest.fixture
def log() -> logging.Logger:
    found = logging.getLogger("test_log_rings")
    found.handlers.clear()
    found.propagate = False
    found.setLevel(logging.INFO)
    return found


def test_lines_are_kept_by_the_model_that_they_are_about(log: logging.Logger) -> None:
    rings = LogRings()
    log.addHandler(rings)
    log.info("model %s | %s%s", "iris", "epoch 1", "")
    log.warning("model %s is not served: %s", "spam version 2", "broken")
    log.info("stopped")
    assert [line[20:] for line in rings.lines("iris")] == ["INFO model iris | epoch 1"]
    assert [line[20:] for line in rings.lines("spam")] == ["WARNING model spam version 2 is not served: broken"]
    assert rings.lines("nobody") == []


def test_they_are_bounded(log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_rings, "MODELS", 2)
    rings = LogRings()
    log.addHandler(rings)
    for number in range(log_rings.LINES + 5):
        log.info("model %s | %s", "a", f"{number} " + "x" * 5000)
    assert len(rings.lines("a")) == log_rings.LINES
    assert " 5 x" in rings.lines("a")[0]
    assert len(rings.lines("a")[0]) < log_rings.LONGEST + 100
    for model in ("b", "c"):
        log.info("model %s is ready", model)
    assert [bool(rings.lines(model)) for model in ("a", "b", "c")] == [False, True, True]
