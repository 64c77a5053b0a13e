"""A directory to a loaded model, or to the reason why not."""

from __future__ import annotations

import itertools
import logging
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from adapters.base import Adapter, LoadError, Match, ModelDir, Trust
from server.loading.catalog import Found
from server.loading.loader import Loader
from server.loading.memory_budget import Budget
from server.loading.signatures import Verifier
from server.loading.trial.pool import Trial, TrialPool
from server.runtime.cpu import ONE_THREAD
from server.workers.messages import Hello
from server.workers.placement import WorkerPlacement
from tests.server.stand_ins import SIGNATURE, EchoAdapter

PATIENCE = 60.0


def loader(
    trials: TrialPool | None = None,
    prefer_proba: bool = False,
    allowed: Trust = Trust.CODE,
    verifier: Verifier | None = None,
    workers: WorkerPlacement | None = None,
) -> Loader:
    may_import = threading.Event()
    may_import.set()
    return Loader(trials, may_import, prefer_proba=prefer_proba, allowed=allowed, verifier=verifier, workers=workers)


def found(folder: Path, line: str = "echo", config: str = "") -> Found:
    folder.mkdir(exist_ok=True)
    (folder / "model.echo").write_text(line)
    if config:
        (folder / "polyserve.yaml").write_text(config)
    return Found(folder.name, ModelDir.of(folder, folder.parent))


class Trials(TrialPool):
    """Answers as a child would, and remembers what it was asked."""

    asked: ClassVar[list[tuple[Any, ...]]] = []

    def __init__(self, answer: Trial | LoadError) -> None:
        super().__init__(1, 1.0)
        self.answer = answer
        self.asked.clear()

    def try_load(self, *job: Any) -> Trial:
        self.asked.append(job)
        if isinstance(self.answer, LoadError):
            raise self.answer
        return self.answer


def test_a_model_is_loaded(tmp_path: Path, echo: type[EchoAdapter]) -> None:
    loaded = loader().load(found(tmp_path / "a"))
    assert isinstance(loaded.adapter, EchoAdapter)
    assert loaded.batchable
    assert not loaded.warning
    assert loaded.seconds >= 0


REASONS: list[tuple[str, str, str]] = [
    ("echo refuse", "", r"^model\.echo is refused$"),
    ("echo crash", "", "^ZeroDivisionError: by zero$"),
    ("echo exit", "", "^SystemExit: 3$"),
    ("broken", "", r"^model\.echo is damaged$"),
    ("echo", "adapter: echoo", "adapter 'echoo' is unknown: did you mean 'echo'"),
    ("echo", "adapter: bundle", "names the adapter 'bundle', which finds nothing of its own here"),
    ("echo", "options:\n  facter: 2", r"unknown key options\.facter; did you mean options\.factor"),
    ("echo", "options: [", "polyserve.yaml, line 1"),
    ("echo", "adapter: stumbling", "finds nothing of its own here"),
]


@pytest.mark.parametrize(("line", "config", "why"), REASONS, ids=lambda item: item[:20])
@pytest.mark.usefixtures("echo")
def test_what_cannot_be_served_has_a_reason(tmp_path: Path, line: str, config: str, why: str) -> None:
    with pytest.raises(LoadError, match=why):
        loader().load(found(tmp_path / "a", line, config))


@pytest.mark.usefixtures("echo")
def test_a_directory_with_a_problem_is_not_looked_at_until_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "mount").mkdir()
    (tmp_path / "mount" / "a").symlink_to(tmp_path / "elsewhere")
    a = Found("a", ModelDir.of(tmp_path / "mount" / "a", tmp_path / "mount"), "problem")
    found(tmp_path / "elsewhere")
    with pytest.raises(LoadError, match="leads out of the models directory and is not followed"):
        loader().load(a)
    (tmp_path / "mount" / "a").unlink()
    with pytest.raises(LoadError, match="the directory cannot be read: No such file or directory"):
        loader().load(a)
    assert not EchoAdapter.begun
    found(tmp_path / "mount" / "a")
    assert loader().load(a)


@pytest.mark.usefixtures("echo")
def test_files_that_came_and_went_since_the_scan_are_seen(tmp_path: Path) -> None:
    a = found(tmp_path / "a")
    shared = loader()
    shared.load(a)
    (tmp_path / "a" / "model.echo").rename(tmp_path / "a" / "newer.echo")
    shared.load(a)
    (tmp_path / "a" / "newer.echo").unlink()
    with pytest.raises(LoadError, match="the directory is empty"):
        shared.load(a)


@pytest.mark.usefixtures("echo")
def test_an_adapters_own_mistake_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "stumble.txt").touch()
    with pytest.raises(LoadError, match="RecursionError: too deep"):
        loader().load(Found("a", ModelDir.of(tmp_path)))


def test_code_of_other_servers_beside_a_model_is_told_not_to_run(
    tmp_path: Path, echo: type[EchoAdapter], caplog: pytest.LogCaptureFixture
) -> None:
    model = found(tmp_path / "m")
    (tmp_path / "m" / "inference.py").write_text("def model_fn(model_dir): ...\n")
    with caplog.at_level(logging.WARNING, "kserve"):
        loaded = loader().load(model)
    said = "inference.py is not run; it is code of SageMaker's containers"
    assert f"model m: {said}" in caplog.text
    assert loaded.warning.startswith(said)  # which the index shows


@pytest.mark.usefixtures("echo")
def test_a_trial_comes_first_and_its_verdict_counts(tmp_path: Path) -> None:
    a = found(tmp_path / "a", config="options:\n  factor: 3")
    (tmp_path / "a" / "polyserve.yaml").write_text("options:\n  factor: 3")
    trials = Trials(Trial(0.1, 0, batchable=True))
    assert loader(trials).load(a).batchable
    assert trials.asked == [("echo", a.directory.path, a.directory.root, "model.echo", {"factor": 3.0})]
    assert not loader(Trials(Trial(0.1, 0, batchable=False))).load(a).batchable
    warned = loader(Trials(Trial(0.1, 0, batchable=True, example_error="ValueError: no"))).load(a)
    assert warned.warning == "it refuses its own example: ValueError: no"


@pytest.fixture
def evidence(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What each load was told, while this process calculates as its children do."""
    told: list[Any] = []
    load = EchoAdapter.load.__func__  # type: ignore[attr-defined]

    def loaded(cls: Any, model_dir: ModelDir, *how: Any) -> Any:
        told.append(dict(model_dir.evidence))
        return load(cls, model_dir, *how)

    monkeypatch.setattr(EchoAdapter, "load", classmethod(loaded))
    for variable, value in ONE_THREAD.items():
        monkeypatch.setenv(variable, value)
    return told


@pytest.mark.usefixtures("echo")
def test_what_the_trial_has_proved_is_told(tmp_path: Path, evidence: list[Any]) -> None:
    trials = Trials(Trial(0.1, 0, batchable=True, evidence={"proofs": [1]}))
    loader(trials).load(found(tmp_path / "a"))
    assert evidence == [{"proofs": [1]}]


@pytest.mark.usefixtures("echo")
def test_nothing_is_told_of_a_trial_with_other_threads(
    tmp_path: Path, evidence: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    loader(Trials(Trial(0.1, 0, batchable=True, evidence={"proofs": [1]}))).load(found(tmp_path / "a"))
    assert evidence == [{}]


@pytest.mark.usefixtures("echo")
def test_what_was_proved_of_other_bytes_is_forgotten(tmp_path: Path, evidence: list[Any]) -> None:
    class Slow(Trials):
        """The file changes while it is tried for the first time."""

        def try_load(self, *job: Any) -> Trial:
            if not self.asked:
                (tmp_path / "a" / "model.echo").write_text("echo anew")
            return super().try_load(*job)

    adapter: Any = loader(Slow(Trial(0.1, 0, batchable=True, evidence={"proofs": [1]}))).load(found(tmp_path / "a"))
    assert evidence == [{"proofs": [1]}, {}, {"proofs": [1]}]
    assert [made.closed for made in EchoAdapter.made] == [1, 1, 0]
    assert adapter.adapter is EchoAdapter.made[-1]


@pytest.mark.usefixtures("echo")
def test_what_does_not_survive_the_trial_is_not_loaded(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="crashed"):
        loader(Trials(LoadError("loading it crashed the process"))).load(found(tmp_path / "a"))
    assert not EchoAdapter.begun


@pytest.mark.usefixtures("echo")
def test_nothing_is_imported_before_it_may_be(tmp_path: Path) -> None:
    may_import = threading.Event()
    futures = Loader(None, may_import).begin([found(tmp_path / "a")], threads=1)
    with pytest.raises(TimeoutError):
        futures["a", ""].result(timeout=0.05)
    assert not EchoAdapter.begun
    may_import.set()
    assert futures["a", ""].result(PATIENCE).adapter is EchoAdapter.made[0]


@pytest.mark.usefixtures("echo")
def test_the_first_load_goes_alone_and_those_that_waited_for_it_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads that import the same packages at once can see each other's half-made modules."""
    begun = itertools.count()
    first_ended = threading.Event()
    others = threading.Barrier(2, timeout=PATIENCE)
    too_early = []
    load = EchoAdapter.load.__func__  # type: ignore[attr-defined]

    def watched(cls: type[Adapter], *arguments: Any) -> Any:
        if next(begun) == 0:
            time.sleep(0.05)  # for others that would not wait
            first_ended.set()
            return load(cls, *arguments)
        if not first_ended.is_set():
            too_early.append(cls)
        others.wait()  # breaks if they come one at a time
        return load(cls, *arguments)

    monkeypatch.setattr(EchoAdapter, "load", classmethod(watched))
    models = [found(tmp_path / name) for name in "abc"]
    for future in loader().begin(models, threads=3).values():
        future.result(PATIENCE)
    assert not too_early


@pytest.mark.usefixtures("echo")
def test_a_first_load_that_fails_leaves_the_way_free(tmp_path: Path) -> None:
    shared = loader()
    with pytest.raises(LoadError):
        shared.load(found(tmp_path / "a", "echo exit"))
    assert shared.load(found(tmp_path / "b"))


@pytest.mark.usefixtures("echo")
def test_loading_begins_for_all_and_each_has_its_own_end(tmp_path: Path) -> None:
    models = [found(tmp_path / "a"), found(tmp_path / "b", "echo refuse"), found(tmp_path / "c", "echo exit")]
    futures = loader().begin(models, threads=2)
    assert list(futures) == [("a", ""), ("b", ""), ("c", "")]
    assert futures["a", ""].result(PATIENCE)
    for name in "bc":
        assert isinstance(futures[name, ""].exception(PATIENCE), LoadError)


def test_what_runs_before_kserve_does_not_import_it() -> None:
    """KServe reads `sys.argv` when it is imported: that is for `__main__` to prepare."""
    code = (
        "import sys, server.loading.loader, server.repository.watcher, server.loading.memory_budget\n"
        "import server.runtime.signals, server.loading.sources\n"
        "import server.workers.placement, server.loading.trial.pool, server.loading.environments\n"
        "print([name for name in sys.modules if name.partition('.')[0] == 'kserve'])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


class SwappingTrials(Trials):
    """While a child tries the model, somebody puts another one in its place, so many times."""

    def __init__(self, model: Path, times: int, verdict: Trial | LoadError) -> None:
        super().__init__(verdict)
        self.model = model
        self.left = times

    def try_load(self, *job: Any) -> Trial:
        if self.left:
            self.left -= 1
            other = self.model.with_name("other")
            other.write_text(f"echo {self.left}")
            other.replace(self.model)
        return super().try_load(*job)


@pytest.mark.parametrize("verdict", [Trial(0.1, 0, batchable=True), LoadError("half a file")], ids=["good", "bad"])
def test_what_was_swapped_after_its_trial_is_tried_again(
    tmp_path: Path, echo: type[EchoAdapter], verdict: Trial | LoadError
) -> None:
    folder = found(tmp_path / "a")
    trials = SwappingTrials(tmp_path / "a" / "model.echo", 2, verdict)
    if isinstance(verdict, LoadError):
        with pytest.raises(LoadError, match=r"^half a file$"):
            loader(trials).load(folder)
    else:
        loaded = loader(trials).load(folder)
        assert isinstance(loaded.adapter, EchoAdapter)
        assert loaded.adapter.line == "echo 0"
        assert [adapter.closed for adapter in echo.made] == [True, True, False]
    assert len(trials.asked) == 3


@pytest.mark.usefixtures("echo")
def test_what_never_stays_is_refused_and_holds_nothing(tmp_path: Path) -> None:
    subject = loader(SwappingTrials(tmp_path / "a" / "model.echo", 9, Trial(0.1, 1000, batchable=True)))
    with pytest.raises(LoadError, match=r"^model\.echo was changed after it was checked$"):
        subject.load(found(tmp_path / "a"))
    assert subject.budget.used == 0


@pytest.mark.usefixtures("echo")
def test_what_is_swapped_after_its_signature_was_verified_is_not_loaded(tmp_path: Path) -> None:
    class Signed(Verifier):
        def verify(self, directory: ModelDir) -> None:
            (directory.path / "model.echo").write_text(f"echo {time.monotonic_ns()}")

    with pytest.raises(LoadError, match=r"^model\.echo was changed after it was checked$"):
        loader(verifier=Signed(tmp_path / "key")).load(found(tmp_path / "a"))


@pytest.fixture
def beside(tmp_path: Path, echo: type[EchoAdapter], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is loaded with the model `a`."""
    matched = echo.match

    def match(model_dir: ModelDir) -> Match | None:
        claim = matched(model_dir)
        return claim and replace(claim, beside="base")

    monkeypatch.setattr(echo, "match", match)
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "weights").write_text("1")
    return folder


def test_what_is_loaded_with_a_model_is_verified_and_has_to_stay(tmp_path: Path, beside: Path) -> None:
    verified: list[str] = []

    class Signed(Verifier):
        def verify(self, directory: ModelDir) -> None:
            verified.append(directory.path.name)

    loader(verifier=Signed(tmp_path / "key")).load(found(tmp_path / "a"))
    assert verified == ["a", "base"]

    class Unsigned(Verifier):
        def verify(self, directory: ModelDir) -> None:
            if directory.path == beside:
                raise LoadError("not signed")

    with pytest.raises(LoadError, match="not signed"):
        loader(verifier=Unsigned(tmp_path / "key")).load(found(tmp_path / "a"))


def test_what_is_loaded_with_a_model_and_changes_is_not_taken(
    tmp_path: Path, beside: Path, echo: type[EchoAdapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = echo.load

    def swapping(*arguments: Any) -> EchoAdapter:
        (beside / "weights").write_text(str(time.monotonic_ns()))
        return load(*arguments)

    monkeypatch.setattr(echo, "load", swapping)
    with pytest.raises(LoadError, match="weights was changed after it was checked"):
        loader().load(found(tmp_path / "a"))
    (beside / "link").symlink_to("/etc/passwd")
    with pytest.raises(LoadError, match="link"):
        loader().load(found(tmp_path / "a"))


@pytest.mark.parametrize(("limit", "held"), [(None, 200_000), (1_000_000, 300_000)])
def test_what_workers_may_come_to_take_counts_where_there_is_a_budget(
    limit: int | None, held: int, tmp_path: Path, echo: type[EchoAdapter]
) -> None:
    class Workers(WorkerPlacement):
        def wants(self, choice: Any, config: Any) -> bool:
            return True

        def load(self, *arguments: Any) -> Any:
            adapter: Any = echo("echo", {})
            adapter.pool = SimpleNamespace(count=2)
            return adapter, Hello(SIGNATURE, "echo", True, 0.1, 100_000, {}, "", 50_000)

    may_import = threading.Event()
    may_import.set()
    loaded = Loader(None, may_import, workers=Workers(), budget=Budget(limit)).load(found(tmp_path / "a"))
    assert loaded.claim is not None
    assert loaded.claim.memory == held
