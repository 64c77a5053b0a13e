"""The models as the memory budget sees them: who could make room, and what happens when one does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.loading.memory_budget import Claim, ModelKey
from server.repository.claims import ModelClaims
from server.repository.retirement import Retirement
from server.repository.state import ModelState, State
from server.repository.store import ModelStore
from server.text import mebibytes

log = logging.getLogger("kserve")

REASON = "it made room for others in the memory budget: a request will bring it back"


@dataclass(frozen=True)
class Evictor:
    """Lets the least recently used go; the budget's `Evictable`."""

    store: ModelStore
    claims: ModelClaims
    retirement: Retirement
    is_awaited: Callable[[ModelKey], bool]  #: whether requests wait for the model

    def idle(self) -> Sequence[Claim]:
        """The claims of models that could go, the least recently used first."""
        idle = [state.model for state in self.store.states() if state.model is not None and self._can_go(state)]
        idle.sort(key=lambda model: model.in_flight.last)
        return [claim for model in idle if (claim := self.claims.of(model)) is not None]

    def evict(self, claim: Claim) -> None:
        """Let the model go. Requests that reached it are answered first; who comes anew waits until it is back."""
        for state in self.store.states():
            if state.model is not None and self.claims.of(state.model) is claim:
                log.info("model %s is evicted: %s for others", state.label, mebibytes(claim.memory))
                self.store.metrics.of(state.found.name).evictions += 1
                self.retirement.take_out(state, REASON, State.EVICTED)
                return

    def _can_go(self, state: ModelState) -> bool:
        model = state.model
        busy = model is None or model.in_flight.count or model.waiting
        return not (busy or state.pinned or state.loading or self.is_awaited(state.found.key))
