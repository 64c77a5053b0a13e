"""The parent's side: who is confined, by which policy, and what is left of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from server.runtime.sandbox.kernel import Kernel
from server.runtime.sandbox.launcher import Policy
from server.runtime.sandbox.sandbox import NO_SANDBOX, Confinement, Sandbox
from server.runtime.sandbox.users import UserRange


def policy_of(confinement: Confinement | None) -> Policy:
    assert confinement is not None
    return Policy.read(str(confinement.scratch.parent / "policy.json"))


def test_without_a_sandbox_children_are_as_they_were() -> None:
    assert NO_SANDBOX.confinement(["/x"]) is None
    assert Sandbox(users=UserRange(51001, 51002)).confinement([]) is None, "it was not asked for"


def test_the_policy_says_what_was_asked() -> None:
    sandbox = Sandbox(confines=True, readable=(Path("/all"),), kernel=Kernel(lambda: 3, lambda: True, "aarch64"))
    confinement = sandbox.confinement(["/model"], ["/output"])
    policy = policy_of(confinement)
    assert {"/model", "/all", sys.prefix} <= set(policy.readable)
    assert {"/output", str(confinement.scratch)} <= set(policy.writable)  # type: ignore[union-attr]
    assert (policy.network, policy.landlock, policy.machine, policy.user) == (False, 3, "aarch64", None)
    sandbox.close()


def test_its_files_are_its_own_and_go_with_it() -> None:
    confinement = Sandbox(confines=True).confinement([])
    assert confinement is not None
    environ = confinement.environ({"HOME": "/root", "OTHER": "kept"})
    assert environ["HOME"] == environ["TMPDIR"] == str(confinement.scratch)
    assert environ["OTHER"] == "kept"
    assert confinement.scratch.stat().st_mode & 0o777 == 0o700
    confinement.close()
    confinement.close()
    assert not confinement.scratch.parent.exists()


def test_the_server_takes_all_with_it() -> None:
    sandbox = Sandbox(confines=True)
    left = [sandbox.confinement([]) for _ in range(3)]
    sandbox.close()
    assert not any(each.scratch.exists() for each in left if each)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_user_is_given_back() -> None:
    users = UserRange(51001, 51001)
    sandbox = Sandbox(users=users)
    confinement = sandbox.confinement([], own_user=True)
    policy = policy_of(confinement)
    assert (policy.user, policy.landlock, policy.machine) == (51001, 0, "")
    assert confinement is not None
    assert confinement.scratch.stat().st_uid == 51001
    confinement.close()
    assert users.take() == 51001
