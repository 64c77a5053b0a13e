"""Every loaded model has answered once in the process that serves it."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from server.loading.catalog import scan
from server.loading.loader import Loader
from server.loading.warming import warm
from tests.server.stand_ins import EchoAdapter

pytestmark = pytest.mark.usefixtures("echo")


def test_a_loaded_model_has_answered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(EchoAdapter, "predict", lambda self, inputs, parameters: asked.append(inputs["x"].shape))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "model.echo").write_text("echo")
    may_import = threading.Event()
    may_import.set()
    (found,) = scan(tmp_path, "model").found
    Loader(None, may_import).load(found)
    assert asked == [(2, 2)]


def test_one_that_refuses_its_example_is_loaded_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    adapter = EchoAdapter("echo", {})
    adapter.predict = lambda inputs, parameters: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    with caplog.at_level(logging.DEBUG, "kserve"):
        warm("a", adapter)
    assert caplog.messages == ["model a is not warmed: ZeroDivisionError: division by zero"]
