"""Mistakes of newcomers: what each prints, and that it says what to do.

A line for each: what was typed, in which folder, and the words of the way out. The folder holds `models`, with one
model that is well and others in which something went wrong.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from server.cli.main import run
from tests.server.cli.conftest import command

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def home(tmp_path: Path, iris: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the newcomer stands."""
    shutil.copytree(iris, tmp_path / "models" / "iris")
    (tmp_path / "empty").mkdir()
    shutil.make_archive(str(tmp_path / "models"), "zip", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMAND_LINES = {
    "a folder misspelt": ("inspect modles", "did you mean models?"),
    "a folder of another place": ("inspect /data", "there is no folder /data: you are in"),
    "a file for its folder": ("inspect models/iris/model.joblib", "name the folder that holds it, models/iris"),
    "an archive": ("check models.zip", "is an archive: unpack it, and name the folder"),
    "an address for a folder": ("check s3://bucket/iris", "serve it by --model=NAME=s3://bucket/iris"),
    "no folder": ("inspect", "missing argument 'DIR'"),
    "a command misspelt": ("inspekt models", "did you mean inspect?"),
    "another program's command": ("ls models", "did you mean inspect?"),
    "and another's": ("predict iris", "did you mean curl?"),
    "an option without its dashes": ("version", "write polyserve --version"),
    "a folder for a command": ("models", "write polyserve serve models, or polyserve inspect models"),
    "an option misspelt": ("check models --jnuit=x.xml", "'--junit'"),
    "a value misspelt": ("inspect models --trust=pickel", "must be safe, pickle or code"),
    "a model misspelt": ("curl irsi --dir=models", "did you mean iris?"),
    "a path for a name": ("curl models/iris", "write iris --dir=models"),
    "a file of data without @": ("curl iris --data=body.json", "a file is written as --data=@FILE"),
    "an address that is none": ("curl iris --url=htp://localhost", "is no address: write it as http"),
    "an address for a name": ("curl http://localhost:8080", "write NAME --url=http://localhost:8080"),
    "a file of data that is not there": ("curl iris --data=@body.json", "cannot be read: No such file"),
    "JSON in single quotes": ("curl iris --data={'instances':[[1]]}", "enclosed in double quotes"),
    "a header without a colon": ("curl iris -H X", "write it as 'Name: value'"),
    "the model's own folder": ("curl iris --dir=models/iris", "name the one above, --dir=models"),
    "no server": ("curl iris --url=localhost:1", "start a server by polyserve serve DIR"),
    "an unknown example": ("examples new --only=sklearn-irs", "did you mean sklearn-iris?"),
    "no example at all": ("examples new --only=,", "it names none: there are"),
    "one slash too few": ("manifest s3:/bucket/iris", "an address has two slashes: s3://bucket/iris"),
    "no quantity": ("manifest s3://bucket/iris --memory=lots", "must be a quantity of Kubernetes"),
    "a report in no folder": ("check models --junit=reports/x.xml", "make it first"),
    "numbers apart": ("bench iris --clients=1;4", "as in 1,4,16"),
    "a name that Kubernetes refuses": ("manifest s3://bucket/iris --name=My_Iris", "must be 1 to 63 of a-z, 0-9 and -"),
    "a secret in an address": ("manifest s3://me:secret@bucket/iris", "give the service account a secret"),
    "a shell that is not known": ("completion powershell", "'bash', 'zsh', 'fish'"),
    "another program's option": ("inspect models --format=json", "did you mean --json?"),
    "an option of load generators": ("bench iris --concurrency=4", "did you mean --clients?"),
    "curl's own option": ("curl iris --dir=models -d {}", "did you mean --data?"),
    "a command that a server has": ("metrics", "a server has it at http://localhost:8080/metrics"),
    "a command that is a request": ("reload iris", "POST /v2/repository/models/NAME/load"),
    "help of a command": ("help check", "write polyserve check --help"),
    "a route for a name": ("curl /v1/models/iris:predict", "name the model alone, iris"),
    "two folders to look at": ("inspect models empty", "got unexpected extra argument (empty): one at a time"),
    "a tilde in quotes": ("inspect ~/models-of-mine", "a shell knows ~ outside of quotes alone"),
    "an option for another way": ("bench iris --url=localhost --dir=models", "give one of them"),
}


@pytest.mark.parametrize("mistake", COMMAND_LINES)
def test_on_the_command_line(home: Path, capsys: Capture, mistake: str) -> None:
    line, way_out = COMMAND_LINES[mistake]
    assert run(line.split()) in (1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, "one line"
    assert way_out.lower() in err.lower()


SERVER_LINES = {
    "a flag misspelt": ("--model_dri=models", "unknown flag --model_dri; did you mean --model_dir?"),
    "a flag misspelt behind the word": ("serve models --htp_port=1", "did you mean --http_port?"),
    "a flag of other servers": ("serve models --host 0.0.0.0 --port=8080", "every address is listened on"),
    "another server's word for the folder": (
        "--model-repository=models",
        "write --model_dir=DIR, or polyserve serve DIR",
    ),
    "nothing at all": ("", "name another with --model_dir (polyserve serve DIR)"),
    "a letter for a flag": ("serve models -p 8080", "write --http_port=8080 for REST"),
    "the version misspelt": ("--versoin", "did you mean --version?"),
    "a flag of vLLM": ("serve models --served-model-name=iris", "write --model_name=NAME"),
    "the framework said": ("serve models --framework=sklearn", "says by which framework it is served"),
    "a collector without http": ("serve models --payload_log=collector:8080", "as in http://collector:8080"),
    "a percentage for a share": ("serve models --payload_log=x --payload_log_share=10", "from 0 to 1, such as 0.01"),
    "a folder for an address": ("serve models --model iris=models/iris", "is a path here: write file:///"),
    "no unit": ("serve models --memory_budget=8", "write a unit, as in 8GiB"),
    "a flag for browsers": ("serve models --cors=*", "write --allowed_origins="),
    "a level misspelt": ("serve models --log_level=verbos", "must be debug, info, warning or error"),
    "a port that is none": ("serve models --http_port=80800", "must be between 0 and 65535"),
    "one port for both by grpcio": (
        "serve models --http_port=8081 --grpc_frontend=grpcio",
        "the two servers need different ports",
    ),
    "a folder that is not there": ("serve modles", "did you mean models?"),
    "a file to serve": ("serve models.zip", "is a file"),
    "two folders": ("serve models empty", "unexpected argument empty"),
}


@pytest.mark.parametrize("mistake", SERVER_LINES)
def test_of_the_server(home: Path, mistake: str) -> None:
    line, way_out = SERVER_LINES[mistake]
    ended = command(*line.split(), cwd=home)
    assert (ended.status, ended.out) == (2, "")
    assert way_out in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["--http_port", "--grpc_port"])
def test_a_port_that_is_taken(home: Path, flag: str) -> None:
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        rest = "--http_port=0" if flag == "--grpc_port" else "--grpc_port=0"
        ended = command("serve", "models", f"{flag}={port}", rest, cwd=home)
    assert ended.status == 1
    assert f"polyserve: {flag}={port} is taken: Address already in use" in ended.err
    assert "name another port" in ended.err


def write(text: str, name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text) and None


def two(folder: Path) -> None:
    for name in ("a.joblib", "b.joblib"):
        shutil.copy(folder.parent / "models" / "iris" / "model.joblib", folder / name)


def half(folder: Path) -> None:
    whole = (folder.parent / "models" / "iris" / "model.joblib").read_bytes()
    (folder / "model.joblib").write_bytes(whole[: len(whole) // 2])


def typo(folder: Path) -> None:
    shutil.copytree(folder.parent / "models" / "iris", folder, dirs_exist_ok=True)
    (folder / "polyserve.yaml").write_text("adaptor: sklearn\n")


def too_deep(folder: Path) -> None:
    shutil.copytree(folder.parent / "models" / "iris", folder / "export" / "final" / "iris")


def one_above(folder: Path) -> None:
    for name in ("iris", "other"):
        shutil.copytree(folder.parent / "models" / "iris", folder / "models" / name)


FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing in it": (lambda folder: None, "is empty: put each model into a folder of its own"),
    "a model.py without a class": (write("def predict(x):\n    return x\n", "model.py"), "class MyModel(kserve.Model)"),
    "a model.py that is no Python": (write("class M(:\n", "model.py"), "model.py, line 1"),
    "code of another name": (write("x = 1\n", "serve.py"), "served as model.py"),
    "a notebook": (write("{}", "train.ipynb"), "save the trained model by it"),
    "the data": (write("a,b\n", "train.csv"), "copy the saved model here"),
    "an archive in it": (lambda f: shutil.copy(f.parent / "models.zip", f / "model.zip"), "must be unpacked first"),
    "a pointer to a file": (
        write("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "model.joblib"),
        "fetch it with git lfs pull",
    ),
    "half a file": (half, "copy the file again"),
    "two models": (two, "keep one"),
    "a key misspelt": (typo, "unknown key adaptor; did you mean adapter?"),
    "a model too deep": (too_deep, "move that folder up"),
    "a folder too high": (one_above, "name this folder in --model_dir to serve each"),
}


@pytest.mark.parametrize("mistake", FOLDERS)
def test_in_the_folder(home: Path, capsys: Capture, mistake: str) -> None:
    make, way_out = FOLDERS[mistake]
    (home / "mine").mkdir()
    make(home / "mine")
    assert run(["inspect", "mine", "--no-load"]) == 1
    out, err = capsys.readouterr()
    assert way_out in " ".join(out.split())
    assert "Traceback" not in out + err


def test_a_framework_that_is_not_installed(home: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from adapters import registry

    monkeypatch.setattr(registry.adapters()["sklearn"], "requires", ("sklearn_",))
    monkeypatch.setitem(registry.DISTRIBUTION, "sklearn_", "scikit-learn")
    assert run(["inspect", "models/iris"]) == 1
    assert "missing  pip install scikit-learn" in capsys.readouterr().out
