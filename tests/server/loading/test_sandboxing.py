"""What the settings come to on a machine, and what the log says of it."""

from __future__ import annotations

import logging
import os

import pytest

from server.config.settings import Settings
from server.loading import sandboxing
from server.loading.sandboxing import log_sandbox, sandbox_of
from server.runtime.sandbox.kernel import Kernel
from server.runtime.sandbox.users import UserRange

WHOLE, OLD = Kernel(lambda: 7, lambda: True, "x86_64"), Kernel(lambda: 0, lambda: True, "x86_64")


def logged(caplog: pytest.LogCaptureFixture, settings: Settings, kernel: Kernel) -> str:
    with caplog.at_level(logging.INFO, "kserve"):
        log_sandbox(settings, sandbox_of(settings, kernel))
    return caplog.text


def test_what_holds_is_said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "confined (Landlock 7, seccomp)" in logged(caplog, Settings(sandbox=True), WHOLE)


def test_what_the_kernel_lacks_is_said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    told = logged(caplog, Settings(sandbox=True), OLD)
    assert "--sandbox confines less here" in told
    assert "no Landlock" in told


def test_another_user_than_root_is_told_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert sandbox_of(Settings(), WHOLE).users is None
    assert logged(caplog, Settings(), WHOLE) == ""


def test_root_gives_users_or_says_why_not(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(UserRange, "problem", lambda self: "")
    monkeypatch.setattr(sandboxing, "closed_way", lambda paths: "")
    users = sandbox_of(Settings(), WHOLE).users
    assert users is not None
    assert (users.first, users.last) == (50000, 59999)
    assert "user ids of their own, from 50000 to 59999" in logged(caplog, Settings(), WHOLE)
    caplog.clear()
    monkeypatch.setattr(sandboxing, "closed_way", lambda paths: "/root")
    told = logged(caplog, Settings(), WHOLE)
    assert "the server runs as root: model code" in told
    assert "other users may not enter /root" in told
    assert "--worker_uids=none" in logged(caplog, Settings(worker_uids=None), WHOLE)
    caplog.clear()
    assert logged(caplog, Settings(trust="safe"), WHOLE) == ""
