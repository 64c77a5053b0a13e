"""What root's children may still do once they have given it up, tried by one that has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.runtime.sandbox.capabilities import can_become_reader
from tests.server.runtime.sandbox.probing import DENIED, tried_as_reader

HERE = os.getpid()


@pytest.mark.skipif(os.geteuid() != 0 or not can_become_reader(), reason="only root can be another user")
def test_a_user_who_may_read_all_and_no_more(tmp_path: Path) -> None:
    secret = tmp_path / "closed" / "secret"
    secret.parent.mkdir(mode=0o700)
    secret.write_text("told")
    secret.chmod(0o600)
    attempts = {
        "reads": f"open({str(secret)!r}).read()",
        "finds": f"int(os.access({str(secret)!r}, os.R_OK))",
        "users": "[*os.getresuid(), *os.getresgid(), *os.getgroups()]",
        "effective": "[l.split()[1] for l in open('/proc/self/status') if l.startswith('CapEff')][0]",
        "of what it starts": "__import__('subprocess').check_output(['grep', 'CapEff', '/proc/self/status']).decode()",
        "of its threads": "threaded(lambda: open('/proc/thread-self/status').read().split('CapEff:')[1].split()[0])",
    }
    denied = {
        "write": f"open({str(secret)!r}, 'w')",
        "remove": f"os.unlink({str(secret)!r})",
        "make": f"os.mkdir({str(tmp_path / 'new')!r})",
        "give away": f"os.chown({str(secret)!r}, 54322, 54322)",
        "the parent's environment": f"open('/proc/{HERE}/environ').read()",
        "the parent's memory": f"open('/proc/{HERE}/mem', 'rb')",
        "signal the parent": f"os.kill({HERE}, 0)",
        "trace the parent": f"called('ptrace', 16, {HERE}, 0, 0)",
        "root again": "os.setresuid(0, 0, 0)",
        "another user": "os.setresuid(54322, 54322, 54322)",
        "mount": "called('mount', b'none', b'/tmp', b'tmpfs', 0, 0)",
    }
    found = tried_as_reader(54321, {**attempts, **denied})
    assert (found["reads"], found["finds"]) == ("told", 1)
    assert found["users"] == [54321] * 6
    assert int(found["effective"], 16) == int(found["of its threads"], 16) == 0b100
    assert int(found["of what it starts"].split()[1], 16) == 0
    assert {name: found[name] for name in denied if found[name] not in DENIED} == {}
    assert secret.read_text() == "told"


@pytest.mark.parametrize(
    ("held", "can"),
    [("000001ffffffffff", True), ("00000000a80425fb", False), ("00000000000001c4", True), ("0000000000000000", False)],
    ids=["all", "Docker's", "no more than it takes", "none"],
)
def test_who_can_become_one(tmp_path: Path, held: str, can: bool) -> None:
    (tmp_path / "status").write_text(f"Name:\tx\nCapPrm:\t0\nCapEff:\t{held}\nSeccomp:\t0\n")
    assert can_become_reader(tmp_path / "status") is can
