"""A reader at a terminal: a folder, a shell, and the server that the page starts, on ports that nobody else has.

Pages say 8080 and 8081; both are replaced in what is typed, and put back in what comes.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from bench.ports import free_port
from tests.docs.comparing import is_shown
from tests.docs.marks import check
from tests.docs.pages import Answer, Command, File, NotRun, PageError, Script, Step

ROOT = Path(__file__).parents[2]
PATIENCE = 240.0  #: seconds for a server to be ready, or for a model to be swapped
_TICK = 0.1
_AS_ROOT = re.compile(r"^the server runs as root: .*\n", re.MULTILINE)  #: a line that other readers do not see
_SHIM = '#!/bin/sh\nexec env PYTHONPATH="{root}" "{python}" -m server "$@"\n'


class Session:
    """What happens between the first line of a page and the last."""

    def __init__(self, folder: Path, patience: float = PATIENCE, **settings: str) -> None:
        """In a folder that is made; `settings` are variables of the server alone."""
        self.folder = folder
        self.patience = patience
        self.http, self.grpc = free_port(), free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self._serves: list[str] = []
        self._log = folder.parent / f"{folder.name}.log"
        shims = folder.parent / f"{folder.name}.bin"
        shims.mkdir()
        folder.mkdir(exist_ok=True)
        shim = shims / "polyserve"
        shim.write_text(_SHIM.format(root=ROOT, python=sys.executable))
        shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
        path = os.pathsep.join([str(shims), str(Path(sys.executable).parent), os.environ["PATH"]])
        quick = {"POLYSERVE_WATCH_INTERVAL": "0.2", "POLYSERVE_WATCH_SETTLE": "0.4"}
        self._environ = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PATH": path,
            "COLUMNS": "120",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        self._settings = {**quick, **settings, "PYTHONPATH": str(ROOT)}

    def follow(self, page: str, steps: list[Step], write: Callable[[Answer, str], None] | None = None) -> None:
        """Do what a page says; `write` is given the answers, where they are not to be compared.

        Raises:
            PageError: an answer is another one, or a block is not what it should be.
        """
        for step in steps:
            try:
                self._do(step, write)
            except PageError as error:
                raise PageError(f"{page}:{step.line}: {error}") from error

    def close(self) -> None:
        """Stop the server."""
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGTERM)
            try:
                self._server.wait(240)
            finally:
                self._server.kill()
        self._server = None

    def _do(self, step: Step, write: Callable[[Answer, str], None] | None) -> None:
        if isinstance(step, NotRun):
            check(step)
        elif isinstance(step, File):
            self._save(step)
        elif isinstance(step, Command) and step.text == "make serve":
            self._run([sys.executable, "-m", "examples", str(self.folder / "models")], check=True, cwd=ROOT)
            self._serve(["models"])
        elif isinstance(step, Command) and step.text.startswith("polyserve serve"):
            self._serve(shlex.split(step.text)[2:])
            if step.answer.lines:
                self._compare(step.answer, self._log_of_server, write, again=True)
        elif isinstance(step, Script):
            (self.folder / "reader.py").write_text(self._out(step.text))
            script = [sys.executable, "reader.py"]
            self._settle()
            if step.answer.lines:
                self._compare(step.answer, lambda: self._run(script), write)
            else:
                self._run(script, check=True)
        else:
            self._settle()
            command = self._out(_at_home(step.text))
            self._compare(step.answer, lambda: self._run(["bash", "-c", command]), write, again="curl" in command)

    def _save(self, file: File) -> None:
        path = self.folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text)

    def _run(self, argv: list[str], check: bool = False, cwd: Path | None = None) -> str:
        """What it prints; `check`: it has to end well.

        Raises:
            PageError: it does not.
        """
        done = subprocess.run(
            argv,
            cwd=cwd or self.folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=600,
            check=False,
        )
        printed = self._in(done.stdout.decode())
        if check and done.returncode:
            raise PageError(f"it ends with status {done.returncode}:\n{printed}")
        return printed

    def _compare(
        self,
        answer: Answer,
        ask: Callable[[], str],
        write: Callable[[Answer, str], None] | None,
        again: bool = False,
    ) -> None:
        """Ask, and compare; what the server may not have taken in yet is asked for again (`again`)."""
        if write is not None:
            write(answer, ask())
            return
        shown, deadline = "\n".join(answer.lines), time.monotonic() + self.patience
        while not is_shown(shown, came := ask(), spaces=answer.language != "json"):
            if not again or time.monotonic() > deadline:
                raise PageError(f"the page shows\n{shown}\nbut there came\n{came}")
            time.sleep(5 * _TICK)

    # --- the server ---------------------------------------------------------------------------------------------------

    def _serve(self, argv: list[str]) -> None:
        """Start the server; one that was started so goes on, another one is stopped."""
        if self._server is not None and argv == self._serves:
            self._settle()
            return
        self.close()
        self._serves = argv
        ports = [f"--http_port={self.http}", f"--grpc_port={self.grpc}"]
        with self._log.open("wb") as log:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "server", "serve", *argv, *ports],
                cwd=self.folder,
                env={**self._environ, **self._settings},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait(lambda: self._get("/v2/health/live") == 200, "the server does not listen")
        self._settle()

    def _settle(self) -> None:
        """Until every folder was tried."""
        if self._server is not None:
            self._wait(self._is_settled, "models are still loading")

    def _is_settled(self) -> bool:
        with httpx.Client(base_url=f"http://127.0.0.1:{self.http}", timeout=60) as client:
            answer = client.post("/v2/repository/index")
        if answer.status_code != 200:  # it asks for keys
            return True
        states = {each["name"]: each["state"] for each in answer.json()}
        return "LOADING" not in states.values() and self._folders() <= states.keys()

    def _folders(self) -> set[str]:
        """Those that are models of their own, or will be; none where the mount itself is one."""
        mount = self.folder / (self._serves[0] if self._serves[0][0] != "-" else ".")
        if self._serves[0][0] == "-":
            return set()
        folders = [path for path in mount.iterdir() if path.is_dir() and not path.name.startswith(".")]
        return {path.name for path in folders if any(path.iterdir())}  # an empty one has just been made

    def _get(self, path: str) -> int:
        try:
            return httpx.get(f"http://127.0.0.1:{self.http}{path}", timeout=60).status_code
        except httpx.TransportError:
            return 0

    def _wait(self, met: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + self.patience
        while not met():
            if self._server is None or self._server.poll() is not None or time.monotonic() > deadline:
                raise PageError(f"{otherwise}:\n{self._log_of_server()}")
            time.sleep(_TICK)

    def _log_of_server(self) -> str:
        return self._in(self._log.read_text(errors="replace"))

    # --- ports --------------------------------------------------------------------------------------------------------

    def _out(self, text: str) -> str:
        ports = {"8080": str(self.http), "8081": str(self.grpc)}
        return re.sub(r"808[01]", lambda found: ports[found[0]], text)

    def _in(self, text: str) -> str:
        ports = {str(self.http): "8080", str(self.grpc): "8081"}
        told = re.sub("|".join(ports), lambda found: ports[found[0]], text)
        return _AS_ROOT.sub("", told.replace(str(self.folder), "~"))


def _at_home(command: str) -> str:
    """`polyserve curl` and `bench` ask the server of the page."""
    for word, ports in (("polyserve curl ", "--grpc-port=8081 "), ("polyserve bench ", "")):
        if "--url" not in command and "--dir" not in command:
            command = command.replace(word, f"{word}--url=http://localhost:8080 {ports}")
    return command
