"""A predictor that is away is told with its address and as its fault; other errors stay what they are."""

from __future__ import annotations

import asyncio
import contextvars
import socket
from typing import Any

import httpx
import kserve
import orjson
import pytest
from kserve import ModelRepository
from kserve.context import set_predictor_config
from kserve.predictor_config import PredictorConfig
from kserve.protocol.dataplane import DataPlane

from adapters.base import Reply, Request
from adapters.custom_.answers import Answers
from adapters.custom_.generate import Form
from adapters.custom_.predictor import absence, hosts_of


def closed_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def ask(model: Any) -> Reply:
    models = ModelRepository()
    model.ready = True
    models.update(model)
    answers = Answers(DataPlane(models), Form("m", "1", (), ()), hosts_of(model))
    request = Request("predict", "v1", b'{"instances": [1]}', {"content-type": "application/json"})
    reply = asyncio.run(answers.to(request))
    assert isinstance(reply, Reply)
    return reply


def transforming(host: str, model: Any) -> Reply:
    """Ask a model whose command line names a predictor; KServe keeps that in a context variable."""

    def run() -> Reply:
        set_predictor_config(PredictorConfig(predictor_host=host))
        return ask(model)

    return contextvars.copy_context().run(run)


@pytest.mark.filterwarnings("ignore:`verify=<str>` is deprecated:DeprecationWarning")  # KServe's own client
def test_a_predictor_that_is_away_is_503_with_its_address() -> None:
    host = f"127.0.0.1:{closed_port()}"
    reply = transforming(host, kserve.Model("m"))
    assert reply.status == 503
    assert orjson.loads(reply.body)["error"].startswith(f"the predictor at {host} cannot be reached: ")


def test_calls_of_the_models_own_to_others_stay_its_own_failure() -> None:
    other = f"http://127.0.0.1:{closed_port()}/"

    class Calling(kserve.Model):
        async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
            async with httpx.AsyncClient() as client:
                return await client.get(other)

    with pytest.raises(httpx.ConnectError):
        transforming("127.0.0.1:1", Calling("m"))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (httpx.ReadTimeout("", request=httpx.Request("POST", "http://pred:80/x")), None),
        (httpx.ReadTimeout("", request=httpx.Request("POST", "http://pred:8080/x")), 504),
        (httpx.ConnectTimeout("", request=httpx.Request("POST", "http://pred:8080/x")), 503),
        (httpx.RemoteProtocolError("gone", request=httpx.Request("POST", "http://pred:8080/x")), 503),
        (httpx.ConnectError("no request is known"), None),
        (ValueError("x"), None),
    ],
)
def test_which_errors_are_an_absence(error: Exception, status: int | None) -> None:
    found = absence(error, ("pred:8080",))
    assert (found and found[0]) == status
    assert absence(error, ()) is None
