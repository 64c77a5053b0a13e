"""What waits is bounded, what does not fit is counted, and nobody waits for a sink that hangs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from server.repository.payloads import payload_queue
from server.repository.payloads.payload import Payload
from server.repository.payloads.payload_queue import PayloadQueue
from server.repository.payloads.sinks import SinkFailed
from server.telemetry.metrics import MetricsByModel
from tests.patience import wait_for

ONE = Payload("request", "abc", "iris", "3", "v1", "application/json", b"{}")


class Sink:
    """Keeps what it is sent, once its gate is open."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.taken: list[Payload] = []
        self.gate = threading.Event()
        self.busy = threading.Event()
        if is_open:
            self.gate.set()

    def send(self, payloads: Sequence[Payload]) -> None:
        self.busy.set()
        assert self.gate.wait(60)
        self.taken.extend(payloads)


def test_what_is_put_in_is_sent_in_order_and_counted() -> None:
    sink, metrics = Sink(), MetricsByModel()
    queue = PayloadQueue(sink.send, metrics.of)
    sent = [replace(ONE, id=str(number)) for number in range(20)]
    for each in sent:
        queue.put(each)
    queue.close()
    assert sink.taken == sent
    assert metrics.of("iris", "3").payloads_sent == 20


@pytest.mark.parametrize("bound", ["MOST", "MOST_BYTES"])
def test_what_does_not_fit_is_dropped_and_counted(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload_queue, bound, 5 if bound == "MOST" else 5 * ONE.size)
    monkeypatch.setattr(payload_queue, "BATCH", 1)
    sink, metrics = Sink(is_open=False), MetricsByModel()
    queue = PayloadQueue(sink.send, metrics.of)
    queue.put(ONE)
    assert sink.busy.wait(60)  # that one is no longer in the queue
    for _ in range(8):
        queue.put(ONE)
    counts = metrics.of("iris", "3")
    assert counts.payloads_dropped == 3
    sink.gate.set()
    queue.close()
    assert (counts.payloads_sent, len(sink.taken)) == (6, 6)


def test_a_sink_that_fails_is_told_once_and_what_was_lost_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    def fail(payloads: Sequence[Payload]) -> None:
        raise OSError("the disk is full")

    metrics = MetricsByModel()
    with caplog.at_level(logging.WARNING, "kserve"):
        queue = PayloadQueue(fail, metrics.of)
        for number in range(2):
            queue.put(ONE)
            wait_for(lambda wanted=number + 1: metrics.of("iris", "3").payloads_failed == wanted)
        queue.close()
    (line,) = caplog.messages
    assert line.endswith("(polyserve_payloads_total counts it): the disk is full")


def test_of_some_the_others_count_as_sent() -> None:
    sink, metrics = Sink(is_open=False), MetricsByModel()

    def fail(payloads: Sequence[Payload]) -> None:
        sink.send(payloads)
        raise SinkFailed("one is too large", payloads[-1:])

    queue = PayloadQueue(fail, metrics.of)
    queue.put(ONE)
    assert sink.busy.wait(60)
    for name in ("two", "three", "four"):  # these go together
        queue.put(replace(ONE, id=name))
    sink.gate.set()
    queue.close()
    counts = metrics.of("iris", "3")
    assert (counts.payloads_failed, counts.payloads_sent) == (2, 2)


def test_nothing_is_taken_after_the_end() -> None:
    sink, metrics = Sink(), MetricsByModel()
    queue = PayloadQueue(sink.send, metrics.of)
    queue.close()
    queue.put(ONE)
    assert metrics.of("iris", "3").payloads_dropped == 1


def test_a_process_that_stands_still_at_the_end_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sink, metrics = Sink(is_open=False), MetricsByModel()
    queue = PayloadQueue(sink.send, metrics.of)
    queue.put(ONE)
    join, looks = queue._thread.join, list[float]()

    def halted(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 1:
            time.sleep(0.3)  # for longer than all that the last may take
        else:
            sink.gate.set()
            join(60)

    monkeypatch.setattr(payload_queue, "_FLUSH", 0.2)
    monkeypatch.setattr(queue._thread, "join", halted)
    queue.close()
    assert (sink.taken, looks) == ([ONE], [0.1, 0.1])
