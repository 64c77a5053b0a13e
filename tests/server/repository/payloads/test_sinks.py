"""Payloads arrive where the operator wants them, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

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


def test_a_bucket_without_credentials_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ROLE_ARN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    with pytest.raises(SinkFailed, match="s3://logs takes nothing: there are no credentials: set AWS_ACCESS_KEY_ID"):
        sink("s3://logs", Sender())([ONE])
