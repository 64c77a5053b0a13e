"""What a request's parameters ask of the model, and what of the protocol: what is neither is refused by its name."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sized
from typing import Any

from adapters.base import Parameter, Signature
from server.codec.error_text import described, nearest, quoted, resembling
from server.errors import InvalidInput

#: parameters of V2 requests that its codecs read themselves; `headers` are what MLServer's clients pass on
OF_V2_REQUESTS = frozenset({"binary_data_output", "content_type", "headers"})

_MEMORY = "shared memory is neither read nor written here, send the data in the request and read it in the answer"
_SEQUENCES = "models keep nothing from one request to the next"
#: what Triton's clients may ask for, and why it is not done
_NOT_SERVED = {
    **dict.fromkeys(("shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"), _MEMORY),
    **dict.fromkeys(("sequence_id", "sequence_start", "sequence_end"), _SEQUENCES),
    "priority": "requests wait in the order in which they come",
    "timeout": "the server's own limits hold for every request; let the client give up on its call",
    "model_version": "the address names the version, as in /v2/models/NAME/versions/VERSION/infer",
    "triton_enable_empty_final_response": "it is a parameter of gRPC's ModelStreamInfer",
}
#: names that tell a request from others and ask for nothing: "trace_id", "requestId", "traceparent", "x-tenant"
_IDENTIFIERS = re.compile(r"(?i:(?:.*[-_.])?u?u?id|trace.{0,20}|baggage|x-.*)|.*[a-z]I[dD]")

_KINDS = {str: "a string", bool: "true or false", int: "a whole number", float: "a finite number"}
_LIKENESS = 0.75  #: of a parameter's name to a known one, from which on it is a typing mistake
_MOST_STRANGE = 100  #: identifiers at one place: each is compared with all that is known
_PER_TENSOR = 4  #: names and parameters of all tensors together: so many each, beside `_MOST_STRANGE`
_COMPARED = 60  #: characters of a name that are looked at


def read_parameters(value: Any, signature: Signature, own: Collection[str] = ()) -> dict[str, Any]:
    """The parameters of a request that the model knows, checked; `own` are those that the protocol's codec reads.

    Raises:
        InvalidInput: one is known to neither, or its value is of another kind than the model takes.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput('"parameters" must be an object')
    known = {parameter.name: parameter for parameter in signature.parameters}
    refuse_others("parameters", value, [*known, *sorted(own)], "the model takes none")
    return {name: _check(value[name], known[name]) for name in value if name in known and value[name] is not None}


def refuse_others(field: str, names: Iterable[str], known: Collection[str], none: str = "there is none") -> None:
    """Refuse what would be asked for and not done. Identifiers of a request ask for nothing, and may stand anywhere.

    `none` is what the message says where nothing is known.
    """
    strange = 0
    for name in names:
        if name in known:
            continue
        strange += 1
        if strange > _MOST_STRANGE:
            raise InvalidInput(f"{field}: more than {_MOST_STRANGE} names are unknown, one of them {quoted(name)}")
        if (reason := _NOT_SERVED.get(name)) is not None:
            raise InvalidInput(f"{field}: {quoted(name)} is not served: {reason}")
        if (near := resembling(name, known, _LIKENESS)) is not None:
            raise InvalidInput(f"{field}: {quoted(name)} is unknown, did you mean {near!r}?")
        if not _IDENTIFIERS.fullmatch(name[-_COMPARED:]):
            raise InvalidInput(f"{field}: {quoted(name)} is unknown, {nearest(name, known) if known else none}")


def check_few(field: str, parameters: Iterable[Sized]) -> None:
    """Those of all tensors of a request, and what else names their fields, before they are looked at one by one.

    Raises:
        InvalidInput: they are more than any client sends.
    """
    counts = [len(each) for each in parameters]
    if sum(counts) > (most := _MOST_STRANGE + _PER_TENSOR * len(counts)):
        raise InvalidInput(f"{field}: they have {sum(counts)} names and parameters in all, and {most} are read at most")


def flag(parameters: Mapping[str, Any], name: str, default: bool, field: str) -> bool:
    """A parameter of the protocol's own that is true or false."""
    value = parameters.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise InvalidInput(f"{field}.{name} must be true or false, not {described(value)}")
    return value


def with_outputs(parameters: dict[str, Any], requested: Collection[str], signature: Signature) -> dict[str, Any]:
    """Tell a model what a V2 request names as its outputs, where it computes what is asked for.

    Some say so by their parameter `outputs`. Those whose parameter `method` picks one of several are asked MLServer's
    way: an output named after a method is that method's answer.

    Raises:
        InvalidInput: a method is asked for both ways.
    """
    known = {parameter.name: parameter for parameter in signature.parameters}
    methods = known["method"].choices if "method" in known else ()
    if not requested or "outputs" in parameters or not ("outputs" in known or methods):
        return parameters
    if "outputs" not in known:
        named = {spec.name for spec in signature.outputs}
        unknown = next((name for name in requested if name not in named and name not in methods), None)
        if unknown is not None and resembling(unknown, methods):
            raise InvalidInput(f"outputs: {quoted(unknown)} is unknown; {nearest(unknown, methods)}")
        if unknown is not None or all(name in named for name in requested):
            return parameters  # what is unknown, the answer itself will tell
        if "method" in parameters:
            raise InvalidInput("parameters.method and outputs both name a method: leave out one of them")
    return parameters | {"outputs": ",".join(requested)}


def _check(value: Any, parameter: Parameter) -> Any:
    field = f"parameters.{parameter.name}"
    if parameter.kind is float and type(value) is int:
        value = float(value)
    if type(value) is not parameter.kind or (type(value) is float and not math.isfinite(value)):
        raise InvalidInput(f"{field} must be {_KINDS[parameter.kind]}, not {described(value)}")
    if parameter.choices and value not in parameter.choices:
        raise InvalidInput(
            f"{field}: {described(value)} is unknown, {nearest(str(value), map(str, parameter.choices))}"
        )
    return value
