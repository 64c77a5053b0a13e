"""Payloads arrive where the operator wants them, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server.repository.payloads.payload import Payload, Sender
from server.repository.payloads.sinks import SinkFailed, sink
from tests.events import taking_events

ONE = Payload("request", "abc", "iris", "3", "v1", "application/json", b'{"instances": []}')


def test_a_collector_gets_an_event_for_each() -> None:
    with taking_events() as events:
        sink(events.url, Sender("mine"))([ONE, replace(ONE, kind="response")])
        assert events.of("abc").keys() == {"request", "response"}
        headers, body = events.of("abc")["request"]
    assert (headers["ce-inferenceservicename"], body) == ("mine", ONE.body)


def test_a_collector_sends_nothing_on() -> None:
    with taking_events() as events, taking_events() as other:
        events.status, events.location = 307, other.url
        with pytest.raises(SinkFailed, match="the collector answered 307"):
            sink(events.url, Sender())([ONE])
        assert not other.taken


def test_one_that_is_refused_does_not_keep_others_from_being_logged() -> None:
    """As a body that is larger than the collector takes: whoever sends it would else hide what others send."""
    with taking_events() as events:
        events.refused = b"too much"
        batch = [replace(ONE, id="a"), replace(ONE, id="b", body=b"too much"), replace(ONE, id="c")]
        with pytest.raises(SinkFailed, match="the collector answered 413") as failed:
            sink(events.url, Sender())(batch)
        assert failed.value.lost == [batch[1]]
        assert events.of("a")
        assert events.of("c")
        events.status = 503
        with pytest.raises(SinkFailed, match="the collector answered 503") as failed:
            sink(events.url, Sender())(batch)
        assert failed.value.lost == batch


def test_a_collector_that_is_away() -> None:
    with pytest.raises(SinkFailed, match="the collector cannot be reached: ConnectError"):
        sink("http://user:secret@127.0.0.1:9/x", Sender())([ONE])


def test_a_file_grows_and_may_be_rotated(tmp_path: Path) -> None:
    file = tmp_path / "payloads.jsonl"
    send = sink(str(file), Sender())
    send([ONE, ONE])
    file.rename(tmp_path / "old")
    send([ONE])
    assert [len(each.read_text().splitlines()) for each in (tmp_path / "old", file)] == [2, 1]
    assert json.loads(file.read_text())["body"] == {"instances": []}


def test_a_bucket_gets_an_object_of_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    put: list[dict[str, Any]] = []

    class Client:
        def put_object(self, **fields: Any) -> None:
            put.append(fields)

    monkeypatch.setattr("server.loading.storage.stores.s3.client", Client)
    send = sink("s3://logs/mine/", Sender())
    send([ONE, ONE])
    (object_,) = put
    assert object_["Bucket"] == "logs"
    assert object_["Key"].startswith("mine/20")
    assert object_["Key"].endswith(".jsonl")
    assert len(object_["Body"].splitlines()) == 2


def test_a_bucket_that_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> Any:
        raise RuntimeError("no credentials")

    monkeypatch.setattr("server.loading.storage.stores.s3.client", away)
    with pytest.raises(SinkFailed, match="the bucket logs takes nothing: no credentials"):
        sink("s3://logs", Sender())([ONE])
