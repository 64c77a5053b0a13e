"""Models that are asked by one of several methods: what a request picks, as tensors."""

from __future__ import annotations

from collections.abc import Callable

from adapters.base import InvalidInput, Parameters, Tensors

__all__ = ["by_method"]


def by_method(parameters: Parameters, default: str, ask: Callable[[str], Tensors], output: str = "output-0") -> Tensors:
    """What `ask` gives for the method that `parameters.method` picks, or for each that `parameters.outputs` names.

    `outputs` are names with commas between them, which the server takes from V2's `outputs`: a method's name gives
    that method's answer under that name, and `output` is the model's own output, the default method's answer.

    Raises:
        InvalidInput: a method that is asked for by name gives several tensors.
    """
    named = parameters.get("outputs")
    if not named:
        return ask(parameters.get("method", default))
    answers: Tensors = {}
    for name in named.split(","):
        given = ask(default if name == output else name)
        if len(given) != 1:
            raise InvalidInput(
                f"outputs: {name!r} is {len(given)} tensors of this model: ask with parameters.method, without outputs"
            )
        (answers[name],) = given.values()
    return answers
