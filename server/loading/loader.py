"""The way of a directory: to a loaded model, or to the reason why not. Knows no KServe.

    Found                       a name, a version and a directory (catalog.py), or an address in a store (storage/)
      -> catalog.look_again     downloaded, if it comes from a store; the files as they are now
      -> Seal.of                what they are: from here to the end they have to stay the same (seal.py)
      -> Recogniser.recognise   what they hold (recognition.py), unless that is known ahead (recognised_ahead.py)
           Verifier.verify      the signature, where `--verify_key` asks for one, before anything else is read
           ModelConfig.read     polyserve.yaml
           registry.choose      which adapter, by the content; `--auto_env`: which versions of its libraries
           trust.check          what the files may do (`--trust`); files.refuse_strange_files: links out, pipes
      -> Room.enter             is it in demand? Else it waits for its first request (memory_budget.py)
      -> TrialCache.trial       has this very thing gone well before? Else a trial load in a child (trial/): a damaged
           |                    file crashes native loaders, and what the child survived is loaded for real. It loads,
           |                    tests itself on its own example, and tells its size
           -> Room.take         a claim on the memory budget: others are evicted for it, or it is not loaded now
           -> adapter.load      into this process (in_process.py), with what the trial has proved of the very same files
      or WorkerPlacement.load   into worker processes of its own, which are its trial, too: user code, requirements of
           -> Room.take         its own, `isolation: process`; their size is known once they have loaded it
      -> recorded_examples      examples.json: requests, and the answers that the model has to give
    Loaded                      which `repository.lifecycle` takes in: ModelFactory -> ModelStore, READY

Every refusal is a `LoadError` whose message is the reason that the index shows. `NotInMemory` is no failure: a request
will bring the model.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from adapters.base import Adapter, LoadError, ModelDir, Reply, Request, Trust
from adapters.custom_.foreign import not_run
from adapters.formats.made_by import made_by
from adapters.formats.mlserver_settings import unread_default
from adapters.registry import Choice
from server.config.model_config import ModelConfig
from server.loading import compatibility, files, recorded_examples, trust
from server.loading.catalog import Found, look_again
from server.loading.described_columns import as_described
from server.loading.files import NO_FILES, FolderStamp
from server.loading.in_process import InProcessLoader, NeedsWorker, Placed
from server.loading.lookout import NoAnswer, within
from server.loading.memory_budget import NOT_YET, Budget, Claim, Demand, ModelKey, NotInMemory, Room
from server.loading.output_labels import with_labels
from server.loading.patient_pool import PatientPool
from server.loading.recognised_ahead import RecognisedAhead
from server.loading.recognition import Recognised, Recogniser
from server.loading.seal import FilesChanged, Seal
from server.loading.signatures import Verifier
from server.loading.trial.evidence import TrialCache
from server.loading.trial.pool import TrialPool
from server.loading.warming import warm
from server.loading.whole_answer import answer_in_one
from server.runtime import logs
from server.workers.adapter import RemoteAdapter
from server.workers.launch import Guard, nothing_to_guard
from server.workers.messages import WorkerModel
from server.workers.placement import WorkerPlacement

log = logging.getLogger("kserve")

_T = TypeVar("_T")
_TRIES = 3  #: loads of a folder whose files change meanwhile


@dataclass(frozen=True)
class Loaded:
    """A model that is ready to predict."""

    adapter: Adapter
    config: ModelConfig
    batchable: bool  #: merged rows gave the same answers as single ones
    seconds: float
    #: why it may serve nobody, or answer otherwise than where its other files count, though it was loaded: the index's
    #: reason
    warning: str = ""
    refuses_example: bool = False  #: its own, which is made up
    claim: Claim | None = None  #: what it holds of the memory budget, until it is released there
    model: WorkerModel | None = None  #: how it was loaded into this process; None: it lives in others
    stamp: FolderStamp = NO_FILES  #: of its files then
    made_by: str = ""  #: the library that wrote them, and its version


class Loader:
    """Loads directories from any number of threads."""

    def __init__(
        self,
        trials: TrialPool | None,
        may_import: threading.Event,
        *,
        prefer_proba: bool = False,
        allowed: Trust = Trust.CODE,
        verifier: Verifier | None = None,
        workers: WorkerPlacement | None = None,
        auto_env: bool = False,
        default_options: Mapping[str, Any] | None = None,
        budget: Budget | None = None,
    ) -> None:
        """`may_import` is set once this process may import frameworks.

        `default_options` are options for every model whose adapter knows them, unless its folder says otherwise.
        """
        self.budget = budget or Budget()
        self._workers = workers or WorkerPlacement()
        trial_cache = TrialCache(trials, self.budget)
        self._in_process = InProcessLoader(trial_cache, self.budget, may_import, self._workers.load_timeout)
        self._auto_env = auto_env
        self.recogniser = Recogniser(
            may_import,
            prefer_proba=prefer_proba,
            allowed=allowed,
            verifier=verifier,
            auto_env=auto_env,
            default_options=default_options or {},
        )
        self.ahead = RecognisedAhead()
        self._verifier = verifier
        self._loop: Future[asyncio.AbstractEventLoop] = Future()  #: where requests will be

    def attach_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Requests are on this event loop: what waits to be asked there comes now. To be called once."""
        self._loop.set_result(loop)

    def begin(
        self, models: Iterable[Found], threads: int, demand: Demand = Demand.TRY
    ) -> dict[ModelKey, Future[Loaded]]:
        """Start loading directories on `threads` threads, by name and version; downloads have as many of their own."""
        pool, downloads = PatientPool(threads, "load"), PatientPool(threads, "download")
        return {found.key: (downloads if found.source else pool).submit(self.load, found, demand) for found in models}

    def load(self, found: Found, demand: Demand = Demand.LOAD) -> Loaded:
        """Load one directory; again, if its files change meanwhile.

        Raises:
            LoadError: it cannot be served, with the reason.
            NotInMemory: it could, but is not in memory now: nobody asked for it yet, or there is no room.
        """
        for _ in range(_TRIES - 1):
            try:
                return self._load(found, demand)
            except FilesChanged as error:
                log.info("model %s: %s: it is loaded again", found.name, error)
        return self._load(found, demand)

    def _load(self, found: Found, demand: Demand) -> Loaded:
        start = time.monotonic()
        if demand is Demand.LOOK and found.source is not None:  # a request is worth a download, a look is not
            raise NotInMemory(NOT_YET)
        config: ModelConfig | None = None
        try:
            found, seal, recognised = self._answered(found)
            directory, choice, options, config = recognised
            room = Room(self.budget, found.key, demand, config.pinned)
            room.enter()
            beside = (not_run(directory) or unread_default(directory)) if choice.match.trust is not Trust.CODE else ""
            if beside:
                log.warning("model %s: %s", found.name, beside)
            with logs.about(found.name):
                guard = self._guard_beside(directory, choice, self._guard(seal, choice))
                adapter, trial, model, stamp = self._place(directory, choice, options, config, room, guard)
            adapter.signature = with_labels(as_described(adapter.signature, directory), directory)
            self._check_loaded(found, adapter, room, guard)
        except NotInMemory as error:
            error.config = config or error.config
            raise
        except LoadError:
            raise
        except (Exception, SystemExit) as error:  # a library that gives up ends this model, not the server
            raise LoadError(f"{type(error).__name__}: {error}") from error
        batchable = adapter.traits.batchable and adapter.signature.batched and (trial is None or trial.batchable)
        refusal = "" if trial is None or adapter.signature.whole else trial.example_error  # such a one has no example
        warning = f"it refuses its own example: {refusal}" if refusal else ""
        if not isinstance(adapter, RemoteAdapter):
            warning = compatibility.warning(choice, warning)
        warning = "; ".join(filter(None, (beside, warning)))
        seconds = time.monotonic() - start
        made = choice.match.made_by or made_by(choice.adapter.name, directory, choice.match.file)
        return Loaded(adapter, config, batchable, seconds, warning, bool(refusal), room.claim, model, stamp, made)

    def _answered(self, found: Found) -> tuple[Found, Seal, Recognised]:
        """What a look at a folder finds; of what comes from a store, as long as that takes.

        Raises:
            LoadError: as `_looked_at`; or it takes too long.
        """
        look = partial(self._looked_at, found)
        return look() if found.source is not None else self._in_time(look)

    def _looked_at(self, found: Found) -> tuple[Found, Seal, Recognised]:
        """
        Raises:
            LoadError: it cannot be looked at, holds more than a model may, or nothing that can be served.
        """
        found = look_again(found)
        if found.problem:
            raise LoadError(found.problem)
        seal = Seal.of(found.directory)
        return found, seal, self.ahead.take(found, seal) or self.recogniser.recognise(found)

    def look_ahead(self, folders: Sequence[Found]) -> None:
        """Have another process find out what these hold: call it before there are threads. `ahead.close` ends it."""
        if not (self._verifier or self._auto_env):
            self.ahead.look_ahead(folders, self.recogniser.recognise)

    def tried_here(self, found: Found) -> Choice | None:
        """What a directory holds, if it would be tried, and then loaded, by this process's own frameworks.

        None: workers load it, or it may not be looked at before its signature is.

        Raises:
            LoadError: it cannot be served.
        """
        if self._verifier or self._auto_env:
            return None
        seal = Seal.of(found.directory)
        recognised = self.recogniser.recognise(found)
        self.ahead.remember(found, seal, recognised)
        return None if self._workers.wants(recognised.choice, recognised.config) else recognised.choice

    def _guard(self, seal: Seal, choice: Choice) -> Guard:
        """Makes sure that the files are those that were checked. Code may write beside them, and unless it is signed
        nothing of it was checked."""
        if trust.needed(choice) is not Trust.CODE:
            return partial(self._in_time, seal.check)
        return partial(self._in_time, partial(seal.check, additions=True)) if self._verifier else nothing_to_guard

    def _in_time(self, work: Callable[[], _T]) -> _T:
        """What asks a folder, and may take as long as nothing that is loaded may. It takes a thread with it where the
        disk hangs, and nobody else's place.

        Raises:
            LoadError: it takes longer.
            Exception: as `work`.
        """
        seconds = self._workers.load_timeout
        try:
            return within(seconds, work)
        except NoAnswer as error:
            raise LoadError(
                f"the folder could not be looked at within {seconds:g} s (--load_timeout): its disk, or what is "
                "mounted there, hangs, or a file takes that long to be read"
            ) from error

    def _guard_beside(self, directory: ModelDir, choice: Choice, guard: Guard) -> Guard:
        """The same for another folder that is loaded with this one, once that is verified, too."""
        if not choice.match.beside:
            return guard
        beside = ModelDir.of(directory.root / choice.match.beside, directory.root)
        seal = Seal.of(beside)
        if self._verifier:
            self._verifier.verify(beside)
        files.refuse_strange_files(beside)

        def both() -> None:
            guard()
            self._in_time(seal.check)

        return both

    def _check_loaded(self, found: Found, adapter: Adapter, room: Room, guard: Guard) -> None:
        try:
            guard()
            warm(found.name, adapter)
            place = (found.directory.path, found.home, found.directory.root)
            recorded_examples.check(*place, adapter, self._ask, self._workers.load_timeout)
        except BaseException:
            adapter.close()
            room.leave()
            raise

    def _ask(self, adapter: Adapter, request: Request) -> Reply:
        """Send a whole request as the server will: on its event loop."""
        return asyncio.run_coroutine_threadsafe(answer_in_one(adapter, request), self._loop.result()).result()

    def _place(
        self,
        directory: ModelDir,
        choice: Choice,
        options: dict[str, Any],
        config: ModelConfig,
        room: Room,
        guard: Guard,
    ) -> Placed:
        """The model, in workers or in this process."""
        if self._auto_env and config.isolation != "none" and (refitted := compatibility.refitted(choice)):
            try:
                return self._in_workers(directory, refitted, options, config, room, guard)
            except (NotInMemory, FilesChanged):
                raise
            except LoadError as error:
                if choice.match.problem:  # there is no other way
                    raise
                log.warning("model %s: %s; the installed versions are tried instead", directory.name, error)
        try:
            if not self._workers.wants(choice, config):
                try:
                    return self._in_process.load(directory, choice, options, room, native=self._workers.keeps_native)
                except NeedsWorker as found:
                    choice = replace(choice, match=replace(choice.match, carries=str(found)))
                    self._workers.wants(choice, config)  # which says where its polyserve.yaml does not let it
            return self._in_workers(directory, choice, options, config, room, guard)
        except (NotInMemory, FilesChanged):
            raise
        except LoadError as error:
            guard()  # half of a file is no verdict on the whole
            raise LoadError(compatibility.reason(choice, error)) from error

    def _in_workers(
        self,
        directory: ModelDir,
        choice: Choice,
        options: dict[str, Any],
        config: ModelConfig,
        room: Room,
        guard: Guard,
    ) -> Placed:
        known = room.take_known()
        try:
            with contextlib.nullcontext() if known else self.budget.admit_unknown():
                adapter, hello = self._workers.load(directory, choice, options, config, guard)
                try:
                    reserve = 0 if self.budget.limit is None else hello.reserve_bytes
                    room.take((hello.memory_bytes + reserve) * adapter.pool.count)
                except BaseException:
                    adapter.close()
                    raise
        except BaseException:
            room.leave()
            raise
        return Placed(adapter, hello)
