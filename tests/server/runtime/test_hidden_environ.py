"""Secrets are out of a process's memory until it has forked, and back afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from server.config.flags import flags_of
from server.config.settings import Settings
from server.runtime.hidden_environ import secrets_in

ROOT = Path(__file__).resolve().parents[3]

#: not written out, so that the code itself does not hold what is looked for
_SECRET = "hush" * 8

_LOOK = """
import json, os, re, sys
from server.runtime import hidden_environ

def in_memory():  # whether the secret is anywhere in this process that can be written to
    found, text = False, re.compile(b"(?:hush){8}")
    with open("/proc/self/mem", "rb", 0) as memory:
        for line in open("/proc/self/maps"):
            span, rights = line.split()[:2]
            low, high = (int(end, 16) for end in span.split("-"))
            if rights.startswith("rw"):
                memory.seek(low)
                try:
                    found = found or text.search(memory.read(high - low)) is not None
                except OSError:
                    pass
    return found

if "begun" not in os.environ:
    os.environ["begun"] = str(os.getpid())  # which an exec keeps
hidden_environ.hide()
before = in_memory()
seen = sorted(os.environ)
hidden_environ.reveal()
print(json.dumps({"before": before, "after": in_memory(), "seen": seen,
    "secret": os.environ.get("SOME_TOKEN"), "odd": os.environ.get("ODD_SECRET"),
    "same": os.environ["begun"] == str(os.getpid()), "arguments": sys.argv[1:],
    "left": [name for name in os.environ if name.startswith("_POLYSERVE")],
    "open": [os.readlink(fd) for n in os.listdir("/proc/self/fd") if os.path.islink(fd := f"/proc/self/fd/{n}")]}))
"""


def started(tmp_path: Path, **variables: str) -> Any:
    script = tmp_path / "look.py"
    script.write_text(_LOOK)
    plain = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(script), "an argument", "--flag"],
        env={**plain, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_secret_is_nowhere_in_memory_until_it_is_revealed(tmp_path: Path) -> None:
    told = started(tmp_path, SOME_TOKEN=_SECRET, ODD_SECRET="ü=\n=\udcff", HOME="/nowhere")
    assert told["before"] is False
    assert told["after"] is True
    assert told["secret"] == _SECRET
    assert told["odd"] == "ü=\n=\udcff"
    assert "HOME" in told["seen"]
    assert not {"SOME_TOKEN", "ODD_SECRET"} & set(told["seen"])


def test_the_process_stays_the_same(tmp_path: Path) -> None:
    told = started(tmp_path, SOME_TOKEN=_SECRET)
    assert told["same"] is True
    assert told["arguments"] == ["an argument", "--flag"]
    assert told["left"] == []
    assert not [name for name in told["open"] if "memfd" in name]


def test_without_secrets_nothing_is_hidden(tmp_path: Path) -> None:
    told = started(tmp_path, HOME="/nowhere")
    assert told["secret"] is None
    assert "_POLYSERVE_HIDDEN" not in told["seen"]


def test_what_is_a_secret() -> None:
    environ = {"AWS_SECRET_ACCESS_KEY": "x", "HOME": "/", "INDEX": "https://me:hush@host", "POLYSERVE_X_TOKEN": "x"}
    assert secrets_in(environ) == ["AWS_SECRET_ACCESS_KEY", "INDEX", "POLYSERVE_X_TOKEN"]
    assert secrets_in({"POLYSERVE_API_KEYS_FILE": "/etc/keys"}) == []
    assert secrets_in({"POLYSERVE_API_KEYS_FILE": "https://me:hush@host"}) == ["POLYSERVE_API_KEYS_FILE"]


def test_no_setting_is_hidden_while_settings_are_read() -> None:
    assert secrets_in({flag.env: "/a/path" for flag in flags_of(Settings) if flag.env}) == []
