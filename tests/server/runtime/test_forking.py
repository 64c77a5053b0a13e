"""Forked children: what they have, what they have not, and how their end is told."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]

_BEGIN = """
import json, os, select, signal, socket, subprocess, sys, threading, time
from pathlib import Path
from server.runtime.forking import ForkServer, threads
from server.runtime.lifeline import tie_to_parent
os.environ["ONLY_HERE"] = "yes"
import decimal  # stands for a framework

def program(descriptor):
    with socket.socket(fileno=descriptor) as end:
        while code := end.recv(65536):
            end.sendall((json.dumps(eval(code)) + "\\n").encode())

def open_files():
    names = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd") if int(name) > 2]
    return [os.readlink(name) for name in names if os.path.lexists(name)]

def forked(server):
    ours, theirs = socket.socketpair()
    with theirs:
        child = server.fork(theirs.fileno())
    return child, ours

def ask(end, code):
    end.sendall(code.encode())
    return json.loads(end.makefile().readline())
"""


def run(code: str) -> Any:
    """What the last line that it prints says, of a process that has begun just now."""
    done = subprocess.run(
        [sys.executable, "-c", _BEGIN + code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_fork_has_the_modules_and_neither_environment_nor_files() -> None:
    told = run("""
kept = open("/etc/hostname")
inheritable = os.dup(kept.fileno()); os.set_inheritable(inheritable, True)
signal.signal(signal.SIGTERM, lambda *_: None)
server = ForkServer.start(program, {"TOLD": "this"})
child, end = forked(server)
print(json.dumps([ask(end, "[n for n in ('decimal', 'json') if n in __import__('sys').modules]"),
    ask(end, "dict(__import__('os').environ)"),
    ask(end, "open_files()"),
    ask(end, "[os.getsid(0), os.getpgid(0), threads(), str(signal.getsignal(signal.SIGTERM))]"),
    child.pid]))""")
    modules, environ, files, state, pid = told
    assert modules == ["decimal", "json"]
    assert environ == {"TOLD": "this"}
    assert [name.partition(":")[0] for name in files] == ["socket"]
    assert state == [pid, pid, 1, str(signal.Handlers.SIG_DFL)]


def test_no_fork_where_there_are_threads() -> None:
    assert run("""
stop = threading.Event()
thread = threading.Thread(target=stop.wait); thread.start()
print(json.dumps(ForkServer.start(program, {}) is None)); stop.set()""")


def test_threads_of_native_code_count() -> None:
    """Python does not know of them. Which library starts some as it is imported depends on the processors."""
    assert run("""
import ctypes
before = threads()
libc = ctypes.CDLL(None)
begun = libc.pthread_create(ctypes.byref(ctypes.c_ulong()), None, ctypes.cast(libc.pause, ctypes.c_void_p), None)
print(json.dumps([before, begun, threads(), ForkServer.start(program, {}) is None]))""") == [1, 0, 2, True]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("os._exit(3)", 3),
        ("sys.exit(4)", 4),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.abort()", -signal.SIGABRT),
        ("1 / 0", 1),
    ],
    ids=["exit", "SystemExit", "killed", "aborted", "raised"],
)
def test_the_end_of_one_is_told_and_does_not_reach_another(code: str, status: int) -> None:
    told = run(f"""
server = ForkServer.start(program, {{}})
first, end = forked(server)
second, other = forked(server)
end.sendall({code!r}.encode())
number = first.wait(60)
third, another = forked(server)
print(json.dumps([number, second.has_ended(), ask(other, "6 * 7"), ask(another, "6 * 7")]))""")
    assert told == [status, False, 42, 42]


def test_its_number_is_its_own_until_it_was_waited_for() -> None:
    assert run("""
server = ForkServer.start(program, {})
child, end = forked(server)
end.sendall(b"os._exit(0)")
while not child.has_ended(): time.sleep(0.01)
held = Path(f"/proc/{child.pid}").exists()
child.wait(60)
while Path(f"/proc/{child.pid}").exists(): time.sleep(0.01)
print(json.dumps([held, child.returncode]))""") == [True, 0]


def test_whatever_it_started_ends_with_it() -> None:
    assert run("""
server = ForkServer.start(program, {"PATH": os.environ["PATH"]})
child, end = forked(server)
pid = ask(end, "subprocess.Popen(['sleep', '600']).pid")
os.kill(child.pid, signal.SIGKILL)
child.wait(60)
def lives(pid):
    try: return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError: return False
while lives(pid): time.sleep(0.01)
print(json.dumps(True))""")


def test_a_wait_has_an_end() -> None:
    assert (
        run("""
server = ForkServer.start(program, {})
child, end = forked(server)
try:
    child.wait(0.05)
except subprocess.TimeoutExpired:
    print(json.dumps(child.returncode))""")
        is None
    )


def test_without_the_server_children_are_ended_and_no_more_come() -> None:
    assert (
        run("""
server = ForkServer.start(program, {})
child, end = forked(server)
server.close()
try:
    forked(server)
except OSError:
    child.wait(60)
    print(json.dumps(child.returncode))""")
        == -signal.SIGKILL
    )


def test_all_of_them_end_with_the_process_that_was_forked(tmp_path: Path) -> None:
    told = run("""
parent, read = os.getpid(), os.pipe()
if os.fork() == 0:
    def tied(descriptor):
        tie_to_parent()
        program(descriptor)
    server = ForkServer.start(tied, {})
    child, end = forked(server)
    ask(end, "1")
    os.write(read[1], json.dumps([server._pid, child.pid]).encode())
    os.kill(os.getpid(), signal.SIGKILL)
pids = json.loads(os.read(read[0], 1000))
def lives(pid):
    try: return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError: return False
while any(map(lives, pids)): time.sleep(0.01)
print(json.dumps(True))""")
    assert told is True


def test_what_is_done_ahead_is_found_done_by_every_child() -> None:
    told = run("""
def step():
    os.environ["DONE"] = os.environ.get("DONE", "") + "once"
server = ForkServer.start(program, {}, [step, step])
kept = [server.survived_step(), server.survived_step()]
first, end = forked(server)
second, other = forked(server)
print(json.dumps([ask(end, "os.environ['DONE']"), ask(other, "os.environ['DONE']"), "DONE" in os.environ, kept]))""")
    assert told == ["onceonce", "onceonce", False, [True, True]]


@pytest.mark.parametrize(
    "step",
    [
        "os._exit(0)",
        "os.abort()",
        "os.kill(os.getpid(), signal.SIGSEGV)",
        "sys.exit()",
        "threading.Thread(target=threading.Event().wait, daemon=True).start()",
    ],
)
def test_what_ends_it_or_leaves_a_thread_ends_nobody_else(step: str) -> None:
    told = run(f"""
refused = 0
server = ForkServer.start(program, {{}}, [lambda: None, lambda: {step}])
kept = [server.survived_step(), server.survived_step(), server.survived_step()]
for _ in range(2):
    try:
        forked(server)
    except OSError:
        refused += 1
server.close()
print(json.dumps([kept, refused]))""")
    assert told == [[True, False, False], 2]
