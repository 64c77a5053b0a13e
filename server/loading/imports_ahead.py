"""Frameworks that the models of this start need, imported while the process has one thread: trials are forked off it.

So each framework is imported once, and not again in each process that tries models. What a trial is promised stays: it
is a process of its own, without the server's secrets, and a file that crashes it ends it alone. Where that could not be
kept, nothing is imported ahead, and trials are fresh processes (`why_not`).

A framework may crash as it is imported (a wheel for another processor, two libraries that do not agree). So what has
not been imported on this machine before (`import_record`) is first imported by the process that trials are forked from,
one framework ahead of this process: if it ends over it, trials are fresh processes, each of which tells why its model
is not served, and the server goes on. This process does something else during the first one, and leaves the last one to
when trials have begun: where nothing is recorded, as in a container without a cache, a start takes little longer.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice

from adapters.base import LoadError
from adapters.registry import TABLE
from server.loading.catalog import Found
from server.loading.import_record import ImportRecord
from server.loading.loader import Loader
from server.loading.lookout import Lookout, at
from server.loading.memory_budget import NotInMemory
from server.loading.trial import trial_main
from server.loading.trial.pool import TrialPool, environment
from server.runtime import cpu
from server.runtime.forking import ForkServer, threads
from server.runtime.hidden_environ import secrets_in
from server.runtime.sandbox.sandbox import Sandbox

log = logging.getLogger("kserve")

#: frameworks whose import starts no thread, and what their models need beside the framework's own name
AHEAD: dict[str, tuple[str, ...]] = {
    "lightgbm": (),
    "sklearn": ("sklearn.linear_model", "sklearn.ensemble", "sklearn.pipeline", "sklearn.preprocessing"),
    "torch": (),
    "transformers": ("transformers.modeling_utils", "transformers.generation.utils", "transformers.processing_utils"),
    "xgboost": (),
}
_MOST_FOLDERS = 100  #: that are looked at; others of so many are of the same kinds


def why_not(sandbox: Sandbox, environ: Mapping[str, str]) -> str:
    """Why trials cannot be forks of this process; "" where they can."""
    if sandbox.confines:
        return "each is to be confined from its beginning"
    if secrets_in(environ):
        return "they would have a copy of the secrets in this process's environment"
    if not cpu.as_in_children():
        return "this process has other numbers of threads than they"
    if threads() > 1:
        return "this process has other threads"
    return ""


def import_ahead(
    loader: Loader, trials: TrialPool, models: Iterable[Found], lookout: Lookout, meanwhile: Callable[[], None]
) -> Callable[[], None]:
    """Import what trials of these models need, and have them forked off this process. Call it before any thread.

    `meanwhile` is something else to do, once nothing is forked off this process any more; it may be done, or not.

    Returns what is left to be imported here: call it when trials have begun.
    """
    folders = iter(models)
    few = list(islice(folders, _MOST_FOLDERS))
    wanted = lookout.look(lambda: list(dict.fromkeys(name for found in few for name in _needed(loader, found))))
    if many := list(folders):
        loader.look_ahead(many)
    if not wanted:
        return nothing
    if lookout.hanging:
        log.info("trials are fresh processes, not forks: a thread of this process waits for a folder that hangs")
        return nothing
    steps = [partial(_import, (name, *AHEAD[name])) for name in wanted]
    told = environment()
    record = ImportRecord.of([module for name in wanted for module in (name, *AHEAD[name])], told)
    left = nothing
    if record.take():
        for step in steps:
            step()
        record.keep()
        forks = ForkServer.start(trial_main.main, told)
    else:
        forks = _imported_there_first(steps, told, meanwhile)
        if forks:
            record.keep()
            left = steps[-1]
    if forks:
        trials.fork_from(forks)
    return left


def nothing() -> None:
    """There is nothing left, or nothing else to do."""


def _imported_there_first(
    steps: Sequence[Callable[[], None]], environ: Mapping[str, str], meanwhile: Callable[[], None]
) -> ForkServer | None:
    """The fork server, which does each step before this process does it, and the next one meanwhile; not the last one.

    None: one has ended it, and this process has done those before that one.
    """
    forks = ForkServer.start(trial_main.main, environ, steps)
    if forks is None:
        return None
    meanwhile()
    for done in (nothing, *steps[:-1]):  # what it has done before, and now does the next of
        done()
        if not forks.survived_step():
            forks.close()
            return None
    return forks


def _import(modules: Sequence[str]) -> None:
    for module in modules:
        try:
            importlib.import_module(module)
        except BaseException as error:  # SystemExit, too; whoever tries a model of it will tell
            log.info("%s is not imported ahead: %s: %s", module, type(error).__name__, error)
            break


def _needed(loader: Loader, found: Found) -> Iterator[str]:
    """The frameworks that a trial of this folder imports, of those that can be imported ahead."""
    if found.problem or found.source is not None or not at(str(found.directory.path)):
        return
    try:
        choice = loader.tried_here(found)
    except (LoadError, NotInMemory, OSError):  # its load will tell
        return
    if choice is not None and choice.adapter.name in TABLE:
        yield from (name for name in (*choice.adapter.requires, *choice.match.requires) if name in AHEAD)
