"""What a `model.py` adds to KServe's FastAPI application: its lifespan is run, and what is not used is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from kserve import model_server

from adapters.base import LoadError, ModelDir, Reply, Request
from adapters.custom_.application import Application
from server.workers.launch import WorkerSpec
from server.workers.messages import WorkerModel
from server.workers.worker_pool import WorkerPool
from tests.patience import becomes

MODEL = """
import asyncio, contextlib, pathlib
import kserve
from kserve.model_server import app

STATE = {}

@contextlib.asynccontextmanager
async def life(app):
    STATE["m"] = 5
    STATE["task"] = asyncio.create_task(asyncio.sleep(3600))
    yield
    STATE["task"].cancel()
    pathlib.Path("ended").touch()

app.router.lifespan_context = life

@app.middleware("http")
async def stamped(request, call_next):
    response = await call_next(request)
    response.headers["x-stamp"] = "mine"
    return response

class Mine(kserve.Model):
    def load(self):
        self.ready = True
    async def predict(self, payload, headers=None):
        return {"predictions": [STATE["m"], not STATE["task"].done()]}
"""


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str], WorkerPool]]:
    pools: list[WorkerPool] = []

    def serve(source: str) -> WorkerPool:
        folder = tmp_path / "mine"
        folder.mkdir()
        (folder / "model.py").write_text(source)
        job = WorkerModel("custom", ModelDir(folder, tmp_path, name="mine"), "model.py", {})
        pools.append(WorkerPool(WorkerSpec("mine", job)))
        pools[-1].start()
        return pools[-1]

    yield serve
    for pool in pools:
        pool.kill()
        assert pool.wait_ended(60)


@pytest.mark.slow
def test_predictions_see_what_the_lifespan_made_and_it_is_left_at_the_end(
    serve: Callable[[str], WorkerPool], tmp_path: Path
) -> None:
    pool = serve(MODEL)

    async def main() -> None:
        request = Request("predict", "v1", b'{"instances": [1]}', {"content-type": "application/json"})
        reply = await pool.answer(request)
        assert isinstance(reply, Reply)
        assert orjson.loads(reply.body) == {"predictions": [5, True]}
        assert reply.headers["x-stamp"] == "mine"
        await asyncio.to_thread(pool.close)
        await becomes((tmp_path / "mine" / "ended").exists)

    asyncio.run(main())


@pytest.mark.slow
def test_a_lifespan_that_fails_is_the_models_reason(serve: Callable[[str], WorkerPool]) -> None:
    with pytest.raises(LoadError, match=r"the lifespan of model\.py's application fails: KeyError: 'gone'"):
        serve(MODEL.replace('STATE["m"] = 5', 'STATE["gone"]'))


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    app = FastAPI()
    monkeypatch.setattr(model_server, "app", app)
    return app


def test_what_is_not_used_is_named(app: FastAPI) -> None:
    application = Application()
    assert application.dropped() == []
    application.start()  # nothing was added, nothing begins

    @app.get("/custom")
    def custom() -> None: ...

    @app.exception_handler(ZeroDivisionError)
    async def handled(request: Any, error: Any) -> Any: ...

    assert application.layers("m") is None
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    assert application.layers("m") is not None
    told = [line.partition(" of model.py is not used")[0] for line in application.dropped()]
    assert sorted(told) == [
        "the exception handler for ZeroDivisionError",
        "the route /custom",
    ]


def test_a_lifespan_is_entered_and_left_by_one_task(app: FastAPI) -> None:
    seen: list[Any] = []
    application = Application()

    @contextlib.asynccontextmanager
    async def life(_: Any) -> AsyncIterator[None]:
        seen.append(asyncio.current_task())
        yield
        seen.append(asyncio.current_task())

    app.router.lifespan_context = life
    application.start()
    assert len(seen) == 1
    application.close()
    assert seen == [seen[0]] * 2
    application.close()


def test_a_release_of_kserve_without_an_application_has_nothing_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(model_server, "app")
    application = Application()
    application.start()
    assert application.dropped() == []
    application.close()
