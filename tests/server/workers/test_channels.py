"""Calls that the event loop begins itself: no thread waits, and they end as all others do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import uvloop

from adapters.base import InvalidInput, Tensors
from server.codec.decoded_request import DecodedRequest
from server.errors import DeadlineExceeded, ModelFailed, RefusedByModel, ServingError, TooLong
from server.errors import InvalidInput as Refused
from server.inference.batching.batcher import Batcher
from server.inference.batching.queue import Limits
from server.inference.batching.threads import ThreadPool
from server.runtime import ipc
from server.workers.adapter import RemoteAdapter
from server.workers.channels import CallOutcome, ModelTrace, failure
from server.workers.worker import WorkerDied
from server.workers.worker_pool import SMALL, WorkerPool
from tests.asking import submit
from tests.patience import wait_for
from tests.server.workers.conftest import Make

T = TypeVar("T")

LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop, uvloop.new_event_loop]

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as first:
    first.run(asyncio.sleep(0))  # it keeps some descriptors for good


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, T]], T]:
    def run(main: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(main)

    return run


async def begun(pool: WorkerPool, x: Any, do: str = "") -> Tensors:
    """The outcome of a call that has to begin at once."""
    future: asyncio.Future[CallOutcome] = asyncio.get_running_loop().create_future()
    assert pool.begin({"x": np.asarray(x, dtype=np.float64)}, {"do": do}, future.set_result)
    outcome = await asyncio.wait_for(future, 30)
    if isinstance(outcome, ServingError):
        raise outcome
    return outcome


def never(outcome: CallOutcome) -> None:
    raise AssertionError


async def back(pool: WorkerPool) -> None:
    await asyncio.to_thread(wait_for, lambda: pool.restarts and not pool.down, "a new worker")


@pytest.mark.slow
def test_outcomes(make: Make, run: Callable[..., Any]) -> None:
    pool = make()
    pool.start()

    async def main() -> None:
        for number in range(100):
            assert (await begun(pool, [number]))["y"].tolist() == [2 * number]
        assert (await begun(pool, np.arange(3), "long"))["z"].shape == (3, 100_000)
        threaded = await asyncio.to_thread(pool.call, "predict", {"x": np.ones(SMALL)}, {"do": "pause"})
        assert threaded["y"].shape == (SMALL,)
        with pytest.raises(InvalidInput, match="not to its taste"):
            await begun(pool, [1], "refuse")
        with pytest.raises(ModelFailed, match="KeyError: 'a key'") as failure:
            await begun(pool, [1], "fail")
        assert isinstance(failure.value.__cause__, ModelTrace)
        assert (await begun(pool, [1]))["y"].tolist() == [2.0]

    run(main())
    assert pool.restarts == 0


@pytest.mark.slow
def test_what_cannot_begin_at_once_is_left_to_a_thread(make: Make, run: Callable[..., Any], tmp_path: Path) -> None:
    pool = make()
    pool.start()

    async def main() -> None:
        assert not pool.begin({"x": np.zeros(SMALL)}, {}, never)
        first = asyncio.create_task(begun(pool, [1.0], "gate"))
        await asyncio.to_thread(wait_for, (tmp_path / "odd" / "entered").exists)
        assert not pool.begin({"x": np.zeros(1)}, {}, never)  # the worker is busy
        threaded = asyncio.create_task(asyncio.to_thread(pool.call, "predict", {"x": np.ones(1)}, {}))
        (tmp_path / "odd" / "open").touch()
        assert (await first)["y"].tolist() == (await threaded)["y"].tolist() == [2.0]

    run(main())


@pytest.mark.parametrize("do", ["crash", "babble", "hang-up"])
@pytest.mark.slow
def test_deaths(make: Make, run: Callable[..., Any], do: str, tmp_path: Path) -> None:
    pool = make()
    pool.start()
    (tmp_path / "odd" / "model.txt").write_text("gate")  # the next worker comes when the test is ready for it

    async def main() -> None:
        with pytest.raises(WorkerDied):
            await begun(pool, [1], do)
        await asyncio.to_thread(wait_for, lambda: pool.restarts)
        assert not pool.begin({"x": np.zeros(1)}, {}, never)
        (tmp_path / "odd" / "open").touch()
        await back(pool)
        assert (await begun(pool, [1]))["y"].tolist() == [2.0]

    run(main())


@pytest.mark.slow
def test_a_hang_stops_nobody_else(make: Make, run: Callable[..., Any]) -> None:
    pool = make(call_timeout=6.0)
    pool.start()

    async def main() -> None:
        hanging = asyncio.create_task(begun(pool, [1], "hang"))
        turns = 0
        while not hanging.done():
            await asyncio.sleep(0.005)
            turns += 1
        with pytest.raises(DeadlineExceeded, match="call_timeout"):
            hanging.result()
        assert turns > 10  # of the loop, which would have taken none if the call had kept it
        await back(pool)

    run(main())


# --- in the batcher ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_batches_end_as_they_do_in_process(make: Make, run: Callable[..., Any]) -> None:
    pool = make()
    adapter = RemoteAdapter("odd", pool.start(), pool)

    async def main() -> None:
        batcher = Batcher(adapter.predict, ThreadPool(4, "test"), Limits(), begin=adapter.begin)

        def ask(*numbers: float) -> Coroutine[Any, Any, Tensors]:
            return submit(batcher, DecodedRequest({"x": np.array(numbers)}, len(numbers), {}))

        answers = await asyncio.gather(*(ask(number, -number) for number in range(50)))
        assert [answer["y"].tolist() for answer in answers] == [[2.0 * n, -2.0 * n] for n in range(50)]
        outcomes = await asyncio.gather(ask(1), ask(1313), ask(3), return_exceptions=True)
        assert outcomes[0]["y"].tolist() == [2.0]  # type: ignore[index]
        assert str(outcomes[1]) == "ValueError: an unlucky number"
        assert outcomes[2]["y"].tolist() == [6.0]  # type: ignore[index]
        assert pool.restarts == 0
        large = np.linspace(0, 1, 2 * SMALL)
        assert (await ask(*large))["y"].tolist() == (2 * large).tolist()

    run(main())


@pytest.mark.slow
def test_a_batch_that_kills_the_worker_is_not_tried_again(make: Make, run: Callable[..., Any]) -> None:
    """Its requests would be tried one by one, if it had only failed; so the culprit would kill the next worker, too."""
    pool = make()
    adapter = RemoteAdapter("odd", pool.start(), pool)

    async def main() -> None:
        batcher = Batcher(adapter.predict, ThreadPool(4, "test"), Limits(), begin=adapter.begin)
        asked = [submit(batcher, DecodedRequest({"x": np.array([number])}, 1, {})) for number in (1.0, 666.0, 3.0)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [WorkerDied] * 3
        assert "the worker ended (exit code 6)" in str(outcomes[0])
        await back(pool)
        assert (await submit(batcher, DecodedRequest({"x": np.array([4.0])}, 1, {})))["y"].tolist() == [8.0]

    run(main())
    assert pool.restarts == 1


@pytest.mark.parametrize(("kind", "known"), [("input", Refused), ("too_long", TooLong), ("model", ModelFailed)])
def test_what_a_model_ends_in_is_the_error_of_its_kind(kind: str, known: type[ServingError]) -> None:
    assert type(failure(ipc.Message({"error": "why", "kind": kind}, {}))) is known
    assert failure(ipc.Message({}, {})) is None


@pytest.mark.parametrize(
    ("sent", "status"), [(422, 422), (513, 513), (200, 500), (600, 500), ("422", 500), (None, 500)]
)
def test_a_status_that_the_models_code_chose_is_one_of_an_error(sent: object, status: int) -> None:
    error = failure(ipc.Message({"error": "why", "kind": "input", "status": sent}, {}))
    assert isinstance(error, RefusedByModel)
    assert error.status == status
