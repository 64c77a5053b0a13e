"""The command line: a command of `server.cli`, or settings -> catalog -> frameworks -> (loading begins) -> KServe.

The order is the start-up time: models are found, the frameworks that they need are imported once, and models are tried
in forks of this process, which has one thread until then, while KServe is imported; or KServe is imported while another
process imports them first (`loading.imports_ahead`).
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

from server.cli.commands import is_for_commands, serve_arguments
from server.config.flags import SettingsError
from server.config.settings import COMMAND, Settings, command_line, unknown_variables
from server.runtime import hidden_environ, logs, memory
from server.runtime.cpu import ONE_THREAD
from server.runtime.sandbox.kernel import Kernel
from server.runtime.signals import Signals
from server.telemetry import trace_environ

log = logging.getLogger("kserve")


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command, or the server until it is told to stop. Mistakes end it with status 2 and one line each."""
    own_process = argv is None
    argv = sys.argv[1:] if argv is None else argv
    if is_for_commands(argv, os.environ):
        from server.cli.main import run

        sys.exit(run(argv))
    signals = Signals()
    signals.install()
    for variable, value in ONE_THREAD.items():  # before anything imports numpy; an operator's own values stay
        os.environ.setdefault(variable, value)
    settings = command_line(serve_arguments(argv), os.environ, check)
    if own_process and settings.trial and not settings.sandbox:
        with signals.held():
            hidden_environ.hide()
    try:
        serve(settings, signals)
    except SystemExit as error:
        _end(error.code)
    except BaseException:
        traceback.print_exc()
        _end(1)
    _end(0)


def check(settings: Settings) -> None:
    """
    Raises:
        SettingsError: what takes more than the settings' own module to find out is wrong.
    """
    check_sandbox(settings)
    check_signer(settings)
    if problem := trace_environ.problem(os.environ):
        raise SettingsError(problem)


def check_sandbox(settings: Settings, kernel: Kernel | None = None) -> None:
    """
    Raises:
        SettingsError: `--sandbox` is asked of a kernel that has nothing to make one of.
    """
    if settings.sandbox and (kernel or Kernel()).has_nothing:
        raise SettingsError(
            "--sandbox: this kernel lets nothing be confined: it has neither Landlock nor seccomp filters, or they are "
            "switched off (a container's own seccomp profile may do that)"
        )


def check_signer(settings: Settings) -> None:
    """
    Raises:
        SettingsError: `--verify_key` and its like name nothing that signatures can be verified with.
    """
    if settings.signed:
        from server.loading.signers import signer_of  # imports what --help need not wait for

        signer = signer_of(settings)
        if signer and (problem := signer.problem(settings.model_dir)):
            raise SettingsError(f"{signer.option} {problem}")


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
    from server.loading.assembly import Assembly
    from server.loading.catalog import NoModelDir
    from server.repository.watcher import Watcher

    logs.forward()
    memory.limit_arenas()
    memory.collect_rarely()
    memory.shut()
    try:
        assembly = Assembly.of(settings)
    except NoModelDir as error:
        print(f"{COMMAND}: {error}", file=sys.stderr)
        sys.exit(2)
    watcher = Watcher.of(settings, assembly.catalog, assembly.rescan)
    with logs.kept(logging.DEBUG if settings.log_level == "debug" else logging.INFO):
        import_the_rest = assembly.import_ahead(meanwhile=partial(_import_app, settings))
        hidden_environ.reveal()
        loading = assembly.begin()
        import_the_rest()
        _import_app(settings)
        from server import app

        memory.keep()
        assembly.allow_imports()
        server = app.PolyServer(
            settings,
            assembly.catalog,
            assembly.loader,
            assembly.rescan,
            before_load=watcher.note,
            unrequested=assembly.unrequested,
        )
    for note in (*assembly.catalog.notes, *unknown_variables(Settings, os.environ)):
        log.warning("%s", note)

    def loaded() -> None:
        assembly.end_trials()
        memory.settle()
        watcher.start(server.repository, settings.load_threads, assembly.rest_trials)

    server.run(loading, loaded, signals)
    watcher.stop()
    assembly.close()


def _import_app(settings: Settings) -> None:
    """Import `server.app` and with it KServe, which sees the environment as it was given."""
    from server.api.kserve.argv import arguments

    hidden_environ.reveal()
    with arguments(settings):
        importlib.import_module("server.app")


if __name__ == "__main__":
    main()
