"""The wheel: everything of ours inside one package, beside other people's `adapters` in either order, and serving.

What AdapterHub's `adapters` needs is not installed: what matters is whose files are where.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from email.message import Message
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Any, cast
from zipfile import ZipFile

import httpx
import joblib
import pytest
from sklearn.linear_model import LinearRegression

from bench.ports import free_port
from server.runtime.sandbox.kernel import Kernel
from tests.outside import wheels
from tests.patience import wait_for

ROOT = Path(__file__).parents[1]
STRANGER = "adapters==1.3.0"
CUSTOM = """
from importlib.util import find_spec

import kserve


class Custom(kserve.Model):
    def load(self):
        self.ready = True

    def predict(self, payload, headers=None):
        server = find_spec("server")
        return {"predictions": [find_spec("adapters").origin, server and server.origin]}
"""
THIRD_PARTY = """
from polyserve_runtime.adapters.base import Adapter, Match, Rank, Signature, TensorSpec


class Mine(Adapter):
    name = "mine"
    platform = "mine"

    @classmethod
    def match(cls, model_dir):
        return Match(Rank.CONTENT, "model.mine") if "model.mine" in model_dir.files else None

    @classmethod
    def load(cls, model_dir, match, options):
        return cls(Signature((TensorSpec("x", "FP64", (-1,)),), (TensorSpec("y", "FP64", (-1,)),)))

    def predict(self, inputs, parameters):
        return {"y": inputs["x"] * 2}
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: a build leaves folders behind."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().splitlines():
        wanted = name.startswith(("server/", "adapters/", "polyserve_runtime/")) or "/" not in name
        if wanted and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(source))
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AdapterHub's wheel."""
    (found,) = wheels(tmp_path_factory.mktemp("stranger"), STRANGER)
    return found


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=280)


class Place:
    """A fresh environment that finds the frameworks, and nothing of ours, where these tests have them."""

    def __init__(self, folder: Path, *wheels: Path) -> None:
        venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
        self.python = folder / "bin" / "python"
        self.sites = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
        (self.sites / "frameworks.pth").write_text(sysconfig.get_path("purelib"))
        for each in wheels:
            pip("--python", str(self.python), "install", "--no-deps", "--no-index", str(each))

    def run(self, code: str) -> str:
        ran = subprocess.run([str(self.python), "-c", code], cwd="/", capture_output=True, text=True, timeout=280)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., httpx.Client]]:
    """Starts the command of an environment over some models."""
    models, log, running = tmp_path / "models", tmp_path / "log", []
    for name in ("line", "custom", "mine"):
        (models / name).mkdir(parents=True)
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), models / "line" / "model.joblib")
    (models / "custom" / "model.py").write_text(CUSTOM)
    (models / "mine" / "model.mine").touch()

    def start(place: Place, *more: str) -> httpx.Client:
        port = free_port()
        flags = (f"--model_dir={models}", f"--http_port={port}", "--enable_grpc=false", "--workers=2", *more)
        with log.open("w") as output:
            command = [str(place.python.with_name("polyserve")), *flags]
            process = subprocess.Popen(command, cwd="/", stdout=output, stderr=subprocess.STDOUT)
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        running.append((process, client))
        wait_for(lambda: is_ready(client) or process.poll() is not None, "the server", 240)
        assert process.poll() is None, log.read_text()
        return client

    yield start
    for process, client in running:
        client.close()
        process.terminate()
        assert process.wait(60) == 0, log.read_text()


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/v2/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def predict(client: httpx.Client, name: str, instances: list[Any]) -> Any:
    answer = client.post(f"/v1/models/{name}:predict", json={"instances": instances})
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


@pytest.mark.slow
def test_it_holds_one_package_that_nobody_else_has(wheel: Path) -> None:
    with ZipFile(wheel) as file:
        names = file.namelist()
        tops = {name.partition("/")[0] for name in names}
        (info,) = (name for name in tops if name.endswith(".dist-info"))
        assert tops == {"polyserve_runtime", info}
        assert {"polyserve_runtime/py.typed", "polyserve_runtime/adapters/base.py"} <= {*names}
        assert "polyserve = polyserve_runtime.__main__:main" in file.read(f"{info}/entry_points.txt").decode()
        metadata = file.read(f"{info}/METADATA").decode()
    assert "\nName: polyserve-runtime\n" in metadata
    assert "Requires-Dist: polyserve[" not in metadata


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_it_serves_beside_other_peoples_adapters(
    wheel: Path, stranger: Path, first: str, tmp_path: Path, served: Callable[..., httpx.Client]
) -> None:
    both = (wheel, stranger) if first == "ours" else (stranger, wheel)
    place = Place(tmp_path / "env", *both)
    info = place.sites / "mine-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[polyserve.adapters]\nmine = mine:Mine\n")
    (place.sites / "mine.py").write_text(THIRD_PARTY)
    confined = first == "theirs" and not Kernel().has_nothing  # its launcher runs from the wheel, too
    client = served(place, *(["--sandbox"] if confined else []))
    for _ in range(4):  # whichever process takes it
        assert predict(client, "line", [[1.0], [2.0]]) == pytest.approx([2.0, 4.0])
    theirs = str(place.sites / "adapters" / "__init__.py")
    assert predict(client, "custom", [1]) == [theirs, None]
    assert predict(client, "mine", [1.5]) == [3.0]
    for name in ("polyserve_runtime", "adapters"):
        distribution = PathDistribution(next(place.sites.glob(f"{name}-*.dist-info")))
        missing = [str(each) for each in distribution.files or [] if not Path(str(each.locate())).exists()]
        assert not missing
        assert cast(Message, distribution.metadata)["Name"].replace("-", "_") == name


@pytest.mark.slow
def test_the_name_for_other_peoples_code_is_typed_and_one_in_both(wheel: Path, tmp_path: Path) -> None:
    code = (
        "from polyserve_runtime.adapters.base import Adapter, InvalidInput; "
        "from polyserve_runtime.server.errors import InvalidInput as ours; import sys; "
        "print(Adapter.__module__, issubclass(ours, InvalidInput), {'server', 'adapters'} & sys.modules.keys())"
    )
    assert Place(tmp_path / "env", wheel).run(code) == "polyserve_runtime.adapters.base True set()"
    checkout = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert checkout.stdout.startswith("adapters.base True")
