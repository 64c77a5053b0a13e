from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from adapters.base import LoadError
from server.loading.trial.pool import Trial, TrialPool
from server.runtime.sandbox.capabilities import can_become_reader
from server.runtime.sandbox.sandbox import Sandbox
from server.runtime.sandbox.users import UserRange
from server.workers.self_test import same_rows
from tests.patience import wait_for
from tests.processes import command, descendants

HERE = Path(__file__).parents[2]
ME = psutil.Process()
OTHERS: set[int] = set()


@pytest.fixture(scope="module", autouse=True)
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The misbehaving adapters, installed as a package's entry points: the children find them as they find any."""
    site = tmp_path_factory.mktemp("site")
    (site / "moody_adapters.py").write_text((HERE / "trial_adapters.py").read_text())
    metadata = site / "moody-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: moody\nVersion: 1.0\n")
    points = [f"{name} = moody_adapters:{name.title()}Adapter" for name in ("moody", "stubborn", "bare")]
    (metadata / "entry_points.txt").write_text("\n".join(["[polyserve.adapters]", *points]))
    OTHERS.update(child.pid for child in descendants())
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        yield


@pytest.fixture(scope="module")
def shared() -> Iterator[TrialPool]:
    pool = TrialPool(size=1, timeout=60)
    yield pool
    pool.close()


@pytest.fixture
def pool(shared: TrialPool) -> Iterator[TrialPool]:
    """A pool of one child, the only one that there is now."""
    shared.close()
    pool = TrialPool(size=1, timeout=60)
    yield pool
    pool.close()


@pytest.fixture
def pair(shared: TrialPool) -> Iterator[TrialPool]:
    """The same with two children."""
    shared.close()
    pool = TrialPool(size=2, timeout=60)
    yield pool
    pool.close()


Attempt = Callable[..., Trial]


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    """attempt(pool, what to do when loading, and when predicting)"""

    def attempt(pool: TrialPool, load: str = "", predict: str = "", adapter: str = "moody", **options: Any) -> Trial:
        folder = tmp_path / f"{load.replace('/', '_')} {predict}"[:60]
        folder.mkdir(exist_ok=True)
        (folder / "model.txt").write_text(f"{load}\n{predict}\n")
        return pool.try_load(adapter, folder, tmp_path, "model.txt", options)

    return attempt


def reason(attempt: Attempt, *what: Any, **more: Any) -> str:
    with pytest.raises(LoadError) as caught:
        attempt(*what, **more)
    return str(caught.value)


def children() -> set[int]:
    """Children for trials, less those that were there before: other tests' processes may still come and go."""
    others = {child.pid for child in descendants() if any("polyserve_" in word for word in command(child))}
    return {child.pid for child in descendants()} - others - OTHERS


# --- answers ----------------------------------------------------------------------------------------------------------


def test_a_sound_model(shared: TrialPool, attempt: Attempt) -> None:
    trial = attempt(shared)
    assert trial.batchable
    assert trial.example_error == ""
    assert 0 <= trial.seconds < 30


@pytest.mark.skipif(os.geteuid() != 0 or not can_become_reader(), reason="only root can be another user")
def test_children_of_root_are_users_of_their_own_who_read_all_and_write_nothing(tmp_path: Path) -> None:
    users = UserRange(54000, 54009)
    pool = TrialPool(1, 60, Sandbox(users=users))

    def attempt(name: str, load: str = "") -> Trial:
        (tmp_path / name / "model.txt").write_text(load)
        (tmp_path / name / "model.txt").chmod(0o600)
        return pool.try_load("moody", tmp_path / name, tmp_path, "model.txt", {})

    def owners() -> set[int]:
        (child,) = pool._children
        process = psutil.Process(child._child.pid)
        return {*process.uids(), *process.gids()}

    for name, mode in (("open", 0o777), ("closed", 0o700)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    (tmp_path / "open" / "started").touch()
    (tmp_path / "open" / "started").chmod(0o666)
    try:
        for _ in range(2):  # in one child, that goes on
            assert attempt("open").batchable
            assert owners() == {54000}
        with pytest.raises(LoadError, match=r"Permission denied.*started"):  # the adapter notes there that it begins
            attempt("closed")
        with pytest.raises(LoadError, match="was killed"):
            attempt("open", "kill")
        assert attempt("open").batchable
        assert owners() == {next(iter(users._taken))} != {54000}
    finally:
        pool.close()
    assert not users._taken


def test_a_description_is_made_without_running_the_model(shared: TrialPool, tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_text("\nrefuse\n")
    trial = shared.try_load("moody", tmp_path, tmp_path, "model.txt", {}, describe=True)
    assert trial.signature is not None
    assert (trial.example_error, [spec.name for spec in trial.signature.inputs]) == ("", ["x"])
    assert shared.try_load("moody", tmp_path, tmp_path, "model.txt", {}).signature is None


@pytest.mark.slow
def test_memory_is_what_the_model_added(shared: TrialPool, attempt: Attempt) -> None:
    shared.close()  # an earlier test's child has grown by that test's frameworks
    assert attempt(shared).memory_bytes < 20e6
    (pid,) = children()
    before = psutil.Process(pid).memory_info().rss
    for _ in range(2):  # the first one is gone when the second is measured
        assert 100e6 <= attempt(shared, ballast=100_000_000).memory_bytes < 150e6
    assert children() == {pid}
    assert psutil.Process(pid).memory_info().rss < before + 50e6


def test_reasons_reach_the_caller(shared: TrialPool, attempt: Attempt, tmp_path: Path) -> None:
    assert reason(attempt, shared, "refuse") == "this file is empty"
    failure = reason(attempt, shared, "fail")
    assert failure.startswith(r"KeyError: 'a\nkey xxx")
    assert len(failure) < 520
    assert reason(attempt, shared, "exit") == "SystemExit: 3"
    assert "FileNotFoundError: absent is not a file" in reason(
        lambda: shared.try_load("moody", tmp_path, tmp_path, "absent", {})
    )
    assert reason(attempt, shared, adapter="mody").endswith("did you mean 'moody'?")


def test_a_refused_example_is_only_a_warning(shared: TrialPool, attempt: Attempt) -> None:
    trial = attempt(shared, "", "refuse")
    assert trial.example_error == "LoadError: this file is empty"
    assert trial.batchable  # as the adapter says


def test_rows_that_depend_on_each_other_are_not_batchable(shared: TrialPool, attempt: Attempt) -> None:
    assert not attempt(shared, "", "mean").batchable
    assert not attempt(shared, adapter="stubborn").batchable
    single = attempt(shared, "", "needs-two")
    assert not single.batchable
    assert single.example_error == "a single row: ValueError: two rows at least"


# --- what a child is --------------------------------------------------------------------------------------------------


def test_the_child_knows_neither_the_server_nor_kserve(
    shared: TrialPool, attempt: Attempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    shared.close()
    attempt(shared, f"report {tmp_path / 'report'}", answer=42)
    pid, modules, environ, options = (tmp_path / "report").read_text().splitlines()
    imported = set(modules.split())
    assert not imported & {"kserve", "fastapi", "sklearn", "xgboost", "lightgbm", "torch", "spacy", "pandas", "yaml"}
    assert {name for name in imported if name.startswith("server.")} == {
        "server.loading",
        "server.loading.trial",
        "server.runtime",
        "server.runtime.ipc",
        "server.runtime.lifeline",
        "server.runtime.memory",
        "server.runtime.receiving",
        "server.runtime.sandbox",
        "server.runtime.sandbox.capabilities",
        "server.workers",
        "server.workers.messages",
        "server.workers.self_test",
    }
    assert "'OMP_NUM_THREADS': '1'" in environ
    assert options == "{'answer': 42}"
    assert int(pid) in children()
    assert os.getsid(int(pid)) == int(pid)
    assert resource.prlimit(int(pid), resource.RLIMIT_CORE) == (0, 0)


def test_a_child_lives_on_between_trials(shared: TrialPool, attempt: Attempt) -> None:
    attempt(shared)
    before = children()
    reason(attempt, shared, "refuse")
    attempt(shared)
    assert children() == before
    assert len(before) == 1


@pytest.mark.slow
def test_a_child_that_knows_the_adapter_is_preferred(pair: TrialPool, attempt: Attempt, tmp_path: Path) -> None:
    pair.warm()
    assert len(children()) == 2
    seen = {"moody": set[str](), "stubborn": set[str]()}
    for adapter in ("moody", "stubborn") * 3:
        attempt(pair, f"report {tmp_path / 'report'}", adapter=adapter)
        seen[adapter].add((tmp_path / "report").read_text().splitlines()[0])
    assert [len(pids) for pids in seen.values()] == [1, 1]


# --- deaths -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("load", "message"),
    [
        (
            "crash",
            "loading it crashed the trial process (SIGSEGV): the file is damaged, or was written by another version of "
            "its framework; last output: loading crash / [Fatal] the file makes no sense",
        ),
        (
            "abort",
            "loading it crashed the trial process (SIGABRT): the file is damaged, or was written by another version of "
            "its framework; last output: loading abort",
        ),
        (
            "kill",
            "loading it, the trial process was killed (SIGKILL), as happens when memory runs out; "
            "last output: loading kill",
        ),
        ("hard-exit", "loading it ended the trial process (exit code 7); last output: loading hard-exit"),
    ],
)
def test_a_death_is_a_reason_and_the_child_is_replaced(
    shared: TrialPool, attempt: Attempt, load: str, message: str
) -> None:
    assert reason(attempt, shared, load) == message
    assert attempt(shared).batchable


@pytest.mark.slow
def test_a_crash_on_the_example_is_a_failure(shared: TrialPool, attempt: Attempt) -> None:
    message = reason(attempt, shared, "", "crash")
    assert message.startswith("predicting its own example crashed the trial process (SIGSEGV)")


@pytest.mark.slow
def test_a_flood_of_output_blocks_nothing(shared: TrialPool, attempt: Attempt) -> None:
    assert attempt(shared, "flood", "flood").batchable
    message = reason(attempt, shared, "flood", "crash")
    assert len(message) < 600
    assert message.endswith("x / [Fatal] the file makes no sense")


@pytest.mark.slow
def test_a_model_is_not_blamed_for_the_damage_of_an_earlier_one(pool: TrialPool, attempt: Attempt) -> None:
    attempt(pool, "damage")
    before = children()
    assert attempt(pool).batchable
    assert not children() & before


@pytest.mark.slow
def test_a_timeout_ends_the_child_even_in_native_code(shared: TrialPool, attempt: Attempt) -> None:
    shared.close()
    pool = TrialPool(size=1, timeout=1)
    # It hangs for ten minutes: longer than any test may take.
    assert reason(attempt, pool, "hang-with-gil") == "loading it took longer than 1 s (--load_timeout)"
    assert children() == set()
    pool.close()


@pytest.mark.slow
def test_a_timeout_on_the_example(pool: TrialPool, attempt: Attempt) -> None:
    attempt(pool)  # a new process would have to start within the five seconds, too
    pool._timeout = 5
    assert reason(attempt, pool, "", "sleep") == "predicting its own example took longer than 5 s (--load_timeout)"


@pytest.mark.slow
def test_an_idle_child_that_was_killed_is_replaced(pool: TrialPool, attempt: Attempt) -> None:
    attempt(pool)
    (pid,) = children()
    os.kill(pid, signal.SIGKILL)
    assert attempt(pool).batchable
    assert pid not in children()


@pytest.mark.slow
def test_a_first_child_killed_in_its_trial(pool: TrialPool, attempt: Attempt, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as thread:
        outcome = thread.submit(reason, attempt, pool, "sleep")
        wait_for(lambda: any(tmp_path.glob("*/started")))
        (pid,) = children()
        os.kill(pid, signal.SIGKILL)
        assert "was killed (SIGKILL), as happens when memory runs out" in outcome.result(30)


@pytest.mark.slow
def test_the_child_dies_with_its_parent_even_in_native_code(tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_text("hang-with-gil")
    script = (
        "import sys, pathlib\nsys.path[:] = sys.argv[2:]\nfrom server.loading.trial.pool import TrialPool\n"
        "TrialPool(1, 600).try_load('moody', *[pathlib.Path(sys.argv[1])] * 2, 'model.txt', {})"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), *sys.path])
    try:
        wait_for((tmp_path / "started").exists)
        (child,) = psutil.Process(parent.pid).children()
    finally:
        parent.kill()
        parent.wait()
    _, alive = psutil.wait_procs([child], timeout=60)
    assert not alive


# --- the pool ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_many_threads_share_two_children_and_nothing_is_left(pair: TrialPool, attempt: Attempt) -> None:
    descriptors = ME.num_fds()
    most = 0

    def one(n: int) -> str:
        nonlocal most
        try:
            trial = attempt(pair, ("pause", "crash", "refuse", "", "hard-exit")[n % 5])
        except LoadError as error:
            return str(error).split()[0]
        finally:
            most = max(most, len(children()))
        return str(trial.batchable)

    with ThreadPoolExecutor(20) as threads:
        outcomes = list(threads.map(one, range(20)))
    pair.close()
    assert outcomes == ["True", "loading", "this", "True", "loading"] * 4
    assert 1 <= most <= 2
    assert children() == set()
    assert ME.num_fds() == descriptors


@pytest.mark.slow
def test_close_stops_trials_and_the_pool_starts_again(pool: TrialPool, attempt: Attempt) -> None:
    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(reason, attempt, pool, "sleep") for _ in range(2)]
        # one is at it, and one waits: who comes after `close` begins a new child
        wait_for(lambda: len(children()) == 1 and len(pool._changed._waiters) == 1)  # type: ignore[attr-defined]
        pool.close()
        assert children() == set()
        assert [future.result(30) for future in running] == ["the trial was stopped: the server is closing"] * 2
    pool.close()
    assert attempt(pool).batchable


@pytest.mark.slow
def test_a_child_outlives_the_thread_that_started_it(pool: TrialPool, attempt: Attempt) -> None:
    thread = threading.Thread(target=attempt, args=(pool,))
    thread.start()
    thread.join()
    before = children()
    attempt(pool)
    assert children() == before


# --- real models ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def boosted() -> str:
    """A LightGBM model's text."""
    lightgbm = pytest.importorskip("lightgbm")
    table = np.random.default_rng(0).normal(size=(300, 4))
    parameters = {"objective": "binary", "num_threads": 1, "verbose": -1, "seed": 1}
    model = lightgbm.train(parameters, lightgbm.Dataset(table, (table[:, 0] > 0).astype(int)), 20)
    text: str = model.model_to_string()
    return text


def outcome(pool: TrialPool, adapter: str, folder: Path, content: str) -> str:
    (folder / "model.txt").write_text(content)
    try:
        return f"batchable: {pool.try_load(adapter, folder, folder, 'model.txt', {}).batchable}"
    except LoadError as error:
        return str(error)


@pytest.mark.slow
def test_a_truncated_lightgbm_file_crashes_the_child_only(pool: TrialPool, boosted: str, tmp_path: Path) -> None:
    cuts = (boosted[: len(boosted) * tenth // 10] for tenth in (1, 4, 7, 2, 3, 5, 6, 8, 9))
    outcomes = (outcome(pool, "bare", tmp_path, cut) for cut in cuts)
    crashed = next(text for text in outcomes if "crashed the trial process (SIG" in text)
    assert "last output: " in crashed
    assert "[LightGBM]" in crashed
    assert "\n" not in crashed
    assert len(crashed) < 600
    assert outcome(pool, "bare", tmp_path, boosted) == "batchable: True"
    assert outcome(pool, "lightgbm", tmp_path, boosted) == "batchable: True"
    assert not outcome(pool, "lightgbm", tmp_path, boosted[: len(boosted) // 2]).startswith("batchable")


@pytest.mark.slow
def test_a_scikit_learn_model(shared: TrialPool, tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(20, random_state=0, n_jobs=1).fit(*load_iris(return_X_y=True))
    joblib.dump(forest, tmp_path / "model.joblib")
    trial = shared.try_load("sklearn", tmp_path, tmp_path, "model.joblib", {})
    assert trial.batchable
    assert not trial.example_error
    size = (tmp_path / "model.joblib").stat().st_size
    (tmp_path / "model.joblib").write_bytes((tmp_path / "model.joblib").read_bytes()[: size // 2])
    with pytest.raises(LoadError):
        shared.try_load("sklearn", tmp_path, tmp_path, "model.joblib", {})


# --- comparing rows ---------------------------------------------------------------------------------------------------


def rows(*values: Any, dtype: Any = None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    array = np.empty(len(values), dtype=object) if dtype is object else np.array(values, dtype=dtype)
    array[:] = values
    return {"y": array}, [{"y": array[n : n + 1].copy()} for n in range(len(values))]


@pytest.mark.parametrize(
    ("values", "dtype", "other", "same"),
    [
        ((1, 2), None, 3, False),
        ((1.0, 2.0), None, 2.0001, True),
        ((1.0, 2.0), None, 2.1, False),
        ((1.0, np.nan), None, np.nan, True),
        ((1e6, 0.0), None, 1.0, True),
        (("a", "b"), None, "c", False),
        ((True, False), None, True, False),
        (({"s": 0.5}, {"s": 0.5, "n": [1, "x"]}), object, {"s": 0.50001, "n": [1, "x"]}, True),
        (({"s": 0.5}, {"s": 0.5, "n": [1, "x"]}), object, {"s": 0.5, "n": [2, "x"]}, False),
        (({"s": 0.5}, {"s": 0.5}), object, {"t": 0.5}, False),
        (("a", None), object, None, True),
        ((1, 1), object, True, False),
    ],
)
def test_rows_are_compared_by_kind(values: Any, dtype: Any, other: Any, same: bool) -> None:
    together, singles = rows(*values, dtype=dtype)
    assert same_rows(together, singles)
    singles[1]["y"][0] = other
    assert same_rows(together, singles) is same


def test_rows_of_another_shape_differ() -> None:
    together, singles = rows(1.0, 2.0)
    assert not same_rows(together, singles[:1])
    assert not same_rows(together, [singles[0], {"z": singles[1]["y"]}])
    assert not same_rows({"y": np.zeros((2, 3))}, [{"y": np.zeros((1, 2))}] * 2)
    assert not same_rows({"y": np.float64(3)[None]}, singles)
