"""A directory to a loaded model. Knows no KServe.

    look again -> signature -> polyserve.yaml -> registry.choose -> trust -> trial load in a child -> adapter.load
                                                                        `-> worker processes

Native loaders crash on bad files, so a file is loaded in the trial process first; what that survived is loaded for
real. A model that runs in worker processes is tried by them. Every refusal is a `LoadError` whose message is the
reason that the index shows.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from adapters import registry
from adapters.base import Adapter, LoadError, ModelDir, Trust
from adapters.registry import Choice
from server import refit, tree, trust
from server.catalog import Found, look_again
from server.model_config import ModelConfig, check_options
from server.signing import Verifier
from server.workers.contract import Hello
from server.workers.placement import Workers
from server.workers.remote import RemoteAdapter
from server.workers.trial import Trial, TrialPool

log = logging.getLogger("kserve")

#: a model's name and version
Key: TypeAlias = tuple[str, str]


@dataclass(frozen=True)
class Loaded:
    """A model that is ready to predict."""

    adapter: Adapter
    config: ModelConfig
    batchable: bool  #: merged rows gave the same answers as single ones
    seconds: float
    warning: str = ""


class Loader:
    """Loads directories from any number of threads.

    `may_import` is set once this process may import frameworks: two threads that import packages with circular
    imports at the same time can see each other's half-made modules, so first loads go one at a time, and after KServe.
    """

    def __init__(
        self,
        trials: TrialPool | None,
        may_import: threading.Event,
        prefer_proba: bool = False,
        allowed: Trust = Trust.CODE,
        verifier: Verifier | None = None,
        workers: Workers | None = None,
        auto_env: bool = False,
        wishes: Mapping[str, Any] | None = None,
    ) -> None:
        """`wishes` are options for every model whose adapter knows them, unless its folder says otherwise."""
        self._trials = trials
        self._workers = workers or Workers()
        self._auto_env = auto_env
        self._wishes = dict(wishes or {})
        self._allowed = allowed
        self._verifier = verifier
        self._may_import = may_import
        self._prefer_proba = prefer_proba
        self._first = threading.Lock()
        self._imported: set[tuple[str, ...]] = set()

    def begin(self, models: Iterable[Found], threads: int) -> dict[Key, Future[Loaded]]:
        """Start loading directories on `threads` threads, by name and version; downloads have as many of their own."""
        pool, downloads = ThreadPoolExecutor(threads, "load"), ThreadPoolExecutor(threads, "download")
        futures = {found.key: (downloads if found.source else pool).submit(self.load, found) for found in models}
        pool.shutdown(wait=False)
        downloads.shutdown(wait=False)
        return futures

    def load(self, found: Found) -> Loaded:
        """Load one directory.

        Raises:
            LoadError: it cannot be served, with the reason.
        """
        start = time.monotonic()
        found = look_again(found)
        if found.problem:
            raise LoadError(found.problem)
        try:
            if self._verifier:
                self._may_import.wait()
                self._verifier.verify(found.directory)
            config = self._config(found)
            full = config.trust == "full" and self._allowed is Trust.CODE
            directory = replace(found.directory, trusted=full, name=found.name)
            choice = self._choose(directory, config)
            directory = choice.directory or directory
            options = self._options(config, choice.adapter)
            if full:
                options["trust"] = "full"
            adapter, trial = self._place(directory, choice, options, config)
        except LoadError:
            raise
        except (Exception, SystemExit) as error:  # a library that gives up ends this model, not the server
            raise LoadError(f"{type(error).__name__}: {error}") from error
        batchable = adapter.batchable and adapter.signature.batched and (trial is None or trial.batchable)
        warning = f"it refuses its own example: {trial.example_error}" if trial and trial.example_error else ""
        if not isinstance(adapter, RemoteAdapter):
            warning = refit.warning(choice, warning)
        return Loaded(adapter, config, batchable, time.monotonic() - start, warning)

    def _config(self, found: Found) -> ModelConfig:
        path, root = found.directory.path, found.directory.root
        return ModelConfig.of_version(path, found.home, root) if found.home else ModelConfig.read(path, root)

    def _choose(self, directory: ModelDir, config: ModelConfig) -> Choice:
        try:
            choice = registry.choose(directory, config.adapter, refit=self._auto_env)
            choice = trust.in_full(choice) if directory.trusted else choice
            trust.check(choice, self._allowed)
            if trust.needed(choice) is not Trust.CODE and not (choice.directory or directory).has(choice.match.file):
                tree.refuse_strange_files(directory)  # a framework will look into the whole folder
        except registry.Outdated as error:
            raise LoadError(f"{error}; {refit.hint(error.origin)}") from error
        except LoadError as error:
            if hint := trust.overruled(config, self._allowed):
                raise LoadError(f"{error}{hint}") from error
            raise
        return choice

    def _options(self, config: ModelConfig, adapter: type[Adapter]) -> dict[str, Any]:
        options: dict[str, Any] = check_options(config.options, adapter.options)
        if self._prefer_proba and any(option.name == "predict_proba" for option in adapter.options):
            options.setdefault("predict_proba", True)
        known = {option.name for option in adapter.options}
        return {name: value for name, value in self._wishes.items() if name in known} | options

    def _place(
        self, directory: ModelDir, choice: Choice, options: dict[str, Any], config: ModelConfig
    ) -> tuple[Adapter, Trial | Hello | None]:
        """The model, in workers or in this process, and what was found out about it first."""
        if self._auto_env and config.isolation != "none" and (refitted := refit.refitted(choice)):
            try:
                return self._workers.load(directory, refitted, options, config)
            except LoadError as error:
                if choice.match.problem:  # there is no other way
                    raise
                log.warning("model %s: %s; the installed versions are tried instead", directory.name, error)
        try:
            if self._workers.wants(choice, config):
                return self._workers.load(directory, choice, options, config)
            trial = self._try(directory, choice, options)
            return self._load(directory, choice, options), trial
        except LoadError as error:
            raise LoadError(refit.reason(choice, error)) from error

    def _try(self, directory: ModelDir, choice: Choice, options: dict[str, Any]) -> Trial | None:
        if self._trials is None:
            return None
        return self._trials.try_load(choice.adapter.name, directory.path, directory.root, choice.match.file, options)

    def _load(self, directory: ModelDir, choice: Choice, options: dict[str, Any]) -> Adapter:
        self._may_import.wait()
        imports = (*choice.adapter.requires, *choice.match.requires)
        if imports in self._imported:
            return choice.adapter.load(directory, choice.match.file, options)
        with self._first:
            adapter = choice.adapter.load(directory, choice.match.file, options)
            self._imported.add(imports)
        return adapter
