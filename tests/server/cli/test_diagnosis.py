"""What the doctor finds: versions without imports, limits, ports, and what to do."""

from __future__ import annotations

import importlib.metadata
import resource
import socket
import sys
from pathlib import Path

import pytest

from adapters import registry
from server.cli import diagnosis
from server.cli.diagnosis import Fact, frameworks, machine


def fact(name: str) -> Fact:
    return {each.name: each for each in machine()}[name]


def test_frameworks_have_their_versions() -> None:
    found = {each.name: each for each in frameworks()}
    assert found.keys() == registry.adapters().keys()
    assert found["sklearn"].value == f"scikit-learn {importlib.metadata.version('scikit-learn')}"
    assert found["custom"].value == "needs no framework"


def test_what_is_missing_is_named_as_pip_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = registry.adapters()["skops"]
    monkeypatch.setattr(adapter, "requires", ("sklearn", "imblearn_", "no_such"))
    monkeypatch.setitem(registry.DISTRIBUTION, "imblearn_", "imbalanced-learn-")
    found = {each.name: each for each in frameworks()}["skops"]
    assert (found.state, found.advice) == ("missing", "pip install imbalanced-learn- no_such")
    assert found.value.startswith("scikit-learn ")


def test_this_machine_is_well() -> None:
    assert [each.name for each in machine() if each.state == "bad"] == []
    assert fact("Python").value.startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")
    assert "kserve " in fact("packages").value


def test_few_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 4096))
    found = fact("open files")
    assert (found.value, found.state) == ("256 of 4096", "bad")
    assert "ulimit -n 1024" in found.advice


def test_little_memory_and_no_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(diagnosis, "memory_limit", lambda: 100 * 2**20)
    monkeypatch.setattr(diagnosis, "_LEAST_DISK", 2**62)
    monkeypatch.setattr(diagnosis, "cache_directory", lambda name: tmp_path / "not yet" / name)
    assert fact("memory").advice == "give the container 512.0 MiB or more"
    assert "CACHE_DIRECTORY" in fact("cache").advice


def test_another_python_and_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_PYTHONS", ((4, 0), (4, 1)))
    monkeypatch.setattr(diagnosis, "_NEEDED", ("numpy", "no-such-package"))
    assert fact("Python").state == "bad"
    assert fact("packages").advice == "pip install no-such-package"


def test_a_port_that_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        found = diagnosis._port("REST port", other.getsockname()[1])
    assert found.state == "missing"
    assert "--http_port" in found.advice
    assert diagnosis._port("gRPC port", 0).state == "ok"
