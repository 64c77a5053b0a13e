"""What the first model of a kind was asked is not asked of the others.

A kind is all that decides how a model calculates (`direct.kinds`): what it takes, and what it answers, no measured
number decides, and of the settings that are numbers only what stands for a missing value. So a thousand models that
were fitted on a thousand tables are asked once what they take. That another one's numbers are nothing special its own
proof shows, which compares its answers bit by bit (`direct.proof`): where there is none, or it fails, it is asked
itself. That the terms of an explanation add up is compared once a kind where one formula says it (`explain`); of the
others it is left to show that all of them are numbers.

A trial of a small scikit-learn model takes half of the processor time that it took
(`python -m bench.start --cases many`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from adapters.sklearn_.arguments import Inputs, Matrix
from adapters.sklearn_.outputs import label_dtype
from adapters.sklearn_.parts import Objects, parts_of

__all__ = ["AskedOfKind"]

_MISSING = ("missing_values", "missing")  #: settings that say what stands for a missing value: often a number
_MOST = 10_000  #: kinds that are remembered
_KNOWN: dict[int, Mapping[str, Any]] = {}


class AskedOfKind:
    """The questions to models of one kind, and their answers, as `Asked.evidence` has them."""

    def __init__(self, model: Any, held: Objects, method: str, inputs: Inputs, kind: Callable[[], Hashable]) -> None:
        """`held` is all that the model holds; `inputs` are as they are before anybody is asked."""
        self._key: int | None = None  #: None: it is none of those that have a proof
        if isinstance(inputs, Matrix) and inputs.uniform:
            columns = [(each.datatype, each.group, each.used, each.any_type, each.wide) for each in inputs.columns]
            missing = [repr(own[name]) for own in map(vars, parts_of(held)) for name in _MISSING if name in own]
            self._key = hash((kind(), method, str(label_dtype(model)), tuple(columns), tuple(missing)))

    @property
    def evidence(self) -> Mapping[str, Any] | None:
        """What the first one was asked, if there was one."""
        return None if self._key is None else _KNOWN.get(self._key)

    def remember(self, evidence: Mapping[str, Any]) -> None:
        """This is what the first one was asked."""
        if self._key is not None and len(_KNOWN) < _MOST:
            _KNOWN.setdefault(self._key, evidence)
