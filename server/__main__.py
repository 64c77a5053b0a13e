"""The command line: settings -> catalog -> (loading begins) -> KServe -> server.

The order is the start-up time: models are found and tried in a child process while KServe is still being imported.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from server.api.kserve.argv import arguments
from server.config.flags import SettingsError
from server.config.settings import COMMAND, Settings, command_line, unknown_variables
from server.runtime import logs, memory
from server.runtime.cpu import ONE_THREAD
from server.runtime.signals import Signals

log = logging.getLogger("kserve")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the server until it is told to stop. Mistakes in settings end it with status 2 and one line each."""
    signals = Signals()
    signals.install()
    settings = command_line(sys.argv[1:] if argv is None else argv, os.environ, check_key)
    for variable, value in ONE_THREAD.items():  # an operator's own values stay
        os.environ.setdefault(variable, value)
    try:
        serve(settings, signals)
    except SystemExit as error:
        _end(error.code)
    except BaseException:
        traceback.print_exc()
        _end(1)
    _end(0)


def check_key(settings: Settings) -> None:
    """
    Raises:
        SettingsError: `--verify_key` is no key that signatures can be verified with.
    """
    if settings.verify_key:
        from server.loading.signatures import key_problem  # imports what --help need not wait for

        if problem := key_problem(settings.verify_key, settings.model_dir):
            raise SettingsError(f"--verify_key {problem}")


def _end(status: str | int | None) -> NoReturn:
    """End the process now: a prediction that never ends, or a load that waits for KServe, would otherwise keep it."""
    if isinstance(status, str):
        print(status, file=sys.stderr)
        status = 1
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status or 0)


def serve(settings: Settings, signals: Signals) -> None:
    """Find the models, start trying them, import KServe meanwhile, serve."""
    from server.loading.catalog import NoModelDir
    from server.loading.environments import Environments
    from server.loading.loader import Loader
    from server.loading.memory_budget import Budget, Demand
    from server.loading.signatures import Verifier
    from server.loading.sources import catalog_of
    from server.loading.trial.pool import TrialPool
    from server.loading.trust import allowed_by
    from server.repository.watcher import Watcher
    from server.workers.placement import WorkerPlacement

    logs.forward()
    try:
        catalog = catalog_of(settings)
    except NoModelDir as error:
        print(f"{COMMAND}: {error}", file=sys.stderr)
        sys.exit(2)
    memory.limit_arenas()
    memory.shut()
    trials = TrialPool(settings.load_threads, settings.load_timeout) if settings.trial else None
    end_trials = trials.close if trials else lambda: None
    may_import = threading.Event()
    verifier = Verifier(Path(settings.verify_key)) if settings.verify_key else None
    environments = Environments(settings.env_dir, settings.wheelhouse, timeout=settings.env_timeout)
    workers = WorkerPlacement(settings.isolation, settings.load_timeout, settings.request_timeout, environments.python)
    allowed, auto_env = allowed_by(settings.trust), settings.auto_env
    default_options = settings.predictor_options()
    budget = Budget(settings.memory_budget.resolve() if settings.memory_budget else None)
    loader = Loader(
        trials, may_import, settings.predict_proba, allowed, verifier, workers, auto_env, default_options, budget
    )
    unasked = Demand.LOOK if settings.load == "lazy" else Demand.TRY
    watcher = Watcher.of(settings, catalog)
    with logs.kept():
        loading = loader.begin(catalog.found, settings.load_threads, unasked)
        with arguments(settings):
            from server import app
        may_import.set()
        server = app.PolyServer(settings, catalog, loader)
        server.repository.unasked = unasked
    for note in (*catalog.notes, *unknown_variables(Settings, os.environ)):
        log.warning("%s", note)

    def loaded() -> None:
        end_trials()
        memory.settle()
        watcher.start(server.repository, settings.load_threads, trials.rest if trials else lambda: None)

    server.run(loading, loaded, signals)
    watcher.stop()
    end_trials()
    environments.close()
    workers.kill()


if __name__ == "__main__":
    main()
