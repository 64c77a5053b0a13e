"""`polyserve curl` against a real server: what is printed works, in every way, and so does what is sent."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from server.cli.curl import body_of, grpc_address
from server.cli.main import run
from server.cli.temporary_server import TemporaryServer, serving
from tests.server.cli.conftest import command

pytestmark = pytest.mark.slow
Out = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def live(iris: Path) -> Iterator[TemporaryServer]:
    with serving("iris", iris.parent) as server:
        yield server


def curl(live: TemporaryServer, *argv: str) -> int:
    return run(["curl", "iris", f"--url={live.rest.url}", f"--grpc-port={live.grpc_port}", *argv])


@pytest.mark.parametrize("way", ["v1", "v2"])
@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
def test_what_is_printed_works_in_a_shell(live: TemporaryServer, capsys: Out, way: str) -> None:
    assert curl(live, f"--as={way}") == 0
    line = capsys.readouterr().out
    answered = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(answered.stdout).keys() & {"predictions", "outputs"}


def test_the_program_that_is_printed_works(live: TemporaryServer, capsys: Out) -> None:
    assert curl(live, "--as=python") == 0
    program = capsys.readouterr().out
    answered = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert len(json.loads(answered.stdout)["predictions"]) == 2


@pytest.mark.parametrize("way", ["v1", "v2", "grpc", "python"])
def test_sent(live: TemporaryServer, capsys: Out, way: str) -> None:
    assert curl(live, f"--as={way}", "--send") == 0
    answer = json.loads(capsys.readouterr().out)
    values = answer["predictions"] if "predictions" in answer else answer["outputs"][0]
    assert len(values if isinstance(values, list) else values["data"]) == 2


def test_a_body_of_ones_own(live: TemporaryServer, capsys: Out) -> None:
    assert curl(live, "--send", '--data={"instances": [[5.1, 3.5, 1.4, 0.2]]}') == 0
    assert json.loads(capsys.readouterr().out) == {"predictions": [0]}


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (["--data", '{"instances": [{"sepal lenth (cm)": 1}]}', "--send"], 1, "did you mean 'sepal length (cm)'?"),
        (
            ["--data", '{"instances": [[1, 2]]}', "--send"],
            1,
            "the server answers 400: instances: each row holds 2 values",
        ),
        (["--as=openai"], 1, "neither a language model nor of embeddings"),
        (["--version=7"], 1, "7"),
        (["--data", "instances.json"], 2, "a file is written as --data=@FILE"),
        (["--data", "@nowhere.json"], 2, "cannot be read"),
        (["--grpc-port=1", "--as=grpc", "--send"], 1, "name the server's port by --grpc-port"),
    ],
)
def test_mistakes(live: TemporaryServer, capsys: Out, argv: list[str], status: int, said: str) -> None:
    assert curl(live, *argv) == status
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err


def test_of_a_folder(iris: Path) -> None:
    ended = command("curl", "iris", f"--dir={iris.parent}")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("curl -s http://localhost:8080/v1/models/iris:predict")


def test_the_two_ways_to_a_model(iris: Path, capsys: Out) -> None:
    assert run(["curl", "iris", "--url=x", f"--dir={iris.parent}"]) == 2
    assert "give one of them" in capsys.readouterr().err
    assert run(["curl", str(iris)]) == 2
    assert f"is a folder: write iris --dir={iris.parent}" in capsys.readouterr().err


def test_where_a_body_comes_from(tmp_path: Path) -> None:
    (tmp_path / "body.json").write_text("[1]")
    assert body_of(f"@{tmp_path / 'body.json'}") == body_of("[1]") == [1]
    with pytest.raises(click.UsageError, match="--data is not JSON"):
        body_of("{")
    ended = command("curl", "iris", "--data=-", "--url=127.0.0.1:1", stdin="nonsense")
    assert (ended.status, "--data is not JSON" in ended.err) == (2, True)


def test_where_grpc_is() -> None:
    assert grpc_address("http://host:8080", 8081) == "host:8081"
    assert grpc_address("http://[::1]:8080", 8081) == "[::1]:8081"
