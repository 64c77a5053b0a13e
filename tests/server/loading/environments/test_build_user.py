"""Builds of a server that is root: by uv and by pip, of packages whose own code does what it can."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.base import LoadError
from server.loading.environments import Environments, install
from server.loading.environments.build_sandbox import confine_build
from server.loading.environments.build_user import check_readable, end_all, hand_over, take_back, why_not
from server.loading.environments.pip_settings import PipSettings
from server.loading.environments.requirements import Requirements
from server.runtime.sandbox.kernel import Kernel
from server.runtime.sandbox.sandbox import Sandbox
from server.runtime.sandbox.users import UserRange, closed_way
from tests.server.loading.environments.test_build_sandbox import BACKEND, pack

USERS = UserRange(57000, 57099)
only_root = pytest.mark.skipif(os.geteuid() != 0 or bool(USERS.problem()), reason="only root can be another user")
reaches = pytest.mark.skipif(
    bool(closed_way((sys.executable, __file__))), reason="another user has to reach the interpreter"
)

#: what a package's build does beside building: it looks round, writes where it should not, and leaves a process behind
_LOOKS = """
import subprocess, sys

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    secret, outside, inside, server = json.load(open("targets.json"))
    packages = inside + "/lib/python%d.%d/site-packages" % sys.version_info[:2]
    found = {
        "read": told(lambda: open(secret)),
        "write": told(lambda: open(outside, "w")),
        "environ": told(lambda: open(f"/proc/{server}/environ").read()),
        "signal": told(lambda: os.kill(int(server), 0)),
        "interpreter": told(lambda: os.replace(inside + "/lib", inside + "/bin/python")),
        "packages": told(lambda: os.rename(packages, packages + "2")),
        "paths": told(lambda: os.remove(packages + "/polyserve-shared.pth")),
        "shared": told(lambda: os.symlink("/etc", inside + "/shared/0")),
        "record": told(lambda: open(inside + "/polyserve.draft", "w")),
        "beside": told(lambda: os.mkdir(inside + "/../other")),
        "own": told(lambda: open(packages + "/left.py", "w").close()),
        "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(),
    }
    os.chmod(packages + "/left.py", 0o6777)
    left = subprocess.Popen(["sleep", "600"], start_new_session=True, stdin=-3, stdout=-3, stderr=-3)
    found["left"] = left.pid
    return build(found, wheel_directory)

def build(found, wheel_directory):
"""


def hostile() -> str:
    """A build backend that tells, in the package, what it could do."""
    head, _, tail = BACKEND.partition("def build_wheel")
    return head + _LOOKS.lstrip("\n") + tail[tail.index('    name = "hostile') :]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users may enter; pytest's own may not be."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@only_root
@reaches
@pytest.mark.slow
@pytest.mark.parametrize("confines", [False, True], ids=["plain", "sandbox"])
@pytest.mark.parametrize("with_uv", [True, False], ids=["uv", "pip"])
def test_a_build_has_a_user_of_its_own(
    place: Path, monkeypatch: pytest.MonkeyPatch, with_uv: bool, confines: bool
) -> None:
    if confines and (Kernel().landlock < 6 or Kernel().machine is None):
        pytest.skip("this kernel has less")
    if not with_uv:
        monkeypatch.setattr(install, "_find_uv", lambda: None)
    secret, wheelhouse = place / "secret", place / "wheelhouse"
    secret.write_text("secret")
    secret.chmod(0o600)
    wheelhouse.mkdir(mode=0o755)
    monkeypatch.setattr(Environments, "_hash", lambda *_: "target")  # which the package is to know beforehand
    targets = [secret, place / "dropped", place / "environments" / "target", os.getpid()]
    pack(wheelhouse, [str(target) for target in targets], hostile())
    environments = Environments(place / "environments", wheelhouse, sandbox=Sandbox(confines, users=USERS))
    python = environments.python("m", "hostile==1.0")
    command = [str(python), "-c", "import hostile, json; print(json.dumps(hostile.found))"]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert USERS.first <= found.pop("uid") == found.pop("gid") <= USERS.last
    assert found.pop("groups") == []
    assert _has_ended(found.pop("left"))
    assert found.pop("own") == "yes"
    assert "yes" not in found.values(), found
    assert not USERS._taken, "given back"
    target = python.parent.parent
    entries = [path for path in target.rglob("*") if not path.is_symlink()]
    assert {path.stat().st_uid for path in entries} == {0}
    assert not [path for path in entries if path.stat().st_mode & 0o6022], "nobody else's to write"
    assert subprocess.run([python.parent / "hostile-tool"], capture_output=True, check=True).stdout == b"tool\n"
    assert not [path for path in target.iterdir() if "cache" in path.name]


def _has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def environment(place: Path) -> Path:
    """As one is before an installer begins."""
    target = place / "environment"
    for name in ("bin", "shared", "lib/site-packages/six-1.0.dist-info"):
        (target / name).mkdir(parents=True)
    (target / "lib/site-packages/six-1.0.dist-info/METADATA").touch()
    (target / "bin/python").symlink_to(sys.executable)
    return target


def as_user(user: int, code: str) -> None:
    """By a fork, as the interpreter may be where others cannot reach it."""
    if (pid := os.fork()) == 0:
        status = 1
        try:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            exec(code, {"os": os})
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


@only_root
def test_it_may_add_and_replace_what_packages_are(environment: Path) -> None:
    hand_over(environment, 57001, ("shared",))
    packages = environment / "lib/site-packages"
    as_user(
        57001,
        f"""
os.chdir({str(packages)!r})
os.remove("six-1.0.dist-info/METADATA"); os.rmdir("six-1.0.dist-info")
open("six.py", "w").close(); os.mkdir({str(environment / "etc")!r})
os.chdir({str(environment)!r})
for harm in (lambda: open("shared/x", "w"), lambda: os.rmdir("shared"), lambda: os.remove("bin/python")):
    try: harm()
    except PermissionError: continue
    raise AssertionError("it could")
""",
    )
    take_back(environment, 57001)
    assert {path.lstat().st_uid for path in environment.rglob("*")} == {0}
    assert (packages / "six.py").exists()
    assert (environment.stat().st_mode & 0o7777, packages.stat().st_mode & 0o7777) == (0o755, 0o755)


@only_root
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("os.symlink('/etc/passwd', 'link')", "left link, a link that leads out of the environment"),
        ("os.symlink('/etc', 'link')", "left link, a link that leads out of the environment"),
        ("os.mkfifo('pipe')", "left pipe, which is neither a file nor a folder"),
        ("os.makedirs('/'.join('d' * 120))", "left folders more than 100 deep"),
    ],
)
def test_what_would_lead_root_astray_is_refused(environment: Path, code: str, reason: str) -> None:
    hand_over(environment, 57001)
    as_user(57001, f"os.chdir({str(environment)!r}); {code}")
    with pytest.raises(LoadError, match=reason):
        take_back(environment, 57001)


@only_root
def test_links_within_and_files_of_others_stay_as_they_are(environment: Path, place: Path) -> None:
    other = place / "other"
    other.write_text("x")
    os.chown(other, 57002, 57002)
    (environment / "hard").hardlink_to(other)
    hand_over(environment, 57001)
    as_user(57001, f"os.chdir({str(environment)!r}); os.symlink('bin', 'programs'); open('own', 'w').close()")
    take_back(environment, 57001)
    assert other.stat().st_uid == 57002
    assert ((environment / "own").stat().st_uid, (environment / "programs").lstat().st_uid) == (0, 0)


@only_root
@reaches
def test_nothing_of_it_runs_on(place: Path) -> None:
    command = [sys.executable, "-c", "print(flush=True); import time; time.sleep(600)"]
    with subprocess.Popen(command, user=57001, group=57001, stdout=subprocess.PIPE, start_new_session=True) as left:
        assert left.stdout is not None
        left.stdout.readline()
        end_all(57001)
        assert left.wait() == -signal.SIGKILL


def test_why_the_installer_is_root(place: Path) -> None:
    status = place / "status"
    status.write_text("CapEff:\t00000000000000f0\n")
    assert "no capability CHOWN" in why_not([], [], status)
    status.write_text("CapEff:\t00000000000000fb\n")
    (place / "wheels").mkdir(mode=0o755)
    assert why_not([place], [place / "wheels", place / "absent"], status) == ""
    (place / "wheels" / "a.whl").touch(mode=0o600)
    assert why_not([place], [place / "wheels"], status) == f"other users may not read {place / 'wheels' / 'a.whl'}"
    (place / "wheels").chmod(0o700)
    assert why_not([place / "wheels"], [], status) == f"other users may not read {place / 'wheels'}"


def test_a_folder_cannot_choose_the_servers_user(place: Path) -> None:
    mount, wheel = place / "mount", place / "mount" / "model" / "a.whl"
    wheel.parent.mkdir(parents=True, mode=0o755)
    wheel.touch(mode=0o644)
    check_readable(mount, [wheel])
    wheel.chmod(0o600)
    with pytest.raises(LoadError, match=r"may not read a\.whl: let all users read .*--worker_uids=none"):
        check_readable(mount, [wheel])
    wheel.chmod(0o644)
    wheel.parent.chmod(0o700)
    with pytest.raises(LoadError, match="may not read model"):
        check_readable(mount, [wheel])


@only_root
@reaches
def test_what_roots_own_folder_says_of_packages_is_copied(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = place / "home"
    (home / ".config" / "pip").mkdir(parents=True)
    (home / ".config" / "uv").mkdir()
    (home / ".config" / "pip" / "pip.conf").write_text("[install]\nfind-links =\n  /a\n  /b\n[global]\ntimeout = 3\n")
    (home / ".config" / "uv" / "uv.toml").write_text("offline = true\n")
    (home / ".netrc").write_text("machine example.com login a password b\n")
    home.chmod(0o700)
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_", "XDG_"))] + ["NETRC"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    wanted = Requirements.read("six", None, PipSettings({}))
    confinement = confine_build(Sandbox(users=USERS), place / "environments" / "target", wanted, None)
    assert confinement is not None
    try:
        files = [path for path in confinement.scratch.rglob("*") if path.is_file()]
        copies = {str(path.relative_to(confinement.scratch)) for path in files}
        assert copies == {"pip.conf", ".netrc", ".config/uv/uv.toml"}
        assert {path.stat().st_uid for path in confinement.scratch.rglob("*")} == {confinement.user}
        told = PipSettings.read({"PIP_CONFIG_FILE": str(confinement.scratch / "pip.conf"), "HOME": "/none"})
        assert (told.items("find-links"), told.values["timeout"]) == (["/a", "/b"], "3")
    finally:
        confinement.close()


@only_root
def test_where_it_cannot_be_the_log_says_why(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("server.loading.environments.build_sandbox.why_not", lambda *_: "other users may not read /x")
    wanted = Requirements.read("six", None, PipSettings({}))
    assert confine_build(Sandbox(users=USERS), place / "target", wanted, None, model="iris") is None
    assert "model iris: the server's own user, root, installs its requirements: other users may not" in caplog.text


@only_root
def test_a_record_that_the_build_has_written_is_none(environment: Path) -> None:
    """As it would be where the server ends while packages are built."""
    environments = Environments(environment.parent, sandbox=Sandbox(users=USERS))
    (environment / "polyserve.json").write_text("{}")
    assert environments._complete(environment) == environment / "bin" / "python"
    os.chown(environment / "polyserve.json", USERS.first, USERS.first)
    assert environments._complete(environment) is None
