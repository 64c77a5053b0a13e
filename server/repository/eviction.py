"""The models as the memory budget sees them: who could make room, and what happens when one does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field

from server.inference.model import ServedModel
from server.loading.memory_budget import Budget, Claim, ModelKey
from server.repository.state import ModelState, State
from server.runtime import memory
from server.workers.adapter import pool_of

log = logging.getLogger("kserve")

REASON = "it made room for others in the memory budget: a request will bring it back"
_ENDING = 30.0  #: seconds that worker processes are waited for
_LARGE = 8 * 2**20  #: bytes of a model that must not wait, in its own cycles, for the next collection of everything


@dataclass(eq=False)
class Evictor:
    """Who holds which claim on the budget; its `House`."""

    budget: Budget
    entries: Callable[[], Iterable[ModelState]]
    take_out: Callable[[ModelState, str, State], None]
    awaited: Callable[[ModelKey], bool]  #: whether requests wait for the model
    evicted: Callable[[str], None]  #: is told the names
    _claims: dict[ServedModel, Claim] = field(default_factory=dict)
    _cleaner: Executor = field(default_factory=lambda: ThreadPoolExecutor(1, "memory"))

    def hold(self, model: ServedModel, claim: Claim | None) -> None:
        """The model has come, with what it holds of the budget."""
        if claim is not None:
            self._claims[model] = claim

    def idle(self) -> Sequence[Claim]:
        """The claims of models that could go, the least recently used first."""
        idle = [entry.model for entry in self.entries() if entry.model is not None and self._can_go(entry)]
        idle.sort(key=lambda model: model.in_flight.last)
        return [self._claims[model] for model in idle if model in self._claims]

    def evict(self, claim: Claim) -> None:
        """Let the model go. Requests that reached it are answered first; who comes anew waits until it is back."""
        for entry in self.entries():
            if entry.model is not None and self._claims.get(entry.model) is claim:
                log.info("model %s is evicted: %.1f MiB for others", entry.label, claim.memory / 2**20)
                self.evicted(entry.found.name)
                self.take_out(entry, REASON, State.EVICTED)
                return

    def closed(self, model: ServedModel) -> None:
        """The model is closed: give its memory back to the system, in a thread, then to the budget."""
        self._cleaner.submit(self._clean, model)

    def _can_go(self, entry: ModelState) -> bool:
        model = entry.model
        busy = model is None or model.in_flight.count or model.waiting
        return not (busy or entry.pinned or entry.loading or self.awaited(entry.found.key))

    def _clean(self, model: ServedModel) -> None:
        claim = self._claims.pop(model, None)
        try:
            pool = pool_of(model.adapter)
            if pool is not None:
                pool.wait_ended(_ENDING)
            if pool is None and claim is not None and (claim.leaving or claim.memory > _LARGE):
                memory.take_apart(model.adapter, claim.memory, model.born)
            else:
                memory.give_back(model.born)
        except Exception:
            log.exception("the memory of model %s was not given back", model.name)
        finally:
            if claim is not None:
                self.budget.release(claim)
