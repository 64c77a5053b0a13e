"""`examples.json`: what is asked, what is compared, and how mistakes are told."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from adapters.base import LoadError, ModelDir
from server.loading.catalog import Found
from server.loading.loader import Loader
from server.loading.recorded_examples import FILE, check, differences
from tests.server.stand_ins import EchoAdapter

pytestmark = pytest.mark.usefixtures("echo")

V1: dict[str, Any] = {"request": {"instances": [[1, 2]]}, "response": {"predictions": [[2, 4.0]]}}
TENSOR = {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}


def load(folder: Path, examples: Any, home: Path | None = None) -> None:
    """Load an echo, which answers twice its input, whose folder holds these examples."""
    folder.mkdir(exist_ok=True)
    (folder / "model.echo").write_text("echo")
    text = examples if isinstance(examples, str) else json.dumps(examples)
    ((home or folder) / FILE).write_text(text)
    may_import = threading.Event()
    may_import.set()
    Loader(None, may_import).load(Found("a", ModelDir.of(folder, home or folder), home=home))


def v2(**output: Any) -> dict[str, Any]:
    return {"request": {"inputs": [TENSOR]}, "response": {"model_name": "another", "outputs": [output]}}


GOOD: list[Any] = [
    [],
    [V1],
    [V1, v2(name="y", data=[2, 4]), v2(name="y", datatype="FP64", shape=[1, 2], data=[2.0, 4.0])],
    [{**V1, "response": {"predictions": [[2.0000001, 4]]}}],
    [{**V1, "response": {"predictions": [[2.3, 4.1]]}, "tolerance": 0.2, "name": "roughly"}],
    [{"request": {"instances": [[1, 2]], "parameters": {"factor": 3}}, "response": {"predictions": [[3, 6]]}}],
]


@pytest.mark.parametrize("examples", GOOD)
def test_a_model_that_answers_as_recorded_is_served(tmp_path: Path, examples: Any) -> None:
    load(tmp_path / "a", examples)
    (adapter,) = EchoAdapter.made
    assert not adapter.closed


DIFFERENT: list[tuple[Any, str]] = [
    ([V1, {**V1, "response": {"predictions": [[2, 5]]}}], r"entry 2: predictions\[0\]\[1\]: expected 5, got 4.0 \(tol"),
    ([{**V1, "response": {"predictions": [[2.001, 4]]}}], r"entry 1: predictions\[0\]\[0\]: expected 2.001, got 2.0"),
    ([{**V1, "response": {"predictions": [[2, 4, 6]]}}], r"predictions\[0\]: expected \[2, 4, 6\], got \[2.0, 4.0\]"),
    ([{**V1, "response": {"predictions": [["2", 4]]}}], r'expected 2, got 2.0|expected "2"'),
    ([{**V1, "response": {"predictions": [[True, 4]]}}], r"expected true, got 2.0"),
    ([{**V1, "name": "iris", "response": {"predictions": []}}], r"entry 1 \(iris\): predictions: expected \[\]"),
    ([{**V1, "response": {**V1["response"], "more": 1}}], "expected more, got predictions"),
    ([v2(name="z", data=[2, 4])], "expected the output z, got y"),
    ([v2(name="y", datatype="FP32", data=[2, 4])], r"outputs\.y\.datatype: expected FP32, got FP64"),
    ([v2(name="y", data=[2, 5])], r"outputs\.y\.data\[1\]: expected 5, got 4.0"),
    ([{**V1, "request": {"instances": [[1, 2, 3]]}}], r"entry 1: the model answers 400: .*3"),
    ([{**V1, "request": {"instances": [[-1, 2]]}}], r"entry 1: the model answers 500: .*poison"),
]


@pytest.mark.parametrize(("examples", "why"), DIFFERENT)
def test_a_model_that_answers_otherwise_is_not_served_and_closed(tmp_path: Path, examples: Any, why: str) -> None:
    with pytest.raises(LoadError, match=why):
        load(tmp_path / "a", examples)
    (adapter,) = EchoAdapter.made
    assert adapter.closed == 1


MISTAKES: list[tuple[Any, str]] = [
    ("{", "examples.json is not JSON"),
    ("[" * 100_000, "examples.json is not JSON"),
    ({}, "must be a list of objects"),
    ([V1, 3], "entry 2 must be an object"),
    ([{**V1, "respone": {}}], "entry 1: unknown key 'respone'; allowed are name, request, response, tolerance"),
    ([{"request": V1["request"]}], "entry 1: response must be .* predictions or outputs"),
    ([{**V1, "request": {"instance": []}}], "entry 1: request must be .* instances or inputs"),
    ([{**V1, "tolerance": -1}], "entry 1: tolerance must be a number, 0 or more"),
    ([{**V1, "tolerance": True}], "tolerance must be a number"),
    ('[{"request": {"instances": []}, "response": {"predictions": []}, "tolerance": NaN}]', "tolerance must be"),
    ([{**V1, "name": 3}], "entry 1: name must be text"),
]


@pytest.mark.parametrize(("examples", "why"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes_name_the_entry(tmp_path: Path, examples: Any, why: str) -> None:
    with pytest.raises(LoadError, match=why):
        load(tmp_path / "a", examples)


def test_a_file_that_cannot_be_read_is_no_file_without_examples(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("[]")
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LoadError, match=r"examples\.json cannot be read"):
        load(folder, [])


def test_a_version_without_examples_has_those_of_its_model(tmp_path: Path) -> None:
    wrong = [{**V1, "response": {"predictions": [[2, 5]]}}]
    with pytest.raises(LoadError, match="expected 5"):
        load(tmp_path / "1", wrong, home=tmp_path)
    (tmp_path / "1" / FILE).write_text(json.dumps([V1]))
    load(tmp_path / "1", wrong, home=tmp_path)


def test_where_an_answer_differs_is_told_in_short() -> None:
    """It is written out for each element of a list, and a model may give its output a name of megabytes."""
    name = "n" * 100_000
    expected = {"outputs": [{"name": name, "data": [1, 2]}]}
    (told,) = differences(expected, {"outputs": [{"name": name, "data": [1, 3]}]}, 0.0)
    assert told.endswith(": expected 2, got 3 (tolerance 0)")
    assert len(told) < 400


def test_requests_that_take_all_the_time_there_is_are_asked_no_more(tmp_path: Path) -> None:
    entry = {"request": {"instances": [[1]]}, "response": {"predictions": [[1]]}}
    (tmp_path / FILE).write_text(json.dumps([entry] * 3))
    with pytest.raises(LoadError, match=r"examples.json: entry 1: those before it took 0 s, .* \(--load_timeout\)"):
        check(tmp_path, None, tmp_path, EchoAdapter("echo", {}), None, seconds=0)  # type: ignore[arg-type]
