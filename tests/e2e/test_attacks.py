"""Attacks on a whole server that it did not withstand once: what a model's files did, or whoever may send requests."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.adapters.torch_ import evasions
from tests.e2e.process import Server
from tests.patience import wait_for
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
    for spelling, place in FORMS if trust == "safe" else FORMS[::4]:  # the audit is the same at every level
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


def _onnx(folder: Path, nodes: list[Any], dims: list[Any]) -> None:
    """A graph of one input x, a vector of whole numbers, and one output y."""
    from tests.adapters.onnx_.models import INT64, constant, graph, value, write

    fixed = [constant(np.array(number), f"c{number}") for number in (0, 1)]
    write(folder, graph(nodes, [value("x", INT64, dims)], [value("y", INT64, None)], fixed))


def _holding_models(mount: Path) -> dict[str, Any]:
    """Sound models, each with an input for which it would compute, or the memory would grow, for very long."""
    import joblib
    import spacy
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from tests.adapters.onnx_.models import node

    mount.mkdir()
    spacy.blank("en").to_disk(mount / "tokenizer")
    texts = make_pipeline(CountVectorizer(token_pattern=r"(?:[a-z]+)+!"), LogisticRegression())
    (mount / "vectorizer").mkdir()
    joblib.dump(texts.fit(["good!", "bad!"], [1, 0]), mount / "vectorizer" / "model.joblib")
    scalar = node("Squeeze", ["x", "axis"], ["n"])
    axis = node("Constant", [], ["axis"], value_ints=[0])
    _onnx(
        mount / "range", [axis, scalar, node("Range", ["c0", "n", "c1"], ["r"]), node("ReduceSum", ["r"], ["y"])], [1]
    )
    return {
        "tokenizer": {"instances": ["(" * 100_000]},
        "vectorizer": {"instances": ["a" * 100]},
        "range": {"instances": [10**12]},
    }


def test_an_input_that_holds_a_model_holds_no_other(tmp_path: Path) -> None:
    """Before, 20 KB of brackets held the interpreter of the whole server for 40 s, a pattern for ever."""
    mount = tmp_path / "models"
    hostile = _holding_models(mount)
    _onnx(mount / "sound", [_double()], ["N"])
    for name in hostile:
        (mount / name / "polyserve.yaml").write_text("call_timeout: 5")
    server = Server(mount, tmp_path / "log").wait_ready()
    try:
        assert len(_workers(server)) == len(hostile)
        wait_for(lambda: _answered_beside(server, hostile) > len(hostile), "answers while they are asked", 600)
    finally:
        server.kill()


def _answered_beside(server: Server, hostile: dict[str, Any]) -> int:
    """How often another model answers while these are asked: once or twice at the end, where the server was held.

    No more than that either, where this test stood still until they had been given up.
    """
    answered = 0
    with ThreadPoolExecutor(len(hostile)) as clients:
        asked = {name: clients.submit(server.predict, name, body) for name, body in hostile.items()}
        while not all(each.done() for each in asked.values()):
            assert server.predict("sound", {"instances": [1, 2]}).json() == {"predictions": [2, 4]}
            answered += 1
        statuses = {name: each.result().status_code for name, each in asked.items()}
    assert set(statuses.values()) <= {500, 503, 504}, statuses
    return answered


def _double() -> Any:
    from tests.adapters.onnx_.models import node

    return node("Add", ["x", "x"], ["y"])
