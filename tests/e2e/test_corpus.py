"""The corpus: every folder of tests/corpus served by one server, every request over every protocol that carries it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import corpus
from tests.e2e.corpus import Exchange
from tests.e2e.process import Server

pytestmark = pytest.mark.slow

EXCHANGES = corpus.exchanges()


@dataclass
class Site:
    server: Server
    answers: dict[str, dict[str, Any]]  #: of `make`, by case and request
    index: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Site]:
    base = tmp_path_factory.mktemp("corpus")
    root: Path = base / "models"
    wanted = {item.callspec.params["case"] for item in request.session.items if "case" in _params(item)}
    wanted |= {item.callspec.params["exchange"].case for item in request.session.items if "exchange" in _params(item)}
    answers = {}
    for case in sorted(wanted):
        (root / case).mkdir(parents=True)
        answers[case] = corpus.make(case, root / case)
    server = Server(root, base / "server.log").wait_scanned()
    yield Site(server, answers, server.index())
    assert server.stop() == 0, server.log


def _params(item: Any) -> dict[str, Any]:
    return item.callspec.params if item.fspath == __file__ and hasattr(item, "callspec") else {}


@pytest.mark.parametrize("case", corpus.cases())
def test_the_index_says_what_became_of_it(site: Site, case: str) -> None:
    file = corpus.ROOT / case / "index.json"
    expected = json.loads(file.read_text()) if file.exists() else {"state": "READY", "reason": ""}
    entry = site.index[case]
    assert entry["state"] == expected["state"], entry
    assert expected["reason"] in entry["reason"]
    assert bool(expected["reason"]) == bool(entry["reason"]), entry


@pytest.mark.parametrize(
    ("exchange", "protocol"),
    [
        pytest.param(exchange, protocol, id=f"{exchange.case}-{exchange.name}-{protocol}")
        for exchange in EXCHANGES
        for protocol in exchange.protocols
    ],
)
def test_the_answer_is_the_frameworks(site: Site, exchange: Exchange, protocol: str) -> None:
    answered = corpus.ask(site.server, exchange, protocol)
    if answered is None:
        assert protocol not in exchange.content.get("only", ()), f"{protocol} cannot carry it"
        return
    content = exchange.content
    if "status" in content:
        assert answered.status == content["status"], answered
        assert content["error"] in answered.error
        return
    assert answered.status == 200, answered.error
    given = content["response"]["predictions"] if "response" in content else None
    expected = given if given is not None else site.answers[exchange.case][exchange.name]
    got = answered.predictions if protocol == "v1" else corpus.from_texts(expected, answered.predictions)
    assert corpus.same(expected, got, content.get("tolerance", 1e-6)), f"expected {expected}, got {got}"
