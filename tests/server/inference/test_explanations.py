"""The way of an explanation through a served model: as a prediction's, but with a queue and a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry

from adapters.base import InvalidInput, Parameters, Tensors, TensorSpec
from server.api.kserve.models import kserve_model
from server.errors import DeadlineExceeded, ModelFailed, NotReady, NotSupported, QueueFull, ServingError
from server.inference.batching.queue import Limits
from server.inference.explanations import MOST_NUMBERS
from server.inference.tensor_model import TensorModel
from server.telemetry.metrics import Metrics
from tests.patience import becomes
from tests.server.asking import explain, v1
from tests.server.stand_ins import SIGNATURE, EchoAdapter

BODY = b'{"instances": [[1, 2], [3, 4]]}'


class ExplainingAdapter(EchoAdapter):
    """Explains by the values themselves, times the factor; notes the sizes of its calls."""

    def __init__(self, line: str = "echo", columns: int = 2) -> None:
        super().__init__(line, {})
        terms = (TensorSpec("contributions", "FP64", (-1, columns)), TensorSpec("base_value", "FP64", (-1,)))
        self.signature = replace(SIGNATURE, explanations=terms)
        self.calls: list[tuple[int, dict[str, Any]]] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def explain(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        self.entered.release()
        assert self.gate.wait(30)
        rows = inputs["x"]
        self.calls.append((len(rows), dict(parameters)))
        if (rows == -1).any():
            raise ValueError("poison")
        if (rows == -2).any():
            raise InvalidInput("-2 is not explained")
        return {"contributions": rows * float(parameters.get("factor", 1)), "base_value": rows.sum(axis=1)}


class House:
    """A served model and its metrics."""

    def __init__(self, executor: ThreadPoolExecutor, adapter: EchoAdapter, limits: Limits, merges: bool = True) -> None:
        self.adapter = adapter
        self.registry = CollectorRegistry()
        self.metrics = Metrics(lambda: {"m": ("READY", self.model.waiting)})
        self.registry.register(self.metrics)
        self.model = TensorModel("m", adapter, executor, limits, self.metrics.of("m"), merges)

    def explain(self, body: Any) -> Any:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        return orjson.loads(asyncio.run(explain(self.model, raw)))["explanations"]

    def sample(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


@pytest.fixture
def adapter() -> ExplainingAdapter:
    return ExplainingAdapter()


@pytest.fixture
def house(executor: ThreadPoolExecutor, adapter: ExplainingAdapter) -> House:
    return House(executor, adapter, Limits())


def test_one_explanation_an_instance_in_order(house: House) -> None:
    assert house.explain({"instances": [[1, 2], [3, 4]]}) == [
        {"contributions": {"a": 1.0, "b": 2.0}, "base_value": 3.0},
        {"contributions": {"a": 3.0, "b": 4.0}, "base_value": 7.0},
    ]


@pytest.mark.parametrize(
    "body", [b"", b"[", b"{}", b'{"instances": []}', b'{"instances": [[1]]}', b'{"instances": [["x", 1]]}'], ids=str
)
def test_what_predict_refuses_explain_refuses_alike(house: House, body: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        asyncio.run(v1(house.model, body))
    with pytest.raises(InvalidInput) as also:
        house.explain(body)
    assert str(also.value) == str(refused.value)
    assert house.adapter.calls == []  # type: ignore[attr-defined]


def test_large_bodies_and_answers_are_the_same_off_the_loop(house: House) -> None:
    rows = [[float(n), 0.5] for n in range(20_000)]
    answer = house.explain({"instances": rows})
    assert [row["base_value"] for row in answer] == [n + 0.5 for n in range(20_000)]


async def begun(house: House, adapter: ExplainingAdapter) -> asyncio.Task[bytes]:
    """An explanation that has begun, and ends when the gate opens."""
    adapter.gate.clear()
    task = asyncio.create_task(explain(house.model, BODY))
    assert await asyncio.to_thread(adapter.entered.acquire, timeout=30)
    return task


def together(house: House, *bodies: Any) -> list[Any]:
    async def run() -> list[Any]:
        asked = (explain(house.model, orjson.dumps(body)) for body in bodies)
        return await asyncio.gather(*asked, return_exceptions=True)

    return [each if isinstance(each, Exception) else orjson.loads(each)["explanations"] for each in asyncio.run(run())]


def test_waiting_requests_share_a_call_and_parameters_are_kept_apart(house: House, adapter: ExplainingAdapter) -> None:
    plain = [{"instances": [[n, n]]} for n in range(3)]
    doubled = [{"instances": [[n, n]], "parameters": {"factor": 2}} for n in range(2)]
    answers = together(house, *plain, *doubled)
    assert sorted(adapter.calls, key=str) == [(2, {"factor": 2}), (3, {})]
    assert [answer[0]["contributions"]["a"] for answer in answers] == [0, 1, 2, 0, 2]


def test_only_the_culprit_fails(house: House) -> None:
    good, bad, refused, other = together(house, *({"instances": [[n, 1]]} for n in (5, -1, -2, 6)))
    assert (good[0]["base_value"], other[0]["base_value"]) == (6, 7)
    assert isinstance(bad, ModelFailed)
    assert "poison" in str(bad)
    assert isinstance(refused, ServingError)
    assert (refused.status, str(refused)) == (400, "-2 is not explained")


def test_rows_are_not_merged_where_they_depend_on_each_other(
    executor: ThreadPoolExecutor, adapter: ExplainingAdapter
) -> None:
    together(House(executor, adapter, Limits(), merges=False), *({"instances": [[n, n]]} for n in range(3)))
    assert adapter.calls == [(1, {})] * 3


def test_predictions_do_not_wait_for_explanations(house: House, adapter: ExplainingAdapter) -> None:
    async def run() -> None:
        explaining = await begun(house, adapter)
        assert orjson.loads(await v1(house.model, BODY)) == {"predictions": [[2, 4], [6, 8]]}
        assert not explaining.done()
        adapter.gate.set()
        assert len(orjson.loads(await explaining)["explanations"]) == 2

    asyncio.run(run())


def test_the_queue_is_bounded(executor: ThreadPoolExecutor, adapter: ExplainingAdapter) -> None:
    house = House(executor, adapter, Limits(max_queue=1))

    async def run() -> None:
        first = await begun(house, adapter)
        waiting, full = (asyncio.create_task(explain(house.model, BODY)) for _ in range(2))
        with pytest.raises(QueueFull):
            await full
        assert house.sample("polyserve_queue_length", model="m") == 1
        adapter.gate.set()
        assert all(b"explanations" in answer for answer in await asyncio.gather(first, waiting))

    asyncio.run(run())
    assert house.sample("polyserve_requests_total", model="m", protocol="v1", verb="explain", status="429") == 1


def test_waiting_has_an_end(executor: ThreadPoolExecutor, adapter: ExplainingAdapter) -> None:
    house = House(executor, adapter, Limits(timeout=2.0))  # the first begins within it

    async def run() -> bytes:
        first = await begun(house, adapter)
        with pytest.raises(DeadlineExceeded):
            await explain(house.model, BODY)
        adapter.gate.set()
        return await first

    assert b"explanations" in asyncio.run(run())


def test_an_explanation_too_large_is_refused_before_it_is_made(executor: ThreadPoolExecutor) -> None:
    wide = ExplainingAdapter(columns=MOST_NUMBERS // 3)
    house = House(executor, wide, Limits())
    with pytest.raises(InvalidInput, match=r"4 instances in one request: model 'm' explains at most 2 at a time"):
        house.explain({"instances": [[1, 2]] * 4})
    assert house.adapter.calls == []  # type: ignore[attr-defined]
    together(house, *({"instances": [[n, n]]} for n in range(5)))
    assert [rows for rows, _ in wide.calls] == [2, 2, 1]


def test_requests_are_counted_apart_from_predictions(house: House) -> None:
    house.explain(BODY)
    with pytest.raises(InvalidInput):
        house.explain(b"{}")
    asyncio.run(v1(house.model, BODY))
    labels = {"model": "m", "protocol": "v1"}
    counted = {
        (verb, status): house.sample("polyserve_requests_total", **labels, verb=verb, status=status)
        for verb in ("predict", "explain")
        for status in ("200", "400")
    }
    assert counted == {
        ("predict", "200"): 1,
        ("predict", "400"): None,
        ("explain", "200"): 1,
        ("explain", "400"): 1,
    }
    assert house.sample("request_explain_seconds_count", model_name="m") == 1
    assert house.sample("request_predict_seconds_count", model_name="m") == 1
    assert house.sample("request_preprocess_seconds_count", model_name="m") == 2
    assert house.sample("polyserve_request_seconds_count", **labels, verb="explain") == 2


@pytest.mark.parametrize("payload", [{"instances": [[1, 2]]}, b'{"instances": [[1, 2]]}', [1, 2]], ids=str)
def test_kserves_own_hook(house: House, payload: Any) -> None:
    answer = asyncio.run(kserve_model(house.model).explain(payload))
    assert answer == {"explanations": [{"contributions": {"a": 1.0, "b": 2.0}, "base_value": 3.0}]}


def test_a_model_that_does_not_explain_says_so(executor: ThreadPoolExecutor) -> None:
    house = House(executor, EchoAdapter("echo", {}), Limits())
    with pytest.raises(NotSupported, match=r"model 'm' \(echo\) does not explain its predictions"):
        house.explain(BODY)
    assert house.sample("polyserve_requests_total", model="m", protocol="v1", verb="explain", status="501") == 1


def test_a_model_that_is_stopped_is_closed_once_both_queues_are_idle(house: House, adapter: ExplainingAdapter) -> None:
    async def run() -> None:
        await v1(house.model, BODY)
        running = await begun(house, adapter)
        waiting = asyncio.create_task(explain(house.model, BODY))
        await asyncio.sleep(0)
        house.model.stop()
        with pytest.raises(NotReady, match="being unloaded"):
            await waiting
        assert adapter.closed == 0
        adapter.gate.set()
        await running
        await becomes(lambda: adapter.closed)
        assert adapter.closed == 1

    asyncio.run(run())


def test_steps_are_logged_where_that_is_asked_for(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.model.log_latency = True
    with caplog.at_level("INFO", "kserve.trace"):
        logging.getLogger("kserve").propagate = logging.getLogger("kserve.trace").propagate = True
        house.explain(BODY)
    assert "v1 m: preprocess_ms: " in caplog.text
    assert ", explain_ms: " in caplog.text
