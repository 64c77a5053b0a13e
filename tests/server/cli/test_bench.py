"""`polyserve bench` against a real server, and what it makes of options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from server.cli.bench import Counts, Target, _row, _rows, _with_rows
from server.cli.load_run import LoadResult
from server.cli.main import run
from server.cli.server_client import RunningServer
from server.cli.snippets import ModelRequest
from server.cli.temporary_server import serving


@pytest.mark.slow
def test_a_model_of_a_server(iris: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving("iris", iris.parent) as live:
        argv = ["bench", "iris", f"--url={live.rest.url}", "--seconds=0.2", "--clients=1,3"]
        assert run([*argv, "--rows=5", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["model"], found["path"], found["rows"]) == ("iris", "/v1/models/iris:predict", 5)
        assert [each["clients"] for each in found["runs"]] == [1, 3]
        for each in found["runs"]:
            assert each["requests_per_second"] > 0
            assert 0 < each["p50_ms"] <= each["p99_ms"] <= each["max_ms"]
            assert each["errors"] == {}
        assert run([*argv, "--as=v2"]) == 0
        out = capsys.readouterr().out
        assert out.startswith(
            "iris (sklearn): POST /v2/models/iris/infer, 2 rows a request\n\nCLIENTS  REQUESTS/S  ROWS/S"
        )
        assert "how long answers took, of 3 clients" in out
        assert run([*argv, "--as=grpc", f"--grpc-port={live.grpc_port}", "--rows=3", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["asked"], found["rows"]) == (f"ModelInfer at 127.0.0.1:{live.grpc_port}", 3)
        assert all(each["requests_per_second"] > 0 and not each["errors"] for each in found["runs"])
        assert run([*argv, '--data={"instances": [[1]]}']) == 1
        assert "the server answers 400: instances: each row holds 1 values" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "1,x", "", "1,,2", "5000"])
def test_counts_that_are_none(text: str) -> None:
    with pytest.raises(click.UsageError, match="must be numbers from 1 to 1024, as in 1,4,16"):
        Counts().convert(text, None, None)


def test_counts() -> None:
    assert Counts().convert("1, 4,16", None, None) == (1, 4, 16)


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ({"instances": [1, 2, 3]}, 3),
        ({"inputs": [{"shape": [7, 2]}]}, 7),
        ({"inputs": [{"shape": []}]}, 0),
        ({"inputs": {"x": [1]}}, 0),
        ({"prompt": "x"}, 0),
        ([1], 0),
    ],
)
def test_rows_of_a_request(body: Any, rows: int) -> None:
    assert _rows(body) == rows


def test_as_many_rows_as_are_asked_for() -> None:
    target = Target(RunningServer("http://x"), ModelRequest("v1", "/x", {"instances": [1, 2], "parameters": {}}), 2)
    assert _with_rows(target, 5).request.body == {"instances": [1, 2, 1, 2, 1], "parameters": {}}
    assert _with_rows(target, None) is target
    with pytest.raises(click.UsageError, match=r"instances \(--as=v1\), or tensors \(--as=v2\)"):
        _with_rows(Target(target.server, ModelRequest("openai", "/x", {"prompt": "x"}), 0), 5)


def test_as_many_rows_of_tensors() -> None:
    tensors = [
        {"name": "flat", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]},
        {"name": "nested", "shape": [2, 2], "datatype": "FP32", "data": [[1, 2], [3, 4]]},
        {"name": "column", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]},
        *(alone := [{"name": "for all", "shape": shape, "datatype": "FP32", "data": [1]} for shape in ([], [1])]),
    ]
    target = Target(RunningServer("http://x"), ModelRequest("v2", "/x", {"inputs": tensors}), 2)
    flat, nested, column, *others = _with_rows(target, 3).request.body["inputs"]
    assert (flat["shape"], flat["data"]) == ([3, 2], [1, 2, 3, 4, 1, 2])
    assert (nested["shape"], nested["data"]) == ([3, 2], [[1, 2], [3, 4], [1, 2]])
    assert (column["shape"], column["data"]) == ([3], ["a", "b", "a"])
    assert others == alone  # what has no rows


def test_numbers_as_they_are_read() -> None:
    slow = LoadResult(1, 10.0, [4.0, 5.0], tokens=64)
    assert _row(slow, 0)[:3] == ("1", "0.2", "6.4")
    assert _row(LoadResult(4, 1.0, [0.001] * 2000), 3)[:3] == ("4", "2,000", "6,000")
