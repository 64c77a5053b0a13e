"""A handler in this process: found as TorchServe finds it, called with its requests, and what it may answer."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.base import LoadError
from adapters.torchserve_.handler import Answer, Handler, settle_in
from adapters.torchserve_.manifest import parse
from adapters.torchserve_.messages import Part

NAME = "handler_of_this_test"


@pytest.fixture(autouse=True)
def own_process() -> Iterator[None]:
    """Everything that a handler takes over is given back."""
    folder, path, written = Path.cwd(), list(sys.path), sys.dont_write_bytecode
    yield
    os.chdir(folder)
    sys.path[:], sys.dont_write_bytecode = path, written
    for name in [name for name in sys.modules if name in ("ts", NAME) or name.startswith("ts.")]:
        del sys.modules[name]


def handler(folder: Path, code: str, function: str = "", batch_size: int = 0, **model: str) -> Handler:
    (folder / f"{NAME}.py").write_text(code)
    named = f"{NAME}.py:{function}" if function else f"{NAME}.py"
    document = {"model": {"modelName": "m", "handler": named, **model}}
    manifest = parse(json.dumps(document).encode())
    return Handler(folder, manifest, True, "served", batch_size)


def reason(folder: Path, code: str, function: str = "") -> str:
    with pytest.raises(LoadError) as caught:
        handler(folder, code, function)
    return str(caught.value)


def answers(made: Handler, *data: Any, **headers: str) -> list[Answer]:
    return made.call([Part({"body": value}, headers) for value in data])


FUNCTION = """
calls = []

def handle(data, context):
    calls.append(data)
    if data is None:
        return None
    return [[row["body"], context.model_name, context.system_properties["batch_size"]] for row in data]
"""


def test_a_function_is_called_once_to_load_and_then_with_all_requests(tmp_path: Path) -> None:
    made = handler(tmp_path, FUNCTION, batch_size=3)
    assert [answer.body for answer in answers(made, 1, 2)] == [[1, "served", 3], [2, "served", 3]]
    assert sys.modules[NAME].calls == [None, [{"body": 1}, {"body": 2}]]
    assert Path.cwd() == tmp_path.resolve()
    assert sys.path[0] == str(tmp_path)


def test_a_function_may_have_another_name(tmp_path: Path) -> None:
    made = handler(tmp_path, "def answer(data, context):\n    return [7] * len(data or [])\n", "answer")
    assert answers(made, 1) == [Answer(7, {})]


CLASS = """
class Base:
    def initialize(self, context):
        self.folder = context.system_properties["model_dir"]
    def handle(self, data, context):
        return [self.folder for _ in data]

class Mine(Base):
    pass

class Helper:
    def handle(self, data, context):
        raise ValueError
"""


def test_the_one_class_that_handles_is_initialized(tmp_path: Path) -> None:
    assert answers(handler(tmp_path, CLASS), 1)[0].body == str(tmp_path)


def test_several_classes_or_none_are_told(tmp_path: Path) -> None:
    two = CLASS + "\nclass Other(Base):\n    pass\n"
    assert "holds several classes that handle requests (Mine, Other): keep one" in reason(tmp_path, two)


def test_a_module_without_a_handler_is_told(tmp_path: Path) -> None:
    assert "has neither a function handle(data, context) nor a class" in reason(tmp_path, "x = 1\n")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = 1\nraise ValueError('odd')", f"{NAME}.py, line 2: ValueError: odd"),
        ("import sys\nsys.exit(3)", f"{NAME}.py, line 2: SystemExit: 3"),
        ("def handle(data, context):\n    open('gone')", f"{NAME}.py, line 2: FileNotFoundError: "),
    ],
    ids=["raised", "exit", "loading"],
)
def test_a_handler_that_cannot_be_loaded_names_its_line(code: str, said: str, tmp_path: Path) -> None:
    assert reason(tmp_path, code).startswith(said)


def test_a_package_that_is_missing_says_the_way_out(tmp_path: Path) -> None:
    said = reason(tmp_path, "import no_such_package_anywhere")
    assert "ModuleNotFoundError" in said
    assert "; list what it needs in the archive's requirements file" in said


def test_a_part_of_torchserve_that_is_not_here_says_another(tmp_path: Path) -> None:
    said = reason(tmp_path, "import ts.no_such_part_of_it")
    assert "list torchserve in the archive's requirements file" in said


ECHO = """
from ts.utils.util import PredictionException

def handle(data, context):
    if data is None:
        return None
    if any(row["body"] == "refuse" for row in data):
        raise PredictionException("send another", 415)
    for index, row in enumerate(data):
        context.set_response_header(index, "X-Id", context.get_request_id(index))
        if context.get_request_header(index, "X-KIND") == "teapot":
            context.set_response_status(418, "short", index)
    return [row["body"] for row in data]
"""


def test_headers_and_statuses_are_each_requests_own(tmp_path: Path) -> None:
    made = handler(tmp_path, ECHO)
    assert answers(made, "a", "b") == [Answer("a", {"x-id": "0"}), Answer("b", {"x-id": "1"})]
    (teapot,) = answers(made, "c", **{"x-Kind": "teapot"})
    assert teapot == Answer("c", {"x-id": "2"}, 418, "short")


def test_of_a_batch_the_refused_request_alone_fails(tmp_path: Path) -> None:
    found = answers(handler(tmp_path, ECHO), "a", "refuse", "b")
    assert [(answer.body, answer.status) for answer in found] == [
        ("a", 200),
        ({"error": "send another"}, 415),
        ("b", 200),
    ]
    assert found[1].phrase == "send another"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("'text'", "answered a str: it must answer a list with one item a request"),
        ("None", "answered a NoneType: it must"),
        ("[1, 2, 3]", "answered 3 items for 2 requests"),
        ("[]", "answered 0 items for 2 requests"),
    ],
    ids=["text", "none", "more", "nothing"],
)
def test_an_answer_is_one_item_a_request(answer: str, said: str, tmp_path: Path) -> None:
    made = handler(tmp_path, f"def handle(data, context):\n    return {answer}\n")
    with pytest.raises(RuntimeError, match=said):
        answers(made, 1, 2)


@pytest.mark.parametrize(
    ("config", "wanted", "size"),
    [("batchSize: 4", 0, 4), ("batchSize: 4", 2, 2), ("batchSize: many", 0, 1), ("batchSize: -3", 0, 1), ("", 0, 1)],
    ids=["config", "option", "odd", "negative", "empty"],
)
def test_a_batch_is_as_large_as_the_archive_or_the_operator_says(
    config: str, wanted: int, size: int, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(config)
    made = handler(tmp_path, FUNCTION, batch_size=wanted, configFile="config.yaml")
    assert made.batch_size == size


def test_what_was_not_set_of_an_answer_is_usual() -> None:
    processor = SimpleNamespace(
        get_response_headers=lambda: {"X-A": 1},
        get_response_status_code=lambda: None,
        get_response_status_phrase=lambda: None,
    )
    assert Answer.of("body", processor) == Answer("body", {"x-a": "1"}, 200, "")


def test_the_process_finds_torchserves_package_behind_its_own(tmp_path: Path) -> None:
    settle_in(tmp_path)
    settle_in(tmp_path)
    assert len([path for path in sys.path if path.endswith("torchserve_/compat")]) == 1
    assert sys.path[0] == str(tmp_path)
    assert sys.dont_write_bytecode
