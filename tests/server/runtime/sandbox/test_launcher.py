"""What a confined process can do, tried by processes that are: on this kernel, and as on ones that have less."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from server.runtime.sandbox.kernel import Kernel
from server.runtime.sandbox.launcher import FAILED, Policy
from server.runtime.sandbox.sandbox import Sandbox
from tests.server.runtime.sandbox.probing import DENIED, tried

pytestmark = pytest.mark.skipif(Kernel().landlock < 6 or Kernel().machine is None, reason="this kernel has less")

HERE = os.getpid()
#: with Landlock of before it knew of signals (6.12)
OLDER = Kernel(ask_landlock=lambda: 5)

REACHING_OUT = {
    "read a secret": "open('/etc/shadow').read()",
    "list the root's home": "os.listdir('/root')",
    "list temporary files": "os.listdir('/tmp')",
    "the parent's environment": f"open('/proc/{HERE}/environ').read()",
    "the parent's memory": f"open('/proc/{HERE}/mem', 'rb')",
    "the parent's command line": f"open('/proc/{HERE}/cmdline').read()",
    "out by the process's own root": "open('/proc/self/root/etc/shadow').read()",
    "signal the parent": f"os.kill({HERE}, signal.SIGCONT)",
    "signal by a descriptor": f"signal.pidfd_send_signal(os.pidfd_open({HERE}), signal.SIGCONT)",
    "trace the parent": f"called('ptrace', 16, {HERE}, 0, 0)",
    "the parent's limits": f"__import__('resource').prlimit({HERE}, 7, (10, 10))",
    "the parent's priority": f"os.setpriority(os.PRIO_PROCESS, {HERE}, 5)",
    "everybody's priority": "os.setpriority(os.PRIO_USER, 0, 5)",
    "the parent's scheduler": f"os.sched_setscheduler({HERE}, os.SCHED_IDLE, os.sched_param(0))",
    "a new user namespace": "called('unshare', 0x10000000)",
    "mount": "called('mount', b'none', b'/tmp', b'tmpfs', 0, 0)",
    "change the root": "os.chroot('/usr')",
    "owners": "os.chown('/usr', 0, 0)",
    "a TCP socket": "socket.socket()",
    "a UDP socket": "socket.socket(type=socket.SOCK_DGRAM)",
    "a Unix socket": "socket.socket(socket.AF_UNIX)",
    "a netlink socket": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "a pair that reaches others": "socket.socketpair(type=socket.SOCK_DGRAM)",
    "host name": "socket.sethostname('x')",
}
STAYING_IN = {
    "its own files": "[open(os.environ['TMPDIR'] + '/a', 'w').write('text'), os.remove(os.environ['TMPDIR'] + '/a')]",
    "its own status": "open('/proc/self/status').read(4)",
    "the machine's memory": "open('/proc/meminfo').read(8)",
    "itself": "os.kill(os.getpid(), 0)",
    "a child": "__import__('subprocess').run(['/bin/echo', 'text'], capture_output=True, text=True).stdout",
    "a session": "__import__('subprocess').run(['/bin/true'], start_new_session=True).returncode",
    "a pair": "socket.socketpair()",
    "a loop": "__import__('asyncio').run(__import__('asyncio').sleep(0))",
    "threads": "__import__('concurrent.futures').futures.ThreadPoolExecutor(2).submit(int).result()",
    "random numbers": "len(os.urandom(4))",
    "a copy": "len(__import__('shutil').copy(os.__file__, os.environ['TMPDIR']))",
    "nothing": "open('/dev/null', 'w').write('text')",
}


@pytest.mark.parametrize("kernel", [Kernel(), OLDER], ids=["this", "older"])
def test_nothing_reaches_out(kernel: Kernel) -> None:
    found = tried(Sandbox(confines=True, kernel=kernel), REACHING_OUT)
    assert {name: ended for name, ended in found.items() if ended not in DENIED} == {}


@pytest.mark.parametrize("kernel", [Kernel(), OLDER], ids=["this", "older"])
def test_what_libraries_do_works(kernel: Kernel) -> None:
    found = tried(Sandbox(confines=True, kernel=kernel), STAYING_IN)
    assert {name: ended for name, ended in found.items() if "Error" in str(ended)} == {}
    assert found["its own files"][0] == 4
    assert found["a child"] == "text\n"


def test_a_signal_of_a_descriptor_goes_to_nobody_else() -> None:
    """The kernel would send SIGIO, or any other, to whoever is named as a descriptor's owner."""
    owner = f"[__import__('fcntl').fcntl(p[0], 8, {HERE}) for p in [os.pipe()]]"
    number = "[__import__('fcntl').fcntl(p[0], 10, 9) for p in [os.pipe()]]"
    ours = "[__import__('fcntl').fcntl(p[0], 8, -os.getpid()) for p in [os.pipe()]]"
    attempts = {"owner": owner, "number": number, "group": ours}
    found = tried(Sandbox(confines=True, kernel=OLDER), attempts)
    assert found["owner"] == found["number"] == "PermissionError 1"
    assert found["group"] != "PermissionError 1"


def test_a_child_that_is_its_own_can_be_ended() -> None:
    code = "[c.kill() or c.wait() for c in [__import__('subprocess').Popen(['/bin/sleep', '600'])]]"
    assert tried(Sandbox(confines=True), {"child": code})["child"] == [-9]


def test_only_what_is_named_can_be_read_and_nothing_of_it_written(tmp_path: Path) -> None:
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    attempts = {
        "own": f"open('{tmp_path}/own/file').read()",
        "other": f"open('{tmp_path}/other/file').read()",
        "write own": f"open('{tmp_path}/own/file', 'w')",
        "truncate": f"os.truncate('{tmp_path}/own/file', 0)",
        "new": f"open('{tmp_path}/own/new', 'w')",
        "remove": f"os.remove('{tmp_path}/own/file')",
        "write other": f"open('{tmp_path}/other/file', 'a')",
        "link": f"os.link('{tmp_path}/own/file', '{tmp_path}/other/link')",
        "rename": f"os.rename('{tmp_path}/own', '{tmp_path}/new')",
        "mode": f"os.chmod('{tmp_path}/other/file', 0)",
    }
    found = tried(Sandbox(confines=True), attempts, (tmp_path / "own",))
    assert found.pop("own") == "own"
    assert found.pop("mode") is None, "pretended"
    assert {name: ended for name, ended in found.items() if ended not in DENIED} == {}
    assert (tmp_path / "other" / "file").stat().st_mode & 0o777
    assert (tmp_path / "own" / "file").read_text() == "own"


def test_with_a_network_it_connects_and_never_listens() -> None:
    attempts = {
        "socket": "socket.socket()",
        "listen": "socket.socket().listen()",
        "bind": "socket.socket().bind(('127.0.0.1', 0))",
        "raw": "socket.socket(type=socket.SOCK_RAW, proto=1)",
        "unix": "socket.socket(socket.AF_UNIX)",
    }
    found = tried(Sandbox(confines=True, network=True), attempts)
    assert found.pop("socket") == "done"
    assert {name: ended for name, ended in found.items() if ended not in DENIED} == {}


def test_root_keeps_no_capability_but_to_read_what_it_is_left() -> None:
    attempts = {"effective": "[l.split()[1] for l in open('/proc/self/status') if l.startswith('CapEff')][0]"}
    assert int(tried(Sandbox(confines=True), attempts)["effective"], 16) & ~0b110 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_user_of_its_own() -> None:
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python is None:
        pytest.skip("there is no interpreter that all users may run")
    code = "import os; print(os.getresuid(), os.getresgid(), os.getgroups())"
    policy = Policy(user=54321)
    ended = _launched(policy, [python, "-c", code])
    assert ended.stdout == "(54321, 54321, 54321) (54321, 54321, 54321) []\n", ended.stderr


def test_what_cannot_be_confined_does_not_run() -> None:
    ended = _launched(Policy(landlock=6), ["/no/such/program"])
    assert ended.returncode == FAILED
    assert ended.stderr.startswith("the process cannot be confined: ")


def test_a_policy_is_written_and_read(tmp_path: Path) -> None:
    policy = Policy(("/a", "/b\udcff"), ("/c",), ("/d",), True, 7, "x86_64", 50000)
    policy.write(tmp_path / "policy.json")
    assert Policy.read(str(tmp_path / "policy.json")) == policy


def _launched(policy: Policy, command: list[str]) -> subprocess.CompletedProcess[str]:
    from server.runtime.sandbox.sandbox import Confinement

    confinement = Confinement(policy)
    try:
        return subprocess.run(confinement.command(command), capture_output=True, text=True, check=False, cwd="/")
    finally:
        confinement.close()


def test_the_launcher_needs_nothing_but_the_standard_library() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import server.runtime.sandbox.launcher; print(*sys.modules)"
    root = str(Path(__file__).parents[4])
    command = [sys.executable, "-I", "-S", "-c", code, root]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert {"numpy", "msgpack", "kserve"} & set(loaded) == set()
