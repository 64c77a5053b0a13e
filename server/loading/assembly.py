"""What finds, tries and loads models, put together as the settings want it: all that there is before KServe.

settings --> catalog, Assembly --> import_ahead --> begin: the models are being tried --> (KServe is imported, or has
    been during import_ahead) --> allow_imports: they are loaded into this process, too
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Self

from server.config.settings import Settings
from server.loading.catalog import Catalog
from server.loading.environments import Environments
from server.loading.files import allow_entries
from server.loading.imports_ahead import import_ahead, nothing, why_not
from server.loading.loader import Loaded, Loader
from server.loading.lookout import Lookout
from server.loading.memory_budget import Budget, Demand, ModelKey
from server.loading.patient_pool import MOST_LENT
from server.loading.sandboxing import log_sandbox, sandbox_of
from server.loading.signatures import Verifier
from server.loading.signers import signer_of
from server.loading.sources import Rescan, looked_at
from server.loading.trial.pool import TrialPool
from server.loading.trust import allowed_by
from server.runtime.cache_dir import cache_directory
from server.workers.placement import WorkerPlacement

log = logging.getLogger("kserve")


@dataclass(frozen=True)
class Assembly:
    """The parts, and what begins and ends them together."""

    catalog: Catalog
    rescan: Rescan
    loader: Loader
    trials: TrialPool | None
    environments: Environments
    workers: WorkerPlacement
    log_sandbox: Callable[[], None]
    threads: int  #: models that are loaded at the same time
    unrequested: Demand  #: what to do with a model that nobody asked for yet
    may_import: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Look at the mount, and make what loads the models. Starts no process yet.

        Raises:
            NoModelDir: the mount cannot be read, or two models have one name.
        """
        allow_entries(settings.max_model_files)
        lookout = Lookout(settings.model_dir)
        catalog = looked_at(lookout, settings)
        may_import = threading.Event()
        budget = settings.memory_budget.resolve() if settings.memory_budget else None
        sandbox = sandbox_of(settings)
        roots = (settings.model_dir, settings.storage_dir or cache_directory("models"))
        most = settings.load_threads + MOST_LENT  # there are as many as are asked for at a time
        trials = TrialPool(most, settings.load_timeout, sandbox, roots) if settings.trial else None
        environments = Environments(
            settings.env_dir, settings.wheelhouse, timeout=settings.env_timeout, sandbox=sandbox
        )
        workers = WorkerPlacement(
            settings.isolation,
            settings.load_timeout,
            settings.request_timeout,
            environments.python,
            settings.max_answer_bytes,
            sandbox,
            settings.converted_dir,
            budget,
        )
        loader = Loader(
            trials,
            may_import,
            prefer_proba=settings.predict_proba,
            allowed=allowed_by(settings.trust),
            verifier=Verifier(signer) if (signer := signer_of(settings)) else None,
            workers=workers,
            auto_env=settings.auto_env,
            default_options=settings.predictor_options(),
            budget=Budget(budget),
        )
        unrequested = Demand.LOOK if settings.load == "lazy" else Demand.TRY
        return cls(
            catalog,
            Rescan(settings, catalog, lookout),
            loader,
            trials,
            environments,
            workers,
            partial(log_sandbox, settings, sandbox),
            settings.load_threads,
            unrequested,
            may_import=may_import,
        )

    def import_ahead(self, meanwhile: Callable[[], None] = nothing) -> Callable[[], None]:
        """Import what models need that are tried soon, and fork trials off this process, where that can be.

        `meanwhile` is something else to do while another process is waited for; it may be done, or not.

        Returns what is left to be imported: call it after `begin`.
        """
        if self.trials is None or self.unrequested is Demand.LOOK:
            return nothing
        if why := why_not(self.workers.sandbox, os.environ):
            log.info("trials are fresh processes, not forks: %s", why)
            return nothing
        return import_ahead(self.loader, self.trials, self.catalog.found, self.rescan.lookout, meanwhile)

    def begin(self) -> dict[ModelKey, Future[Loaded]]:
        """Begin to try and load all models, in threads and child processes."""
        self.log_sandbox()
        return self.loader.begin(self.catalog.found, self.threads, self.unrequested)

    def allow_imports(self) -> None:
        """From now on this process, too, may import frameworks."""
        self.may_import.set()

    def end_trials(self) -> None:
        """End the processes that look at and try models, and what they are at; later trials start new ones."""
        self.loader.ahead.close()
        if self.trials is not None:
            self.trials.close()

    def rest_trials(self) -> None:
        """End those of them that are at no trial, for the sake of their memory."""
        if self.trials is not None:
            self.trials.rest()

    def close(self) -> None:
        """End all processes: the server is going."""
        self.end_trials()
        self.environments.close()
        self.workers.kill()
        self.workers.sandbox.close()
