"""A whole server, started as a user starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from bench.ports import free_port

READY_SECONDS = 600


class Server:
    """`python -m server` on free ports; its output goes to a file."""

    def __init__(self, model_dir: Path, log: Path, *flags: str, one_port: bool = False, **environ: str) -> None:
        self.http_port = free_port()
        self.grpc_port = self.http_port if one_port else free_port()
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.grpc = f"127.0.0.1:{self.grpc_port}"
        self.log_file = log
        ports = (f"--http_port={self.http_port}", f"--grpc_port={self.grpc_port}")
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "server", f"--model_dir={model_dir}", *ports, *flags],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environ},
            )
        self.client = httpx.Client(base_url=self.url, timeout=600)

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def wait_listening(self) -> None:
        self._wait("/v2/health/live")

    def wait_ready(self) -> Server:
        self._wait("/v2/health/ready")
        return self

    def wait_scanned(self) -> Server:
        """Until every directory was tried, with or without success."""
        self.wait_listening()
        deadline = time.monotonic() + READY_SECONDS
        while "still loading" in self.client.get("/v2/health/ready").text:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.1)
        return self

    def index(self) -> dict[str, dict[str, str]]:
        return {entry["name"]: entry for entry in self.client.post("/v2/repository/index").json()}

    def predict(self, model: str, body: Any) -> httpx.Response:
        return self.client.post(f"/v1/models/{model}:predict", json=body)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(240)
        finally:
            self.process.kill()

    def wait(self) -> int:
        """The exit code of one that ends by itself."""
        self.client.close()
        return self.process.wait(240)

    def kill(self) -> None:
        """End it now, if it has not ended."""
        self.process.kill()
        self.wait()

    def _wait(self, path: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log
            try:
                if self.client.get(path).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"{path} is not ready: {self.log}")
