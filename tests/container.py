"""Builds and runs the image with the container engine at hand: the end-to-end tests' view of Docker and Podman."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
#: A script that sets up Podman on a machine without an engine; it is sourced, and its head says what it defines.
PREPARE = Path(os.environ.get("POLYSERVE_CONTAINER_PREPARE", ROOT.parent / "shared" / "container" / "prepare.sh"))

LOCKED_DOWN = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
#: Prints what the script defines, each text ended by a NUL; the parameters are its own, so that it sees none.
READ_PREPARED = """
script=$1; shift; source "$script" >&2
printf '%s\\0' "$CONTAINERS_CONF" "$CONTAINERS_STORAGE_CONF" "${#POLY_BUILD_FLAGS[@]}" \
    "${POLY_BUILD_FLAGS[@]}" "${POLY_RUN_FLAGS[@]}"
"""


@dataclass(frozen=True)
class Engine:
    """A container engine that works here, with the flags it needs."""

    command: str
    build_flags: tuple[str, ...] = ()
    run_flags: tuple[str, ...] = LOCKED_DOWN
    environ: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def find(cls) -> Engine | None:
        """The prepared engine, else Docker or Podman where one answers, else None.

        Raises:
            subprocess.CalledProcessError: the script that prepares one is there and fails.
        """
        if PREPARE.exists():
            return cls._prepared()
        for command in ("docker", "podman"):
            if shutil.which(command) and subprocess.run([command, "info"], capture_output=True).returncode == 0:
                return cls(command)
        return None

    @classmethod
    def _prepared(cls) -> Engine:
        told = subprocess.run(["bash", "-c", READ_PREPARED, "bash", PREPARE], check=True, stdout=subprocess.PIPE)
        conf, storage, count, *flags = told.stdout.decode().split("\0")[:-1]
        environ = {"CONTAINERS_CONF": conf, "CONTAINERS_STORAGE_CONF": storage}
        once = "--layers=false"  # no layer is used twice, and each of them is written to the disk, gigabytes long
        return cls("podman", (*flags[: int(count)], once), tuple(flags[int(count) :]), environ)

    def __call__(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one command of the engine, to its end."""
        environ = {**os.environ, **self.environ}
        done = subprocess.run([self.command, *argv], capture_output=True, text=True, env=environ, check=False)
        if check and done.returncode:
            raise RuntimeError(f"{self.command} {' '.join(argv)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def build(self, tag: str, context: Path = ROOT, **arguments: str) -> str:
        """Build a folder's Dockerfile; the image's name.

        What had the name is removed: gigabytes that nothing names would stay at every run, until the disk is full.
        """
        before = self.identity(tag)
        given = [part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")]
        self("build", *self.build_flags, *given, "--tag", tag, str(context))
        if before and before != self.identity(tag):
            self("image", "rm", before, check=False)  # it stays where something else uses it
        return tag

    def identity(self, tag: str) -> str:
        """The identity of the image of that name; empty if there is none."""
        return self("image", "inspect", "--format", "{{.Id}}", tag, check=False).stdout.strip()

    def image(self, tag: str) -> dict[str, Any]:
        """The image's configuration: its user, ports, labels, health check."""
        found = json.loads(self("image", "inspect", tag).stdout)[0]
        return {"Healthcheck": found.get("Healthcheck"), **found["Config"]}  # Podman keeps that one outside

    @contextmanager
    def run(self, image: str, models: Path | None, *argv: str, user: str = "") -> Iterator[Container]:
        """A container that serves `models`, mounted read-only, or what the image has, on free ports of localhost."""
        mounted = [*(["--volume", f"{models}:/mnt/models:ro"] if models else []), *(["--user", user] if user else [])]
        ports = ("--publish", "127.0.0.1::8080", "--publish", "127.0.0.1::8081")
        name = self("run", "--detach", *self.run_flags, *ports, *mounted, image, *argv).stdout.strip()
        try:
            yield Container(self, name)
        finally:
            self("rm", "--force", name)


@dataclass(frozen=True)
class Container:
    """A running container."""

    engine: Engine
    name: str

    def port(self, inside: int) -> int:
        """The port of localhost that leads to a port inside."""
        return int(self.engine("port", self.name, f"{inside}/tcp").stdout.split(":")[-1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port(8080)}"

    def execute(self, *argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        given = [part for name, value in environ.items() for part in ("--env", f"{name}={value}")]
        return self.engine("exec", *given, self.name, *argv, check=False)

    def logs(self) -> str:
        done = self.engine("logs", self.name)
        return done.stdout + done.stderr

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.engine("inspect", self.name).stdout)[0]["State"]
        return found

    def wait_until_ready(self, seconds: float = 600) -> None:
        """Wait for `/v2/health/ready`; a container that ends or takes too long fails with its log."""
        url, deadline = f"{self.url}/v2/health/ready", time.monotonic() + seconds
        while not answers(url):
            if not self.state()["Running"] or time.monotonic() > deadline:
                raise AssertionError(f"the container is not ready: {self.state()}\n{self.logs()}")
            time.sleep(0.5)


def answers(url: str) -> bool:
    """Whether a GET of it is answered 200."""
    try:
        return httpx.get(url, timeout=60).status_code == 200
    except httpx.TransportError:
        return False
