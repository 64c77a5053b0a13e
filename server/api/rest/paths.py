"""The one grammar of the paths that name a model and what is asked of it.

    /v1/models/{model}[/versions/{version} | /labels/{label}]:predict, :explain
    /v2/models/{model}[/versions/{version}]/infer, /generate, /generate_stream

Sources: KServe V1; TensorFlow Serving (versions and labels); Open Inference Protocol; Triton's generate extension.
"""

from __future__ import annotations

from typing import NamedTuple

V1, V2 = "/v1/models/", "/v2/models/"

#: what ends a path of V2 -> the verb
_V2_VERBS = {"infer": "predict", "generate": "generate", "generate_stream": "generate_stream"}


class ModelPath(NamedTuple):
    """What a POST to the path asks of a model."""

    protocol: str  #: "v1" or "v2"
    verb: str  #: "predict", "explain", "generate" or "generate_stream"
    model: str
    version: str | None = None  #: a number or a label; None where the path names none


def parse(path: str) -> ModelPath | None:
    """What a POST to the path asks of a model; None: nothing."""
    if path.startswith(V1):
        named, _, verb = path[len(V1) :].rpartition(":")
        if verb not in ("predict", "explain"):
            return None
        name, found, version = named.partition("/versions/" if "/versions/" in named else "/labels/")
        return ModelPath("v1", verb, name, version if found else None)
    if path.startswith(V2):
        named, _, last = path[len(V2) :].rpartition("/")
        if (known := _V2_VERBS.get(last)) is None:
            return None
        name, found, version = named.partition("/versions/")
        return ModelPath("v2", known, name, version if found else None)
    return None
