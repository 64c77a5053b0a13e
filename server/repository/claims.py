"""Which served model holds which part of the memory budget, and how that is given back once the model is closed."""

from __future__ import annotations

import logging
from concurrent.futures import Executor, ThreadPoolExecutor

from server.inference.model import ServedModel
from server.loading.memory_budget import Budget, Claim
from server.runtime import memory

log = logging.getLogger("kserve")

_ENDING = 30.0  #: seconds that worker processes are waited for


class ModelClaims:
    """The claims of the models that serve, and of those that are being closed. Thread-safe."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._claims: dict[ServedModel, Claim] = {}
        self._cleaner: Executor = ThreadPoolExecutor(1, "memory")

    def hold(self, model: ServedModel, claim: Claim | None) -> None:
        """The model has come, with what it holds of the budget."""
        if claim is not None:
            self._claims[model] = claim

    def of(self, model: ServedModel) -> Claim | None:
        """What the model holds of the budget."""
        return self._claims.get(model)

    def closed(self, model: ServedModel) -> None:
        """The model is closed: give its memory back to the system, in a thread, then to the budget."""
        self._cleaner.submit(self._clean, model)

    def _clean(self, model: ServedModel) -> None:
        claim = self._claims.pop(model, None)
        try:
            pool = model.pool
            if pool is not None:
                pool.wait_ended(_ENDING)
                memory.give_back(model.born)
            else:
                memory.release(model.adapter.release, claim.memory if claim is not None else 0, model.born)
        except Exception:
            log.exception("the memory of model %s was not given back", model.name)
        finally:
            if claim is not None:
                self._budget.release(claim)
