"""The fork server's own part: what it does with what was the process's that it is a fork of."""

from __future__ import annotations

from tests.server.runtime.test_forking import run


def test_what_was_set_up_for_logging_is_left_behind() -> None:
    told = run("""
import logging
logging.basicConfig(filename=os.devnull, level=logging.DEBUG)
logging.getLogger("kserve").addFilter(lambda record: False)
server = ForkServer.start(program, {})
_, end = forked(server)
code = "[len(logging.root.handlers), logging.root.level, len(logging.getLogger('kserve').filters)]"
print(json.dumps(ask(end, code)))""")
    assert told == [0, 30, 0]


def test_what_it_prints_is_heard_though_it_crashes() -> None:
    said = run("""
server = ForkServer.start(program, {})
child, end = forked(server)
end.sendall(b"print('last words', end='') or os.kill(os.getpid(), signal.SIGKILL)")
child.wait(60)
print(json.dumps(child.stdout.read().decode()))""")
    assert said == "last words"


def test_cycles_are_collected_as_in_any_process() -> None:
    assert run("""
import gc
gc.set_threshold(123456, 1, 1)
server = ForkServer.start(program, {})
_, end = forked(server)
print(json.dumps(ask(end, "__import__('gc').get_threshold()")))""") == [700, 10, 10]


def test_its_dump_and_its_files_are_its_own() -> None:
    """As of a process that began so: it may say that it is to die first when memory runs out."""
    score, own = run("""
server = ForkServer.start(program, {})
_, end = forked(server)
score = "int(Path('/proc/self/oom_score_adj').read_text())"
print(json.dumps([ask(end, score), ask(end, "os.getpgid(os.getppid()) == os.getppid()")]))""")
    assert score == 1000
    assert own is True
