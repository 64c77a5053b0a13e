"""Real worker processes: what they answer, how they die, and how they come back."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from adapters.base import InvalidInput, LoadError, Request, Tensors
from server.errors import DeadlineExceeded, ModelFailed, NotReady
from server.workers import worker
from server.workers.channels import ModelTrace
from server.workers.launch import WorkerSpec
from server.workers.worker import Worker, WorkerDied
from server.workers.worker_pool import BackOff, WorkerPool
from tests.patience import wait_for
from tests.server.workers.conftest import Make, gone, workers

X = {"x": np.array([1.0, 2.0, -0.5])}


def call(pool: WorkerPool, do: str = "") -> Tensors:
    return pool.call("predict", X, {"do": do})


def tell(pool: WorkerPool) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(call(pool, "tell")["y"][0])
    return told


def back(pool: WorkerPool, restarts: int = 1) -> None:
    wait_for(lambda: pool.restarts >= restarts and not pool.down, "a new worker")


# --- answers ----------------------------------------------------------------------------------------------------------


def test_a_worker_answers_as_the_model_does(make: Make) -> None:
    pool = make()
    hello = pool.start()
    assert call(pool)["y"].tolist() == [2.0, 4.0, -1.0]
    assert pool.call("explain", X, {})["contributions"].tolist() == [[1.0], [2.0], [-0.5]]
    assert hello.platform == "odd-platform"
    assert hello.batchable
    assert [spec.name for spec in hello.signature.inputs] == ["x"]
    assert hello.signature.parameters[0].kind is str
    assert hello.example.keys() == {"x"}
    assert 10e6 < hello.memory_bytes < 500e6
    assert [10e6 < size < 500e6 for size in pool.memory] == [True]
    assert 0 <= hello.seconds < 20
    assert not pool.down
    assert not pool.degraded


def test_the_models_failures_are_not_the_workers(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    pool = make()
    pool.start()
    pid = tell(pool)["pid"]
    with pytest.raises(InvalidInput, match=r"^x is not to its taste$"):
        call(pool, "refuse")
    with pytest.raises(ModelFailed, match=r"^KeyError: 'a key'$") as failure:
        call(pool, "fail")
    assert isinstance(failure.value.__cause__, ModelTrace)
    assert "in fail" in str(failure.value.__cause__)  # the line that failed, for the log
    with pytest.raises(ModelFailed, match=r"^SilentError$"):
        call(pool, "fail-unspeakably")
    with pytest.raises(ModelFailed, match=r"^SystemExit: 3$"):
        call(pool, "exit")
    with pytest.raises(ModelFailed, match="cannot be passed between processes"):
        call(pool, "strange")
    assert tell(pool)["pid"] == pid
    assert pool.restarts == 0


@pytest.mark.slow
def test_a_refused_load_is_the_reason(make: Make) -> None:
    with pytest.raises(LoadError, match=r"^not today$"):
        make(load="refuse-load").start()
    with pytest.raises(LoadError, match=r"^KeyError: 'a key'$"):
        make(load="fail").start()
    with pytest.raises(LoadError, match=r"^loading it crashed the worker \(SIGSEGV\)"):
        make(load="crash").start()
    with pytest.raises(LoadError, match=r"^loading it ended the worker \(exit code 7\)$"):
        make(load="die").start()
    with pytest.raises(LoadError, match=r"^loading it took longer than 3 s"):
        make(load="hang", load_timeout=3.0).start()
    with pytest.raises(LoadError, match="did you mean 'odd'"):
        make("oddd").start()
    wait_for(lambda: not workers(), "all of them to be gone")


@pytest.mark.slow
def test_one_of_several_that_does_not_load_ends_all(make: Make) -> None:
    with pytest.raises(LoadError, match=r"^not today$"):
        make(load="once", count=2).start()
    wait_for(lambda: not workers())


# --- what a worker is -------------------------------------------------------------------------------------------------


def test_secrets_stay_here(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "ADMIN_TOKEN": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "HF_TOKEN": "c",
        "MY_DB_PASSWORD": "d",
        "DATABASE_URL": "postgres://me:secret@db/x",
    }
    for name, value in {**secrets, "HARMLESS": "yes", "OMP_NUM_THREADS": "8"}.items():
        monkeypatch.setenv(name, value)
    pool = make(pass_env=["HF_TOKEN"])
    pool.start()
    told = tell(pool)
    assert told["env"].keys() & secrets.keys() == {"HF_TOKEN"}
    assert told["env"]["HARMLESS"] == "yes"
    assert told["env"]["OMP_NUM_THREADS"] == "1"
    assert len(told["argv"]) == 1
    assert os.getsid(told["pid"]) == told["pid"]
    assert Path(f"/proc/{told['pid']}/oom_score_adj").read_text().strip() == "1000"
    assert b"polyserve_worker=odd-one" in Path(f"/proc/{told['pid']}/cmdline").read_bytes()


@pytest.mark.slow
def test_our_names_are_the_models(make: Make, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "adapters.py").write_text("WHO = 'the model'")
    (tmp_path / "own" / "server").mkdir()
    (tmp_path / "own" / "server" / "__init__.py").write_text("WHO = 'the model'")
    (tmp_path / "own" / "server" / "deep.py").write_text("WHO = 'the model'")
    pool = make("own")
    pool.start()
    assert call(pool)["y"].tolist() == [2.0, 4.0, -1.0]
    with pytest.raises(ModelFailed, match="KeyError"):
        call(pool, "fail")


def test_output_is_logged_under_the_models_name(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kserve")
    pool = make(load="speak")
    pool.start()
    call(pool, "flood")
    wait_for(lambda: any("line 900" in line for line in caplog.messages))
    assert "model odd-one | hello from the model" in caplog.messages
    assert "model odd-one | and from its native code" in caplog.messages
    assert call(pool)["y"][0] == 2.0
    pool.close()
    wait_for(lambda: any("lines were left out" in line for line in caplog.messages))
    assert sum("| line" in line for line in caplog.messages) < 3000


@pytest.mark.slow
def test_standard_input_is_empty(make: Make) -> None:
    pool = make()
    pool.start()
    assert call(pool, "read-stdin")["y"][0] == 2.0


# --- deaths -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("do", "reason"),
    [
        ("crash", "the worker crashed (SIGSEGV)"),
        ("die", "the worker ended (exit code 7)"),
        ("fork-and-die", "the worker ended (exit code 9)"),
        ("hang-up", "the worker hung up"),
        ("babble", "the worker sent what is no message"),
    ],
)
def test_a_death_fails_its_call_at_once_and_the_worker_comes_back(make: Make, do: str, reason: str) -> None:
    pool = make()
    pool.start()
    before = tell(pool)["pid"]
    with pytest.raises(WorkerDied) as died:
        call(pool, do)
    assert str(died.value).startswith(f"model 'odd-one' is not ready: {reason}")
    back(pool)
    assert call(pool)["y"].tolist() == [2.0, 4.0, -1.0]
    assert tell(pool)["pid"] != before
    assert pool.restarts == 1
    wait_for(lambda: gone(before))
    wait_for(lambda: len(workers()) == 1, "the end of what it had started")


@pytest.mark.slow
def test_what_it_printed_as_it_loaded_has_nothing_to_do_with_its_death(make: Make) -> None:
    pool = make(load="speak")
    pool.start()
    with pytest.raises(WorkerDied, match=r"is not ready: the worker ended \(exit code 7\)$"):
        call(pool, "die")


@pytest.mark.slow
def test_meanwhile_callers_are_told_at_once(make: Make, tmp_path: Path) -> None:
    pool = make()
    pool.start()
    (tmp_path / "odd" / "model.txt").write_text("gate")  # the next worker comes when the test is ready for it
    os.kill(tell(pool)["pid"], signal.SIGKILL)
    wait_for(lambda: pool.down)
    with pytest.raises(NotReady, match=r"was killed \(SIGKILL\).*it is (being )?restarted") as told:
        call(pool)
    assert told.value.retry_after == 1
    (tmp_path / "odd" / "open").touch()
    back(pool)


@pytest.mark.parametrize("do", ["hang", "hang-with-gil"])
@pytest.mark.slow
def test_a_call_that_hangs_ends_the_worker(make: Make, do: str) -> None:
    pool = make(call_timeout=5.0)
    pool.start()
    before = tell(pool)["pid"]
    with pytest.raises(DeadlineExceeded, match=r"longer than 5 s \(call_timeout\)"):
        call(pool, do)
    back(pool)
    assert gone(before)
    assert call(pool)["y"][0] == 2.0


@pytest.mark.slow
def test_too_much_memory_ends_the_worker(make: Make) -> None:
    pool = make(memory_limit=300 * 2**20)
    pool.start()
    with pytest.raises(WorkerDied, match=r"the worker used \d+ MiB; its memory_limit is 300 MiB"):
        call(pool, "eat")
    back(pool)
    assert call(pool)["y"][0] == 2.0


@pytest.mark.slow
def test_too_much_memory_while_loading(make: Make) -> None:
    with pytest.raises(LoadError, match="its memory_limit is 200 MiB"):
        make(load="eat", memory_limit=200 * 2**20).start()


@pytest.mark.slow
def test_files_that_do_not_load_again_are_tried_again(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pool = make(load="once")
    pool.start()
    with pytest.raises(WorkerDied):
        call(pool, "die")
    wait_for(lambda: "model odd-one: not today; it is restarted in 1 s" in caplog.messages)
    (tmp_path / "odd" / "model.txt").write_text("")
    back(pool, restarts=2)
    assert call(pool)["y"][0] == 2.0


@pytest.mark.slow
def test_files_that_nobody_has_checked_are_not_loaded_again(make: Make) -> None:
    problems = ["the files were changed after they were checked"]

    def guard() -> None:
        if len(problems) > 1:
            raise LoadError(problems[0])

    pool = make(guard=guard)
    pool.start()
    problems.append("now")
    pool._serving[0].kill(WorkerDied("for the test"))
    wait_for(lambda: problems[0] in pool.down, "the refusal")
    assert not workers()
    problems.pop()
    wait_for(lambda: not pool.down, "a new worker")


def test_other_files_are_not_served_under_the_old_signature(make: Make, tmp_path: Path) -> None:
    pool = make()
    pool.start()
    (tmp_path / "odd" / "model.txt").write_text("rename z")
    with pytest.raises(WorkerDied):
        call(pool, "die")
    wait_for(lambda: "its files have changed: load it again" in pool.down)


def test_the_pauses_grow_and_begin_again() -> None:
    back_off = BackOff()
    assert [back_off.pause(0.1) for _ in range(9)] == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert [back_off.pause(served) for served in (59, 61, 1, 1)] == [60, 0, 1, 2]


# --- several, and the end ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_several_workers_work_at_the_same_time(make: Make, tmp_path: Path) -> None:
    pool = make(count=2)
    pool.start()
    with ThreadPoolExecutor(4) as threads:  # none is answered before both workers are at one
        answers = list(threads.map(lambda _: call(pool, "meet")["y"][0], range(4)))
    assert answers == [2.0] * 4
    (tmp_path / "odd" / "model.txt").write_text("gate")  # the next worker comes when the test is ready for it
    with pytest.raises(WorkerDied):
        call(pool, "die")
    assert not pool.down  # the other one serves on
    wait_for(lambda: pool.degraded)
    assert pool.degraded.startswith("1 of 2 workers: the worker ended (exit code 7)")
    assert call(pool)["y"][0] == 2.0
    (tmp_path / "odd" / "open").touch()
    wait_for(lambda: not pool.degraded)


@pytest.mark.slow
def test_calls_from_many_threads_get_their_own_answers(make: Make) -> None:
    pool = make(count=2)
    pool.start()

    def one(number: int) -> bool:
        x = np.full(1 + number % 7 * 20_000, float(number))
        return bool((pool.call("predict", {"x": x}, {})["y"] == 2.0 * number).all())

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(one, range(200)))


@pytest.mark.slow
def test_closing_is_quick_and_ends_what_is_idle(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_CLOSING", 100.0)  # after that they are killed
    leave, may_leave = WorkerPool._leave, threading.Event()

    def held(pool: WorkerPool, process: Worker, reason: str) -> None:
        may_leave.wait(100)
        leave(pool, process, reason)

    monkeypatch.setattr(WorkerPool, "_leave", held)
    pool = make(count=2)
    pool.start()
    halted = workers()
    for pid in halted:  # whoever waited for them, or for the threads that look after them, would wait long
        os.kill(pid, signal.SIGSTOP)
    pool.close()
    assert workers() == halted
    may_leave.set()
    for pid in halted:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: not workers())
    with pytest.raises(NotReady, match="being unloaded"):
        call(pool)
    wait_for(lambda: not any(thread.name.startswith("odd-one") for thread in threading.enumerate()))


@pytest.mark.slow
def test_the_end_is_that_of_the_processes(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_CLOSING", 100.0)
    pool = make()
    pool.start()
    (halted,) = workers()
    os.kill(halted, signal.SIGSTOP)  # so that it cannot let go of the model
    pool.close()
    assert not pool.wait_ended(0.5)
    os.kill(halted, signal.SIGCONT)
    assert pool.wait_ended(60)
    assert gone(halted)


@pytest.mark.slow
def test_who_was_told_of_a_death_is_not_sent_to_the_dead(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    leave, may_leave = WorkerPool._leave, threading.Event()

    def held(pool: WorkerPool, process: Worker, reason: str) -> None:
        may_leave.wait(60)
        leave(pool, process, reason)

    monkeypatch.setattr(WorkerPool, "_leave", held)
    pool = make()
    pool.start()
    with ThreadPoolExecutor(1) as thread:
        dying = thread.submit(call, pool, "die")
        wait_for(lambda: not workers())
        assert not dying.done()
        may_leave.set()
        with pytest.raises(WorkerDied, match=r"exit code 7"):
            dying.result(60)


def test_a_closed_pool_refuses_calls_while_its_workers_still_live(make: Make) -> None:
    pool = make()
    pool.start()
    pool._closed.set()
    assert workers()
    with pytest.raises(NotReady, match="being unloaded"):
        pool.check()
    with pytest.raises(NotReady, match="being unloaded"):
        call(pool)
    assert not pool.begin({"x": np.zeros(1)}, {}, lambda _: None)
    with pytest.raises(NotReady, match="being unloaded"):
        asyncio.run(pool.answer(Request("predict", "v1", b"", {})))


@pytest.mark.slow
def test_closing_while_it_loads(make: Make) -> None:
    pool = make(load="hang")
    with ThreadPoolExecutor(1) as thread:
        starting = thread.submit(pool.start)
        wait_for(workers)
        pool.close()
        with pytest.raises(LoadError, match=r"closing|stopped"):
            starting.result(60)


@pytest.mark.slow
def test_closing_while_its_process_starts(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a process already, and the pool has not heard of it."""
    pool = make(load="hang")

    def closed_meanwhile(spec: WorkerSpec) -> Worker:
        process = Worker(spec)
        pool.close()
        return process

    monkeypatch.setattr("server.workers.worker_pool.Worker", closed_meanwhile)
    with pytest.raises(LoadError, match="closing"):
        pool.start()
    wait_for(lambda: not workers(), "the worker's end")


@pytest.mark.parametrize("do", ["", "hang-with-gil"])
@pytest.mark.slow
def test_a_worker_dies_with_the_server(make: Make, tmp_path: Path, do: str) -> None:
    """`kill -9` of the server, while the worker is idle and while it is in native code."""
    make()  # the folder
    script = f"""
import sys, threading, time
sys.path[:] = sys.argv[2:]
from pathlib import Path
import numpy as np
from adapters.base import ModelDir
from server.workers.messages import WorkerModel
from server.workers.launch import WorkerSpec
from server.workers.channels import ModelTrace
from server.workers.worker_pool import WorkerPool
pool = WorkerPool(WorkerSpec("odd-one", WorkerModel("odd", ModelDir.of(sys.argv[1]), "model.txt", {{}})))
pool.start()
print("started", flush=True)
pool.call("predict", {{"x": np.ones(1)}}, {{"do": {do!r}}})
time.sleep(1000)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "odd"), *sys.path]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        (child,) = psutil.Process(parent.pid).children()
        time.sleep(0.2)
        parent.kill()
    _, alive = psutil.wait_procs([child], timeout=30)
    assert not alive


@pytest.mark.slow
def test_the_watch_is_told(make: Make) -> None:
    pool = make()
    told: list[int] = []
    pool.when_restarted(lambda: told.append(1))
    pool.start()
    with pytest.raises(WorkerDied):
        call(pool, "die")
    back(pool)
    assert told == [1]
