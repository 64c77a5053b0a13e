"""Calls by node's gRPC client, `@grpc/grpc-js`, in a process of its own."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.npm import npm_file

VERSION = "1.14.7"
_SCRIPT = Path(__file__).with_name("grpc_js_client.js")


@dataclass(frozen=True)
class JsOutcome:
    """How one call ended."""

    code: str
    details: str
    answers: list[bytes]
    initial: dict[str, str]
    trailing: dict[str, str]


def asked(address: str, calls: dict[str, dict[str, Any]], authority: Path | None = None) -> dict[str, list[JsOutcome]]:
    """What the calls of a server at `address` came to; `messages` of a call are bytes. It skips without node."""
    package = npm_file("@grpc/grpc-js", VERSION, "@grpc/grpc-js")
    node = shutil.which("node")
    if package is None or node is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("@grpc/grpc-js needs npm and node: install Node.js")
    written = {name: {**call, "messages": [_text(each) for each in call["messages"]]} for name, call in calls.items()}
    spec = json.dumps({"address": address, "ca": str(authority) if authority else None, "calls": written})
    done = subprocess.run(
        [node, str(_SCRIPT), str(package)], input=spec, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return {name: [_outcome(each) for each in found] for name, found in json.loads(done.stdout).items()}


def _text(message: bytes) -> str:
    return base64.b64encode(message).decode()


def _outcome(found: dict[str, Any]) -> JsOutcome:
    answers = [base64.b64decode(each) for each in found["answers"]]
    return JsOutcome(found["code"], found["details"], answers, found["initial"], found["trailing"])
