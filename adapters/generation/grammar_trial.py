"""A grammar is tried in a process of its own first: one that never ends, or ends its process, ends that one only."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

#: run as a file, never imported here: llguidance may not be installed
_PROCESS = Path(__file__).with_name("grammar_trial_process.py")
_EMPTY = '{"grammars": [{"lark_grammar": "start: "a""}]}'
_START = 60.0  #: seconds for the process to come up, which are not the grammar's


class GrammarTrial:
    """The process, which is started when it is needed, and again when it has died. One grammar at a time."""

    def __init__(self, command: list[str] | None = None) -> None:
        self._command = command or [sys.executable, "-P", str(_PROCESS)]
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._closed = False

    def problem(self, grammar: str, schema: Any, seconds: float) -> tuple[str, list[str]]:
        """What is wrong with a grammar, and where in the schema; "" if nothing is. Blocks."""
        with self._lock:
            if self._closed:
                return "the model is being closed", []
            try:
                found = self._begun() and self._ask(grammar, schema, seconds)
            except TimeoutError:
                self._end()
                return f"it takes longer than {seconds:g} seconds to compile", []
            if found:
                return found["error"], found["place"]
            self._end()
            return "it is too complex to be compiled", []

    def close(self) -> None:
        self._closed = True
        if (process := self._process) is not None:
            process.kill()  # whoever waits for its answer waits no longer
        with self._lock:
            self._end()

    def _begun(self) -> bool:
        """Have a process that answers."""
        if self._process is not None:
            return True
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        return self._ask(_EMPTY, None, _START) is not None

    def _ask(self, grammar: str, schema: Any, seconds: float) -> dict[str, Any] | None:
        """The answer; None: the process has died of it.

        Raises:
            TimeoutError: there is none yet.
        """
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({"grammar": grammar, "schema": schema}) + "\n")
            process.stdin.flush()
        except OSError:
            return None
        if not select.select([process.stdout], [], [], seconds)[0]:
            raise TimeoutError
        line = process.stdout.readline()
        found: dict[str, Any] | None = json.loads(line) if line else None
        return found

    def _end(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not written is of no use any more
                    pipe.close()
