"""How another process loads what this one has: the same files, or nothing."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from adapters.base import LoadError
from server.loading.catalog import Found
from server.loading.load_spec import LoadSpec
from server.loading.loader import Loader
from server.runtime import ipc
from tests.server.loading.linked_folders import CHANGES, linked_folder
from tests.server.stand_ins import EchoAdapter

pytestmark = pytest.mark.usefixtures("echo")


@pytest.fixture
def spec(tmp_path: Path) -> LoadSpec:
    may_import = threading.Event()
    may_import.set()
    found = Found("m", linked_folder(tmp_path))
    spec = LoadSpec.of(found, Loader(None, may_import).load(found))
    assert spec is not None
    return spec


def test_another_process_loads_the_same(spec: LoadSpec) -> None:
    here, there = socket.socketpair()
    with here, there:
        ipc.Connection(here).send(ipc.pack({"spec": spec.to_fields()}))
        message = ipc.Connection(there).receive()
    assert message is not None
    travelled = LoadSpec.from_fields(message.fields["spec"])
    assert travelled == spec
    assert travelled.number == spec.number
    assert isinstance(travelled.load().adapter, EchoAdapter)


@pytest.mark.parametrize("change", CHANGES)
def test_other_files_are_not_loaded(spec: LoadSpec, tmp_path: Path, change: str) -> None:
    EchoAdapter.begun.clear()
    CHANGES[change](tmp_path)
    with pytest.raises(LoadError, match=r"^its files are no longer those that were loaded$"):
        spec.load()
    assert not EchoAdapter.begun
