"""A package whose build is hostile, by uv and by pip in a sandbox; and what else an installer is left."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from server.loading.environments import Environments, install
from server.loading.environments.build_sandbox import build_environ, confine_build, restore_modes
from server.loading.environments.pip_settings import PipSettings
from server.loading.environments.requirements import Requirements
from server.runtime.sandbox.kernel import Kernel
from server.runtime.sandbox.launcher import Policy
from server.runtime.sandbox.sandbox import NO_SANDBOX, Confinement, Sandbox

SANDBOX = Sandbox(confines=True)

#: a build backend of the package's own, which needs nothing installed, and tells in the package what it could do
BACKEND = """
import json, os, socket, zipfile

def told(act):
    try:
        act()
        return "yes"
    except OSError as error:
        return type(error).__name__

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    secret, outside = json.load(open("targets.json"))
    found = {
        "read": told(lambda: open(secret)),
        "write": told(lambda: open(outside, "w")),
        "listen": told(lambda: socket.socket().listen()),
    }
    name = "hostile-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        wheel.writestr("hostile.py", f"found = {found!r}")
        program = zipfile.ZipInfo("hostile-1.0.data/scripts/hostile-tool")
        program.external_attr = 0o100755 << 16
        wheel.writestr(program, "#!/bin/sh\\necho tool\\n")
        info = "hostile-1.0.dist-info/"
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: hostile\\nVersion: 1.0\\n")
        tags = "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(info + "WHEEL", tags)
        wheel.writestr(info + "RECORD", "")
    return name
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "hostile"
version = "1.0"
"""


def pack(folder: Path, targets: list[str], backend: str = BACKEND) -> None:
    """The package's source archive."""
    files = {
        "backend.py": backend,
        "pyproject.toml": PROJECT,
        "targets.json": json.dumps(targets),
        "PKG-INFO": "Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n",
    }
    with tarfile.open(folder / "hostile-1.0.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"hostile-1.0/{name}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))


@pytest.mark.slow
@pytest.mark.skipif(Kernel().landlock < 6 or Kernel().machine is None, reason="this kernel has less")
@pytest.mark.parametrize("with_uv", [True, False], ids=["uv", "pip"])
def test_a_build_reaches_nothing_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_uv: bool) -> None:
    if not with_uv:
        monkeypatch.setattr(install, "_find_uv", lambda: None)
    secret, wheelhouse = tmp_path / "secret", tmp_path / "wheelhouse"
    secret.write_text("secret")
    wheelhouse.mkdir()
    pack(wheelhouse, [str(secret), str(tmp_path / "dropped")])
    python = Environments(tmp_path / "environments", wheelhouse, sandbox=SANDBOX).python("m", "hostile==1.0")
    command = [str(python), "-c", "import hostile, json; print(json.dumps(hostile.found))"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert found == dict.fromkeys(("read", "write", "listen"), "PermissionError")
    assert not (tmp_path / "dropped").exists()
    assert subprocess.run([python.parent / "hostile-tool"], capture_output=True, check=True).stdout == b"tool\n"


def confined(requirements: str, wheelhouse: Path | None, folder: Path | None = None) -> tuple[Policy, Confinement]:
    wanted = Requirements.read(requirements, folder, PipSettings({}))
    confinement = confine_build(SANDBOX, Path("/environments/target"), wanted, wheelhouse)
    assert confinement is not None
    return Policy.read(str(confinement.scratch.parent / "policy.json")), confinement


def test_it_connects_unless_there_is_a_wheelhouse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "file:///opt/index https://example.com/simple")
    policy, confinement = confined("six==1.16.0", None)
    assert policy.network
    assert "/opt/index" in policy.readable
    confinement.close()
    policy, confinement = confined("six==1.16.0", Path("/wheelhouse"))
    assert not policy.network
    assert "/wheelhouse" in policy.readable
    assert "/opt/index" not in policy.readable
    assert "/environments/target" in policy.writable
    confinement.close()


def test_folders_that_requirements_name_are_read(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    policy, confinement = confined("--no-index\n-f wheels\nsix", Path("/wheelhouse"), tmp_path)
    confinement.close()
    assert str(tmp_path / "wheels") in policy.readable


def test_without_a_sandbox_it_is_as_it_was() -> None:
    wanted = Requirements.read("six", None, PipSettings({}))
    assert confine_build(NO_SANDBOX, Path("/target"), wanted, None) is None


def test_configuration_is_the_operators_and_caches_are_its_own() -> None:
    confinement = SANDBOX.confinement([])
    assert confinement is not None
    environ = build_environ(confinement, {"HOME": "/home/operator", "UV_CACHE_DIR": "/shared"}, Path("/target"))
    confinement.close()
    assert environ["HOME"] == "/home/operator"
    assert environ["UV_CACHE_DIR"].startswith(str(confinement.scratch))
    assert environ["TMPDIR"] == str(confinement.scratch)


def test_programs_can_be_run_and_nothing_else(tmp_path: Path) -> None:
    files = {"script": b"#!/bin/sh\n", "binary": b"\x7fELF...", "text": b"text", "empty": b""}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o644)
    (tmp_path / "link").symlink_to(sys.executable)
    os.mkfifo(tmp_path / "fifo")  # whoever opens it waits for somebody who writes
    before = os.stat(sys.executable).st_mode  # noqa: PTH116
    restore_modes(tmp_path)
    assert {name for name in files if os.access(tmp_path / name, os.X_OK)} == {"script", "binary"}
    assert os.stat(sys.executable).st_mode == before  # noqa: PTH116
