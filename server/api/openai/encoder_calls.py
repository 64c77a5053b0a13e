"""What a model of texts is called with, and what its outputs come to: vectors, or scores of pairs.

A request of these routes is a request of tensors like any other: it waits in the model's queue, and shares calls. Its
codec makes the tensors of the parsed body, and a document of the outputs.

Scores of pairs are the model's own where it gives some (`Signature.task` "score"), else the cosine of two embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from adapters.base import TOKEN_COUNTS, Array, Signature, Tensors
from adapters.shared.arrays import array_of
from server.codec.decoded_request import DecodedRequest
from server.codec.outputs import dumps_arrays
from server.codec.parameters import read_parameters
from server.inference.answer import JSON_HEADERS, Answer
from server.inference.request import Codec


def text_codec(
    signature: Signature, texts: Sequence[str], parameters: dict[str, Any], document: Callable[[Array], dict[str, Any]]
) -> Codec:
    """Texts to their vectors [texts, size]; `document` is the answer to them, but for the usage.

    Raises:
        InvalidInput: the model has no such parameters.
    """
    return _codec(signature, [texts], parameters, document)


def pair_codec(
    signature: Signature,
    firsts: Sequence[str],
    seconds: Sequence[str],
    parameters: dict[str, Any],
    document: Callable[[Array], dict[str, Any]],
) -> Codec:
    """Pairs to their scores [pairs]; `firsts` are one text for all of them, or one each.

    Raises:
        InvalidInput: the model has no such parameters.
    """
    if signature.task == "embedding":
        count = len(firsts)
        return text_codec(
            *(signature, [*firsts, *seconds], parameters),
            lambda vectors: document(cosines(vectors[:count], vectors[count:])),
        )
    return _codec(signature, [list(firsts) * (len(seconds) // len(firsts)), seconds], parameters, document)


def cosines(firsts: Array, seconds: Array) -> Array:
    """Of vectors [1 or n, size] and [n, size]: [n], between -1 and 1; 0 for a vector that has no direction."""
    cosine: Array = (unit(firsts) * unit(seconds)).sum(1)
    return cosine


def unit(vectors: Array) -> Array:
    """The vectors with length 1, as FP64; those of length 0 as they are."""
    exact = vectors.astype(np.float64)
    length = np.linalg.norm(exact, axis=1, keepdims=True)
    made: Array = exact / np.where(length == 0, 1, length)
    return made


def _codec(
    signature: Signature,
    columns: Sequence[Sequence[str]],
    parameters: dict[str, Any],
    document: Callable[[Array], dict[str, Any]],
) -> Codec:
    """Columns of texts, one for each of the model's first inputs, to its one output, and that to the document."""
    inputs = {spec.name: array_of(list(column)) for spec, column in zip(signature.inputs, columns, strict=False)}
    asked = read_parameters({**parameters, TOKEN_COUNTS.name: True}, signature)
    call = DecodedRequest(inputs, len(columns[0]), asked)
    (output,) = signature.outputs

    def encode(outputs: Tensors, decoded: DecodedRequest) -> Answer:
        return _answer(document(outputs[output.name]), outputs)

    return Codec(lambda request: call, encode)


def _answer(document: dict[str, Any], outputs: Tensors) -> Answer:
    """The usage is what the model read: texts that it cuts count as far as they are left."""
    tokens = int(outputs[TOKEN_COUNTS.name].sum())
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return Answer(200, JSON_HEADERS, dumps_arrays({**document, "usage": usage}))
