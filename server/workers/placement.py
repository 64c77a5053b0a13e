"""Where a model runs: in the server's process, or in workers of its own; and all the workers there are."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, Protocol

from adapters.base import LoadError, ModelDir, Trust
from adapters.registry import Choice
from server.config.model_config import FILE, ModelConfig
from server.runtime.cache_dir import cache_directory
from server.runtime.receiving import ReceiveBudget
from server.runtime.sandbox.sandbox import NO_SANDBOX, Sandbox
from server.workers.adapter import RemoteAdapter
from server.workers.confining import confine_to
from server.workers.launch import MAX_ANSWER, Guard, WorkerSpec, answer_budget, answer_limits, nothing_to_guard
from server.workers.messages import Hello, WorkerModel
from server.workers.worker_pool import WorkerPool

Isolation = Literal["auto", "process", "none"]


class PythonFor(Protocol):
    """Finds, or makes, the environment that a model's requirements ask for; its interpreter."""

    def __call__(self, model_name: str, requirements: str, directory: ModelDir) -> Path:
        """`directory` is the model's own, within which its requirements may name wheels.

        Raises:
            LoadError: the environment cannot be made; the message is the model's reason.
        """


def this_python(model_name: str, requirements: str, directory: ModelDir) -> Path:
    """The server's own environment, whatever a model asks for."""
    return Path(sys.executable)


@dataclass(frozen=True)
class WorkerPlacement:
    """Starts models' workers.

    `isolation`: "process" puts every model there, "auto" those that have to be, "none" only those that bring code.
    """

    isolation: Isolation = "auto"
    load_timeout: float = 300.0  #: seconds
    call_timeout: float = 60.0  #: seconds, for models that do not say otherwise
    python_for: PythonFor = this_python
    max_answer: int = MAX_ANSWER  #: bytes of one answer
    sandbox: Sandbox = NO_SANDBOX
    converted_dir: Path | None = None  #: where copies of models are kept that were converted; the cache's, unless set
    memory_budget: int | None = None  #: bytes of all models
    _pools: weakref.WeakSet[WorkerPool] = field(default_factory=weakref.WeakSet)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def _budget(self) -> ReceiveBudget:
        return answer_budget(self.max_answer)

    @property
    def keeps_native(self) -> bool:
        """What carries no code, but could end or hold the process, is served by workers."""
        return self.isolation != "none"

    def wants(self, choice: Choice, config: ModelConfig) -> bool:
        """Whether this model runs in workers.

        Raises:
            LoadError: its polyserve.yaml wants it otherwise than it can be.
        """
        forced = _forced(choice, config, native=self.keeps_native)
        if config.isolation == "none":
            if forced:
                raise LoadError(f"{FILE}: isolation: none is not possible: {forced}")
            return False
        return bool(forced) or config.isolation == "process" or self.isolation == "process"

    def load(
        self,
        directory: ModelDir,
        choice: Choice,
        options: Mapping[str, Any],
        config: ModelConfig,
        guard: Guard = nothing_to_guard,
    ) -> tuple[RemoteAdapter, Hello]:
        """Start the workers of a model; blocks until they have loaded it. They are its trial, too.

        `guard` is asked whenever a worker has loaded the model: also one that comes after another has died.

        Raises:
            LoadError: it cannot be served, with the reason.
        """
        if config.pass_env and self.sandbox.confines:  # whoever is shut in would say which secrets he is shown
            raise LoadError(f"{FILE}: pass_env is not possible with --sandbox: take it out, or serve it without that")
        python = self.python_for(directory.name, choice.match.requirements, directory)
        spec = WorkerSpec(
            directory.name,
            WorkerModel(choice.adapter.name, directory, choice.match.file, options),
            python,
            config.pass_env,
            self._environment(choice),
            config.memory_limit,
            self.load_timeout,
            config.call_timeout or self.call_timeout,
            answer_limits(self.max_answer, self._budget),
            guard,
            partial(confine_to, self.sandbox, directory, python),
        )
        pool = WorkerPool(spec, config.workers or 1)
        with self._lock:
            self._pools.add(pool)
        hello = pool.start()
        return RemoteAdapter(choice.adapter.name, hello, pool), hello

    def _environment(self, choice: Choice) -> dict[str, str]:
        """What a worker may want to know of the server."""
        told = {"POLYSERVE_OWN_PROCESS": "true"}
        if choice.adapter.converts:
            told["POLYSERVE_CONVERTED_DIR"] = str(self.converted_dir or cache_directory("converted"))
        if self.memory_budget is not None:
            told["POLYSERVE_MEMORY_BUDGET"] = str(self.memory_budget)
        return told

    def kill(self) -> None:
        """End all workers, and what they started, now: the server is going."""
        with self._lock:
            pools = list(self._pools)
        for pool in pools:
            pool.kill()


def _forced(choice: Choice, config: ModelConfig, native: bool) -> str:
    """Why the model cannot run in the server's process; empty when it can.

    `native`: what it carries that is no code, but could end the process, counts.
    """
    if choice.adapter.own_process:
        return f"{choice.adapter.name} runs code that came with the model"
    if choice.adapter.own_worker:
        return f"what {choice.adapter.name} runs takes long and much memory"
    if choice.match.carries and (native or choice.match.trust is Trust.CODE):
        return f"it {choice.match.carries}"
    if choice.match.trust is Trust.CODE:
        return "it brings code"
    if choice.match.requirements:
        return "the model brings requirements of its own"
    if config.workers is not None:
        return "workers are processes"
    if config.memory_limit is not None:
        return "memory_limit is about a process"
    return ""
