"""Environments built by the real uv and pip, from wherever this machine's pip gets its packages."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.base import LoadError, ModelDir
from server.loading.environments import Environments, install
from server.loading.environments.builder import RECORD
from server.loading.environments.command import Commands
from server.workers.launch import our_packages

ROOT = Path(__file__).resolve().parents[4]
OLD = "six==1.16.0"  #: the server's own is newer


def run(python: Path, code: str) -> str:
    """What the code prints in a fresh interpreter that sees nothing but its environment."""
    command = [str(python), "-P", "-c", code]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def built(log: pytest.LogCaptureFixture) -> int:
    return sum("is built" in record.message for record in log.records)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("environments")


@pytest.fixture(scope="module")
def environments(directory: Path) -> Environments:
    return Environments(directory)


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel of one package, fetched by pip."""
    folder = tmp_path_factory.mktemp("wheelhouse")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), OLD]
    subprocess.run(command, check=True, timeout=120)
    return folder


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG, logger="kserve"):
        yield caplog


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever asks an index gets no answer, and no configuration names a place nearby."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"):
        monkeypatch.setenv(name, "https://127.0.0.1:9/simple")


def make_wheel(folder: Path, version: str) -> str:
    """A wheel with one module; its name."""
    name = f"own_module-{version}-py3-none-any.whl"
    files = {
        "own_module.py": f"version = {version!r}\n",
        f"own_module-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: own-module\nVersion: {version}\n",
        f"own_module-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(text)}\n")
    files[f"own_module-{version}.dist-info/RECORD"] = "".join(lines)
    with zipfile.ZipFile(folder / name, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name


@pytest.mark.slow
def test_it_has_what_was_asked_and_shares_the_rest(environments: Environments, log: pytest.LogCaptureFixture) -> None:
    import numpy

    python = environments.python("old", f"{OLD}\nnumpy>=1.26  # the server's will do\nkserve")
    code = "import six, numpy, msgpack, importlib.metadata as m; print(six.__version__, numpy.__version__)"
    assert run(python, code) == f"1.16.0 {numpy.__version__}"
    own = python.parent.parent / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    assert {path.name for path in own.iterdir()} >= {"six.py", "six-1.16.0.dist-info"}
    assert not [path.name for path in own.iterdir() if path.name.startswith(("numpy", "kserve", "torch"))]
    assert "model old: building its environment (3 requirements)" in log.text
    assert "model old: its environment is built, in " in log.text
    assert "model old: uv:  + six==1.16.0" in log.text


@pytest.mark.slow
def test_an_open_requirement_is_not_downloaded_where_the_server_has_it(environments: Environments) -> None:
    """torch from PyPI would bring gigabytes of CUDA."""
    torch = pytest.importorskip("torch")
    python = environments.python("open", "torch\nscipy")
    assert run(python, "import importlib.metadata as m; print(m.version('torch'))") == torch.__version__
    record = json.loads((python.parent.parent / RECORD).read_text(encoding="utf-8"))
    assert record["installed"] == {}


@pytest.mark.slow
def test_our_packages_are_hidden_from_the_model_and_there_for_the_worker(environments: Environments) -> None:
    python = environments.python("old", OLD)
    find = "import importlib.util as u; print(u.find_spec('server'), u.find_spec('adapters'))"
    assert run(python, find) == "None None"
    ours = f"import sys; sys.path.insert(0, {str(our_packages(python))!r}); "
    boot = f"{ours}import adapters.registry as r; print(r.get('sklearn').name)"
    assert run(python, boot) == "sklearn"


@pytest.mark.slow
def test_it_is_built_once_for_the_same_requirements(environments: Environments, log: pytest.LogCaptureFixture) -> None:
    first = environments.python("one", f"{OLD}\nidna==3.7")
    log.clear()
    assert environments.python("two", f"# as above\nIDNA == 3.7\n{OLD}") == first
    assert built(log) == 0
    assert environments.python("three", "idna==3.7") != first


def test_no_requirements_need_no_environment(environments: Environments) -> None:
    assert environments.python("none", "# nothing\n\n") == Path(sys.executable)


@pytest.mark.slow
def test_two_servers_and_two_models_build_once(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    servers = [Environments(tmp_path), Environments(tmp_path)]
    found: list[Path] = []
    threads = [threading.Thread(target=lambda n=n: found.append(servers[n % 2].python(f"m{n}", OLD))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 4
    assert built(log) == 1
    assert "waiting for its environment, which is being built already" in log.text


@pytest.mark.slow
def test_what_is_not_finished_is_never_used(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    environments = Environments(tmp_path)
    python = environments.python("half", OLD)
    (python.parent.parent / RECORD).unlink()
    (python.parent.parent / "leftover").touch()
    assert environments.python("half", OLD) == python
    assert built(log) == 2
    assert not (python.parent.parent / "leftover").exists()
    python.unlink()  # the interpreter that it was made from is gone
    assert run(environments.python("half", OLD), "import six; print(six.__version__)") == "1.16.0"


@pytest.mark.slow
def test_a_build_that_is_killed_is_begun_anew(tmp_path: Path) -> None:
    """Which cannot end before it is killed, since it does not come to write its record."""
    build = f"builder.Environments(Path({str(tmp_path)!r})).python('m', {OLD!r})"
    slow = "builder._write = lambda *_: time.sleep(1000)"
    code = f"import time; from pathlib import Path; from server.loading.environments import builder; {slow}; {build}"
    builder = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    while not list(tmp_path.glob("*/pyvenv.cfg")):
        assert builder.poll() is None
        time.sleep(0.005)
    builder.send_signal(signal.SIGKILL)
    builder.wait()
    assert not list(tmp_path.glob(f"*/{RECORD}"))
    assert run(Environments(tmp_path).python("m", OLD), "import six; print(six.__version__)") == "1.16.0"


@pytest.mark.slow
def test_the_installers_own_error_is_the_reason(environments: Environments, directory: Path) -> None:
    before = set(directory.glob("*/"))
    with pytest.raises(LoadError, match=r"its requirements cannot be installed: .*there is no version of six==99"):
        environments.python("wrong", "six==99")
    with pytest.raises(LoadError, match="surely-not-a-package-of-anybody"):
        environments.python("wrong", "surely-not-a-package-of-anybody")
    with pytest.raises(LoadError, match="unsatisfiable"):
        environments.python("wrong", "six==1.16.0\nsix==1.15.0")
    assert set(directory.glob("*/")) == before


@pytest.mark.slow
def test_pip_where_uv_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(install, "_find_uv", lambda: None)
    environments = Environments(tmp_path)
    python = environments.python("by-pip", f"{OLD}\nnumpy")
    assert json.loads((python.parent.parent / RECORD).read_text(encoding="utf-8"))["installer"] == "pip"
    assert run(python, "import six, numpy; print(six.__version__)") == "1.16.0"
    with pytest.raises(LoadError, match=r"cannot be installed: .*No matching distribution found for six==99"):
        environments.python("wrong", "six==99")


@pytest.mark.slow
def test_pip_where_uv_fails_for_reasons_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("UV_LINK_MODE", "no-such-mode")  # uv ends with status 2
    python = Environments(tmp_path).python("by-pip", OLD)
    assert json.loads((python.parent.parent / RECORD).read_text(encoding="utf-8"))["installer"] == "pip"
    assert "uv could not install its requirements" in log.text


@pytest.mark.slow
@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("with_uv", [True, False])
def test_offline_from_a_wheelhouse(
    tmp_path: Path, wheelhouse: Path, monkeypatch: pytest.MonkeyPatch, with_uv: bool
) -> None:
    if not with_uv:
        monkeypatch.setattr(install, "_find_uv", lambda: None)
    offline = Environments(tmp_path, wheelhouse)
    assert run(offline.python("m", f"{OLD}\nnumpy"), "import six; print(six.__version__)") == "1.16.0"
    with pytest.raises(LoadError, match=r"idna==3\.7"):
        offline.python("m", "idna==3.7")


@pytest.mark.slow
@pytest.mark.usefixtures("no_network")
def test_without_a_network_the_reason_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(LoadError, match=r"cannot be installed: .*(127\.0\.0\.1|No matching distribution)"):
        Environments(tmp_path).python("m", OLD)
    with pytest.raises(LoadError, match=r"--wheelhouse=.*absent is not a directory"):
        Environments(tmp_path, tmp_path / "absent").python("m", OLD)


@pytest.mark.slow
def test_hash_checking_mode(tmp_path: Path, wheelhouse: Path) -> None:
    environments = Environments(tmp_path, wheelhouse)
    digest = hashlib.sha256(next(wheelhouse.glob("six*")).read_bytes()).hexdigest()
    python = environments.python("right", f"{OLD} --hash=sha256:{digest}")
    assert run(python, "import six; print(six.__version__)") == "1.16.0"
    with pytest.raises(LoadError, match=r"[Hh]ash"):
        environments.python("wrong", f"{OLD} --hash=sha256:{'0' * 64}")
    with pytest.raises(LoadError, match=r"require-hashes.* pinned"):
        environments.python("half", f"{OLD} --hash=sha256:{digest}\nnumpy")


@pytest.mark.slow
def test_wheels_in_the_models_own_folder(environments: Environments, tmp_path: Path) -> None:
    requirements = f"./{make_wheel(tmp_path, '1.0')}"
    python = environments.python("own", requirements, ModelDir.of(tmp_path))
    assert run(python, "import own_module; print(own_module.version)") == "1.0"
    (tmp_path / "wheels").mkdir()
    make_wheel(tmp_path / "wheels", "2.0")
    python = environments.python("own", "--no-index\n-f wheels\nown-module", ModelDir.of(tmp_path))
    assert run(python, "import own_module; print(own_module.version)") == "2.0"


@pytest.mark.slow
def test_installers_do_not_see_the_servers_secrets(
    tmp_path: Path, wheelhouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, str] = {}
    really = Commands.run

    def run_and_look(self: Commands, command: list[str], environ: dict[str, str], *rest: object) -> object:
        seen.update(environ)
        return really(self, command, environ, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Commands, "run", run_and_look)
    for name in ("ADMIN_TOKEN", "AWS_SECRET_ACCESS_KEY", "UV_PUBLISH_TOKEN"):
        monkeypatch.setenv(name, "secret")
    Environments(tmp_path, wheelhouse).python("m", OLD)
    assert seen["PATH"]
    assert "secret" not in seen.values()


@pytest.mark.slow
def test_passwords_of_indexes_stay_out_of_log_and_reason(log: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    told = "https://user:hunter2@example.com/simple"
    with (tmp_path / "lock").open("w") as lock:
        ended = Commands().run([sys.executable, "-c", f"print({told!r})"], {}, tmp_path, 30, "m", lock.fileno())
    assert ended.lines == ("https://****@example.com/simple",)
    assert "hunter2" not in log.text


@pytest.mark.slow
def test_time_is_limited(tmp_path: Path) -> None:
    environments = Environments(tmp_path, timeout=0.001)
    with pytest.raises(LoadError, match="--env_timeout"):
        environments.python("m", "--no-binary six\nsix==1.15.0")  # which has to be built
    (target,) = {path.stem for path in tmp_path.glob("*.lock")}
    with (tmp_path / f"{target}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LoadError, match="built elsewhere for longer than --env_timeout"):
            environments.python("m", "--no-binary six\nsix==1.15.0")


@pytest.mark.slow
def test_closing_ends_what_is_being_built(tmp_path: Path) -> None:
    environments = Environments(tmp_path)
    errors: list[str] = []

    def build() -> None:
        try:
            environments.python("m", "--no-binary idna\nidna==3.6")
        except LoadError as error:
            errors.append(str(error))

    thread = threading.Thread(target=build)
    thread.start()
    while not list(tmp_path.glob("*/pyvenv.cfg")):
        time.sleep(0.005)
    environments.close()
    thread.join(20)
    assert errors == ["the installation of its requirements was stopped: the server is closing"]


def test_a_directory_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LoadError, match="--env_dir names another directory"):
        Environments(tmp_path / "file" / "below").python("m", OLD)
