"""TorchServe's routes: which requests are theirs, and what of a body or a form becomes an instance."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from adapters.base import Signature, TensorSpec
from server.api.rest.torchserve import Predictions
from server.errors import InvalidInput, NotFound, NotSupported
from server.inference.answer import Answer

PLAIN = Signature((TensorSpec("x", "FP64", (-1, 2)),), (TensorSpec("y", "FP64", (-1, 2)),))
FORM = b'--b\r\nContent-Disposition: form-data; name="data"\r\n\r\n[1, 2.5]\r\n--b--'


class Models:
    """A repository of one model, `m`, which answers its input."""

    def __init__(self, signature: Signature = PLAIN) -> None:
        self.signature = signature
        self.why = ""

    def why_not_ready(self) -> str:
        return self.why

    async def ready(self, name: str, version: str | None = None) -> Any:
        if name != "m":
            raise NotFound(f"there is no model {name!r}")
        return self

    async def handle(self, request: Any) -> Answer:
        if request.protocol == "v1":  # code of its own
            return Answer(200, [], json.dumps({"predictions": json.loads(request.body)["instances"]}).encode())
        decoded = request.codec.decode(request)
        return request.codec.encode({"y": decoded.inputs["x"]}, decoded)


def ask(models: Any, path: str, body: bytes = b"", kind: str = "application/json", query: str = "") -> Answer:
    headers = [(b"content-type", kind.encode())] if kind else []
    scope = {"method": "POST", "path": path, "headers": headers, "query_string": query.encode()}
    handler = Predictions(models).handler(scope)
    assert handler is not None
    answer: Any = asyncio.run(handler(scope, body, lambda: False))  # type: ignore[arg-type]
    return answer


@pytest.mark.parametrize(
    ("method", "path", "theirs"),
    [
        ("POST", "/predictions/m", True),
        ("PUT", "/predictions/m/2", True),
        ("POST", "/explanations/m", True),
        ("GET", "/ping", True),
        ("POST", "/ping", False),
        ("GET", "/predictions/m", False),
        ("POST", "/predictionsm", False),
        ("POST", "/v1/models/m:predict", False),
    ],
)
def test_which_requests_are_theirs(method: str, path: str, theirs: bool) -> None:
    handler = Predictions(Models()).handler({"method": method, "path": path})  # type: ignore[arg-type]
    assert (handler is not None) == theirs


def test_a_ping_tells_whether_the_server_is_ready() -> None:
    models = Models()
    scope = {"method": "GET", "path": "/ping"}
    for why, status, word in (("", 200, "Healthy"), ("m is loading", 503, "m is loading")):
        models.why = why
        handler = Predictions(models).handler(scope)  # type: ignore[arg-type]
        assert handler is not None
        answer: Any = asyncio.run(handler(scope, b"", lambda: False))  # type: ignore[arg-type]
        assert answer.status == status
        assert word in answer.body.decode()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"[1, 2.5]", "application/json"),
        (b"[1, 2.5]", "application/x-www-form-urlencoded"),  # curl's own
        (b"data=%5B1%2C+2.5%5D", "application/x-www-form-urlencoded"),
        (b"[1, 2.5]", ""),
        (
            FORM,
            "multipart/form-data; boundary=b",
        ),
    ],
)
def test_a_body_is_one_instance_and_its_prediction_the_answer(body: bytes, kind: str) -> None:
    answer = ask(Models(), "/predictions/m", body, kind)
    assert (answer.status, json.loads(answer.body)) == (200, [1, 2.5])


def test_a_body_of_v1_is_answered_as_v1() -> None:
    answer = ask(Models(), "/predictions/m", b'{"instances": [[1, 2]]}')
    assert json.loads(answer.body) == {"predictions": [[1, 2]]}


def test_the_query_is_a_part_of_the_request() -> None:
    answer = ask(Models(), "/predictions/m", b"", "application/x-www-form-urlencoded", "data=[3,4]")
    assert json.loads(answer.body) == [3, 4]


@pytest.mark.parametrize(("body", "seen"), [(b"\xff\xfe", {"b64": "//4="}), (b"plain words", "plain words")])
def test_code_of_its_own_gets_bytes_as_json_can_carry_them(body: bytes, seen: Any) -> None:
    answer = ask(Models(Signature((), (), whole=True)), "/predictions/m", body, "application/octet-stream")
    assert json.loads(answer.body) == seen


@pytest.mark.parametrize(
    ("body", "kind", "word"),
    [
        (b"\xff=1", "application/x-www-form-urlencoded", "no form"),
        (b"&".join(b"a=%d" % n for n in range(1001)), "application/x-www-form-urlencoded", "no form"),
        (b"nothing", "multipart/form-data", "cannot be read"),
        (b"", "application/x-www-form-urlencoded", "empty"),
        (b"[1]", "application/json", "2"),
    ],
)
def test_what_cannot_be_read_is_the_clients_fault(body: bytes, kind: str, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        ask(Models(), "/predictions/m", body, kind)


def test_a_path_without_a_model_and_one_that_is_not_there() -> None:
    with pytest.raises(NotFound, match=r"/predictions/\{model\}"):
        ask(Models(), "/predictions/", b"[1, 2]")
    with pytest.raises(NotFound, match="'n'"):
        ask(Models(), "/predictions/n", b"[1, 2]")


def test_only_model_archives_explain_here() -> None:
    with pytest.raises(NotSupported, match="POST /v1/models/m:explain"):
        ask(Models(), "/explanations/m", b"[1, 2]")


def test_a_form_s_charset_is_not_asked_for() -> None:
    """Python's punycode takes the square of a text's length: hours of the event loop for these few bytes."""
    field = b'--b\r\nContent-Disposition: form-data; name="data"\r\n\r\n[1, 2.5]\r\n'
    other = b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\n' + b"a1" * 1_000_000 + b"\r\n--b--"
    answer = ask(Models(), "/predictions/m", field + other, "multipart/form-data; boundary=b; charset=punycode")
    assert json.loads(answer.body) == [1, 2.5]


@pytest.mark.parametrize("kind", ["multipart/form-data", 'multipart/form-data; boundary="a\\"b"'])
def test_a_form_without_a_boundary_is_refused(kind: str) -> None:
    with pytest.raises(InvalidInput, match=r"the form cannot be read: its content type is .* without a boundary"):
        ask(Models(), "/predictions/m", FORM, kind)


def test_a_form_of_escapes_alone_is_refused_before_it_is_read() -> None:
    with pytest.raises(InvalidInput, match="more than 1000000 escapes"):
        ask(Models(), "/predictions/m", b"a=" + b"%41" * 1_000_001, "application/x-www-form-urlencoded")


def test_others_have_their_turns_while_a_large_form_is_read() -> None:
    file = b'--b\r\nContent-Disposition: form-data; name="x"; filename="f"\r\n\r\n' + b"\r\n--bx" * 500_000 + b"\r\n"
    body, kind = file + FORM, "multipart/form-data; boundary=b"
    scope = {"method": "POST", "path": "/predictions/m", "headers": [(b"content-type", kind.encode())]}
    handler: Any = Predictions(Models()).handler(scope)  # type: ignore[arg-type]

    async def run() -> int:
        reading, turns = asyncio.create_task(handler(scope, body, lambda: False)), 0
        while not reading.done():
            turns += 1
            await asyncio.sleep(0)
        assert json.loads((await reading).body) == [1, 2.5]
        return turns

    assert asyncio.run(run()) >= len(body) // 65536
