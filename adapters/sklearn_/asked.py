"""What a model said when it was asked about itself, so that nobody asks the very same bytes again.

`examine` asks a model with one example after the other, and each question costs a call of the estimator's own method.
Which questions are asked, and in which order, is decided by the model and by its answers so far. So the outcomes in
this order say it all to another process that loads the same bytes with the same libraries, as in `direct.record`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from adapters.base import Tensors, TensorSpec
from adapters.datatypes import NUMPY_OF
from adapters.shared.messages import XGBOOST_PLACE, first_line

__all__ = ["ANSWERED", "Ask", "Asked", "reason"]

#: calls the model on tensors; raises whatever it raises
Ask = Callable[[Tensors], Any]

#: stands for an answer that another process has seen
ANSWERED: Final = object()


class _SaidBefore(Exception):
    """What the model said when another process asked it the same."""


class Asked:
    """The questions that one load asks of a model."""

    def __init__(self, known: Any = None, *, of_kind: bool = False) -> None:
        """`known` is another process's `evidence`, as it came from there: it may have been a damaged one.

        Or that of another model of its kind, whose explanations are not this one's.
        """
        #: of every question, in their order: "", or what the model said instead of answering
        self.outcomes: list[str] = []
        self.outputs: tuple[TensorSpec, ...] | None = None  #: of the first answer, where it is known
        self.explanations: tuple[TensorSpec, ...] | None = None  #: (): the model was found not to explain itself
        self.alike: tuple[TensorSpec, ...] = ()  #: the explanations of another of its kind
        self._known: Iterator[str] = iter(())
        if isinstance(known, Mapping):
            self._believe(known.get("outcomes"), _specs(known.get("outputs")), _specs(known.get("explanations")))
        if of_kind:
            self.explanations, self.alike = None, self.explanations or ()

    def _believe(self, outcomes: Any, outputs: Any, explanations: Any) -> None:
        """All of it, or nothing."""
        plain = isinstance(outcomes, Sequence) and all(type(each) is str for each in outcomes)
        if plain and outputs is not None and explanations is not None:
            self._known, self.outputs, self.explanations = iter(outcomes), outputs, explanations

    def by(self, ask: Ask) -> Ask:
        """`ask`, which is asked only what is not known; what is known to be answered is `ANSWERED`."""

        def asked(tensors: Tensors) -> Any:
            known = next(self._known, None)
            if known is not None:
                self.outcomes.append(known)
                if known:
                    raise _SaidBefore(known)
                return ANSWERED
            try:
                answer = ask(tensors)
            except Exception as error:  # whatever the model says
                self.outcomes.append(reason(error))
                raise
            self.outcomes.append("")
            return answer

        return asked

    def evidence(self, outputs: Sequence[TensorSpec], explanations: Sequence[TensorSpec]) -> dict[str, Any]:
        """All of this for another process, as JSON values; the specs are those that the answers led to."""
        return {"outcomes": self.outcomes, "outputs": _fields(outputs), "explanations": _fields(explanations)}


def reason(error: Exception) -> str:
    """An error's first line; the model may be XGBoost's."""
    return first_line(error, XGBOOST_PLACE) or type(error).__name__


def _fields(specs: Sequence[TensorSpec]) -> list[list[Any]]:
    return [[spec.name, spec.datatype, list(spec.shape)] for spec in specs]


def _specs(fields: Any) -> tuple[TensorSpec, ...] | None:
    """What `_fields` gave; None for anything else."""
    try:
        specs = tuple(TensorSpec(name, datatype, tuple(shape)) for name, datatype, shape in fields)
    except (TypeError, ValueError):
        return None
    sound = all(
        type(spec.name) is str
        and type(spec.datatype) is str
        and spec.datatype in NUMPY_OF
        and all(type(size) is int for size in spec.shape)
        for spec in specs
    )
    return specs if sound else None
