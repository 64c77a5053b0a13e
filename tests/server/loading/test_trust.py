"""What models may bring under each level, and that a folder cannot raise it."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from adapters.base import Adapter, LoadError, Match, ModelDir, Rank, Trust
from adapters.registry import Choice
from server.config.model_config import ModelConfig
from server.loading import trust
from server.loading.catalog import Found
from server.workers.placement import WorkerPlacement
from tests.adapters.formats.pickles import attacks
from tests.server.loading.test_loader import found, loader
from tests.server.stand_ins import EchoAdapter

LEVELS = (Trust.SAFE, Trust.PICKLE, Trust.CODE)


def _choice(level: Trust, file: str = "model.echo", requirements: str = "", safe_form: str = "") -> Choice:
    adapter: type[Adapter] = type("Some", (EchoAdapter,), {"safe_form": safe_form})
    return Choice(adapter, Match(Rank.CONTENT, file, trust=level, requirements=requirements))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("allowed", LEVELS)
def test_a_claim_needs_its_level(level: Trust, allowed: Trust) -> None:
    if level <= allowed:
        trust.check(_choice(level), allowed)
    else:
        with pytest.raises(LoadError, match=f"the server runs with --trust={allowed.name.lower()}: "):
            trust.check(_choice(level), allowed)


@pytest.mark.parametrize("allowed", LEVELS)
def test_requirements_are_code(allowed: Trust) -> None:
    choice = _choice(Trust.SAFE, requirements="numpy<2")
    assert trust.needed(choice) is Trust.CODE
    if allowed is Trust.CODE:
        trust.check(choice, allowed)
    else:
        with pytest.raises(LoadError, match="the requirements that came with the model would install packages"):
            trust.check(choice, allowed)


def test_reasons_name_what_is_needed_and_the_ways_out() -> None:
    with pytest.raises(LoadError) as caught:
        trust.check(_choice(Trust.PICKLE, "model.pkl", safe_form="with skops"), Trust.SAFE)
    assert str(caught.value) == (
        "model.pkl is read as a pickle; the server runs with --trust=safe: "
        "start the server with --trust=pickle, or save the model with skops"
    )
    with pytest.raises(LoadError) as caught:
        trust.check(_choice(Trust.PICKLE, "", safe_form="as safetensors"), Trust.SAFE)
    assert str(caught.value).startswith("the folder holds pickled weights; the server runs with --trust=safe")
    with pytest.raises(LoadError) as caught:
        trust.check(_choice(Trust.CODE, "model.py"), Trust.PICKLE)
    assert str(caught.value) == (
        "model.py brings code of its own; the server runs with --trust=pickle: start the server with --trust=code"
    )


@pytest.mark.usefixtures("echo")
def test_nothing_is_loaded_or_tried_that_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = Match(Rank.CONTENT, "model.echo", trust=Trust.PICKLE)
    monkeypatch.setattr(EchoAdapter, "match", classmethod(lambda cls, model_dir: claim))
    a = found(tmp_path / "a")
    with pytest.raises(LoadError, match=r"^model\.echo is read as a pickle; the server runs with --trust=safe"):
        loader(allowed=Trust.SAFE).load(a)
    assert not EchoAdapter.begun
    assert loader(allowed=Trust.PICKLE).load(a)


def _hostile(folder: Path, config: str = "") -> tuple[Found, Path]:
    folder.mkdir()
    mark = folder / "mark"
    joblib.dump(attacks.touching(mark), folder / "model.joblib")
    (folder / "polyserve.yaml").write_text(config)
    return Found(folder.name, ModelDir.of(folder)), mark


@pytest.mark.parametrize("allowed", LEVELS)
def test_a_hostile_pickle_is_refused_by_name_under_every_level(tmp_path: Path, allowed: Trust) -> None:
    hostile, mark = _hostile(tmp_path / "a")
    with pytest.raises(LoadError, match=r"^model\.joblib names posix\.system, which is not a class") as caught:
        loader(allowed=allowed).load(hostile)
    assert "trust: full" not in str(caught.value)
    assert not mark.exists()


@pytest.mark.parametrize("allowed", [Trust.SAFE, Trust.PICKLE])
def test_a_folder_cannot_raise_its_own_level(tmp_path: Path, allowed: Trust) -> None:
    hostile, mark = _hostile(tmp_path / "a", "trust: full\noptions: {}\n")
    with pytest.raises(LoadError, match=r"names posix\.system, .*; `trust: full` in polyserve\.yaml counts only under"):
        loader(allowed=allowed).load(hostile)
    assert not mark.exists()


@pytest.mark.slow
def test_full_trust_is_code_in_a_process_of_its_own(tmp_path: Path) -> None:
    """What the checks keep from running elsewhere runs, though not in the server."""
    (tmp_path / "a").mkdir()
    mark = tmp_path / "mark"
    model = LogisticRegression().fit(np.eye(4), [0, 1, 0, 1])
    model.pid_ = attacks.Calls(eval, f"open({str(mark)!r}, 'w').write(str(__import__('os').getpid()))")
    joblib.dump(model, tmp_path / "a" / "model.joblib")
    (tmp_path / "a" / "polyserve.yaml").write_text("trust: full")
    workers = WorkerPlacement(load_timeout=60.0)
    try:
        adapter = loader(workers=workers).load(Found("a", ModelDir.of(tmp_path / "a"))).adapter
        answer = adapter.predict({"input-0": np.eye(4)}, {})
    finally:
        workers.kill()
    assert int(mark.read_text()) != os.getpid()
    assert answer["output-0"].tolist() == model.predict(np.eye(4)).tolist()


def test_a_known_pickle_is_served_from_the_level_pickle_on(tmp_path: Path) -> None:
    model = LogisticRegression().fit(np.eye(4), [0, 1, 0, 1])
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    a = Found("a", ModelDir.of(tmp_path))
    for config in ("", "trust: full"):  # which counts for nothing here, and hurts nobody
        (tmp_path / "polyserve.yaml").write_text(config)
        with pytest.raises(LoadError, match="save the model with skops, or as ONNX"):
            loader(allowed=Trust.SAFE).load(a)
        assert loader(allowed=Trust.PICKLE).load(a)


@pytest.mark.parametrize(
    ("config", "allowed", "hint"),
    [
        ("full", Trust.SAFE, True),
        ("full", Trust.PICKLE, True),
        ("full", Trust.CODE, False),
        (None, Trust.SAFE, False),
    ],
)
def test_the_hint_where_a_folder_asked_in_vain(config: object, allowed: Trust, hint: bool) -> None:
    assert bool(trust.overruled(ModelConfig(trust=config), allowed)) is hint  # type: ignore[arg-type]


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "inner" / "weights")


def _link(folder: Path) -> None:
    (folder / "inner" / "weights").symlink_to("/etc/hostname")


def _round(folder: Path) -> None:
    (folder / "inner" / "round").symlink_to("..")


STRANGE: list[tuple[Callable[[Path], None], str]] = [
    (_pipe, "^inner/weights is neither a file nor a folder"),
    (_link, "^inner/weights leads out of the models directory"),
    (_round, "a link leads round in them"),
]


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize(("make", "why"), STRANGE, ids=[why for _, why in STRANGE])
def test_a_folder_that_is_loaded_as_a_whole_holds_nothing_strange(
    tmp_path: Path, make: Callable[[Path], None], why: str
) -> None:
    folder = tmp_path / "a"
    (folder / "inner").mkdir(parents=True)
    (folder / "bundle.txt").touch()
    a = Found("a", ModelDir.of(folder))
    assert loader().load(a)
    make(folder)
    with pytest.raises(LoadError, match=why):
        loader().load(a)
    (folder / "bundle.txt").rename(folder / "model.echo")
    (folder / "model.echo").write_text("echo")
    assert loader().load(a)  # one file: what lies beside it does not matter
