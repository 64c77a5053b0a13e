"""User ids of their own: who gets which, and what other users may read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.runtime.sandbox import users
from server.runtime.sandbox.users import UserRange, closed_way, closed_within


def test_each_gets_another_one_and_they_come_back() -> None:
    ids = UserRange(51001, 51003)
    taken = [ids.take() for _ in range(3)]
    assert taken == [51001, 51002, 51003]
    with pytest.raises(OSError, match=r"51001 to 51003 are taken \(--worker_uids\)"):
        ids.take()
    ids.give_back(51002)
    assert ids.take() == 51002


def test_an_id_that_a_process_has_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "_owners", lambda: iter([0, 51001]))
    assert UserRange(51001, 51002).take() == 51002


def test_the_users_of_processes_are_found() -> None:
    assert os.geteuid() in set(users._owners())


def test_why_it_is_not_possible(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert UserRange(51001, 51002).problem() == "it is not root"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name, text in (("_STATUS", "Name:\tx\nCapEff:\t00000000000000c0\n"), ("_MAP", "0 100000 65536\n")):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(users, name, tmp_path / name)
    assert UserRange(51001, 51002).problem() == ""
    assert UserRange(65000, 66000).problem() == "its user namespace has no users 65000 to 66000"
    (tmp_path / "_STATUS").write_text("CapEff:\t0000000000000000\n")
    assert UserRange(51001, 51002).problem() == "it has no capability SETUID or SETGID"


def test_the_folder_that_is_closed_is_named(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            assert closed_way([inner]) in {str(each) for each in (tmp_path, *tmp_path.parents)}
    (tmp_path / "a").chmod(0o700)
    assert closed_way(["/usr"]) == ""
    assert closed_way([inner])


def test_what_others_may_not_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("text")
    (tmp_path / "f").chmod(0o644)
    tmp_path.chmod(0o755)
    entries = [str(tmp_path), str(tmp_path / "f"), str(tmp_path / "absent")]
    assert closed_within(entries) == ""
    (tmp_path / "f").chmod(0o640)
    assert closed_within(entries) == str(tmp_path / "f")
    tmp_path.chmod(0o750)
    assert closed_within(entries) == str(tmp_path)
