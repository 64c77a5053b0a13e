"""The masks of a grammar: which tokens may follow, computed beside the engine while it computes the next logits."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import torch

from adapters.generation.refusal import RefusedJob


class GrammarMask:
    """`engine.TokenMask` of one sequence, by a matcher of llguidance's that is its own."""

    def __init__(self, matcher: Any, pool: ThreadPoolExecutor, field: str) -> None:
        """`field`: who asked for the grammar."""
        self._matcher = matcher
        self._pool = pool
        self._field = field
        self._lock = threading.Lock()  # a matcher is used by one thread at a time, or it fails
        self._next: Future[torch.Tensor] = pool.submit(self._computed)

    def is_ready(self, patience: float = 0.0) -> bool:
        return self._next.done() or (patience > 0 and bool(wait((self._next,), patience).done))

    def apply(self, row: torch.Tensor) -> None:
        """
        Raises:
            RefusedJob: the grammar is too complex here.
        """
        allowed = self._next.result().to(row.device)[: len(row)]
        row[: len(allowed)].masked_fill_(~allowed, -torch.inf)
        row[len(allowed) :] = -torch.inf

    def advance(self, token: int) -> None:
        self._next = self._pool.submit(self._computed, token)

    def _computed(self, token: int | None = None) -> torch.Tensor:
        """Bool [vocabulary], behind the token."""
        with self._lock:
            if token is not None:
                self._matcher.consume_token(token)
            bits = self._matcher.compute_bitmask() if not self._matcher.is_error() else b""
            failed = self._matcher.is_error()
            problem = self._matcher.get_error().partition("\n")[0] if failed else ""
        if failed:
            raise RefusedJob(f"{self._field}: the grammar came to no end: {problem}", self._field, "invalid_grammar")
        return torch.from_numpy(np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")).bool()
