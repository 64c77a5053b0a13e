"""Attacks on a whole server that it did not withstand once: what a model's files did, or whoever may send requests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.adapters.torch_ import evasions
from tests.e2e.process import Server
from tests.processes import command, descendants

ROWS = {"instances": [[1.0, 2.0], [3.0, 4.0]]}
#: how TorchScript named an operator that its audit did not see, and where such code ran
FORMS = [
    ("alias", "body"),
    ("alias of ops", "body"),
    ("getattr in octal", "body"),
    ("line continued", "body"),
    ("comment", "body"),
    ("plain", "default of an argument"),
    ("plain", "constant of a class"),
    ("plain", "__setstate__"),
    ("alias", "function"),
]


@pytest.mark.parametrize("trust", ["safe", "pickle", "code"])
def test_torchscript_neither_reads_nor_writes_files(tmp_path: Path, trust: str) -> None:
    """Under no level of trust; a sound program beside them is served, by a worker."""
    base, mount, dropped = evasions.records(), tmp_path / "models", tmp_path / "dropped"
    dropped.mkdir()
    for spelling, place in FORMS:
        name = f"{spelling} {place}".replace(" ", "-").strip("_")
        save = evasions.program(base, "save", f'x, "{dropped}/{name}"', spelling, place)
        evasions.write(save, mount / f"save-{name}" / "model.pt")
        drop = evasions.program(base, "from_file", f'"{dropped}/{name}.py", True, 8', spelling, place)
        evasions.write(drop, mount / f"drop-{name}" / "model.pt")
    secret = evasions.program(base, "from_file", '"/etc/passwd", False, 64, dtype=0', "alias", "body")
    evasions.write(secret, mount / "secret" / "model.pt")
    evasions.write(base, mount / "sound" / "model.pt")
    server = Server(mount, tmp_path / "log", f"--trust={trust}").wait_scanned()
    try:
        index = server.index()
        assert {name for name, entry in index.items() if entry["state"] == "READY"} == {"sound"}
        refused = [entry["reason"] for name, entry in index.items() if name != "sound"]
        assert all("trust: full" in reason for reason in refused), refused
        assert server.predict("sound", ROWS).json() == {"predictions": [[4.0, 7.0], [10.0, 13.0]]}
        assert len(_workers(server)) == 1
        assert not os.listdir(dropped)  # noqa: PTH208
    finally:
        assert server.stop() == 0


def _workers(server: Server) -> list[int]:
    children = descendants(server.process.pid)
    return [child.pid for child in children if any("polyserve_worker=" in word for word in command(child))]
