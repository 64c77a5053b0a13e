"""The one grammar of the paths that name a model, and what is asked of it.

    POST /v1/models/{model}[/versions/{version} | /labels/{label}]:predict, :explain
    POST /v2/models/{model}[/versions/{version}]/infer, /generate, /generate_stream
    GET  /v1/models/{model}[/versions/{version} | /labels/{label}][/metadata]
    GET  /v2/models/{model}[/versions/{version}][/ready, /config, /stats]

    POST /invocations        MLflow's and SageMaker's: V1's predict of the only model that there is

In V2 `?model_version=` names the version as well, as KServe's routes have it.

Sources: KServe V1; TensorFlow Serving (versions, labels, metadata); Open Inference Protocol; Triton's extensions
generate, model configuration and statistics; MLflow's scoring server and SageMaker's contract for containers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from server.errors import InvalidInput, NotFound, NotSupported, ServingError

V1, V2 = "/v1/models/", "/v2/models/"

#: what ends a path of V1 -> the verb
V1_VERBS = ("predict", "explain")
#: what ends a path of V2 -> the verb
V2_VERBS = {"infer": "predict", "generate": "generate", "generate_stream": "generate_stream"}
#: what ends a path of V2 that tells of a model, beside nothing: its metadata
_V2_FACTS = ("ready", "config", "stats")
#: verbs of TensorFlow Serving for models of `tf.Example`s
_TF_EXAMPLES = ("classify", "regress")
_VERSION = "model_version"
#: of MLflow's server and of SageMaker's containers, which have one model
INVOCATIONS = "/invocations"
_INVOKE = re.compile(r"/models/([^/]+)/invoke")  #: of SageMaker's containers with several
#: Triton's settings; of a model, behind its name
LOGGING, TRACE, MODEL_TRACE = "/v2/logging", "/v2/trace/setting", "/trace/setting"


class ModelPath(NamedTuple):
    """What a request to the path asks of a model."""

    protocol: str  #: "v1" or "v2"
    verb: str  #: POST: "predict", "explain", "generate", "generate_stream"; GET: "status", "metadata", "ready", ...
    model: str
    version: str | None = None  #: a number or a label; None where the path names none


def parse(path: str) -> ModelPath | None:
    """What a POST to the path asks of a model; None: nothing."""
    if path.startswith(V1):
        named, _, verb = path[len(V1) :].rpartition(":")
        return ModelPath("v1", verb, *_versioned(named)) if verb in V1_VERBS else None
    if path.startswith(V2):
        named, _, last = path[len(V2) :].rpartition("/")
        if (known := V2_VERBS.get(last)) is None:
            return None
        name, found, version = named.partition("/versions/")
        return ModelPath("v2", known, name, version if found else None)
    return None


def parse_facts(path: str) -> ModelPath | None:
    """What a GET of the path would like to know of a model; None: nothing, or it is a POST's path."""
    if parse(path) is not None:
        return None
    if path.startswith(V1):
        named, verb = path[len(V1) :], "status"
        if named.endswith("/metadata"):
            named, verb = named.removesuffix("/metadata"), "metadata"
        name, version = _versioned(named)
        return ModelPath("v1", verb, name, version) if name and "/" not in name else None
    if path.startswith(V2):
        name, *rest = path[len(V2) :].split("/")
        version = None
        if rest[:1] == ["versions"] and len(rest) > 1:
            _, version, *rest = rest
        verb = rest[0] if rest else "metadata"
        known = not rest or (len(rest) == 1 and verb in _V2_FACTS)
        return ModelPath("v2", verb, name, version) if name and known else None
    return None


def is_settings(path: str) -> bool:
    """Whether it is about how requests are traced or what is logged, which GET and POST ask alike."""
    return path in (LOGGING, TRACE) or (path.startswith(V2) and path.endswith(MODEL_TRACE))


def asked_by(scope: Mapping[str, Any]) -> ModelPath | None:
    """What a POST, as ASGI describes it, asks of a model; None: nothing.

    Raises:
        InvalidInput: its path and its query name different versions.
    """
    return _with_query(parse(scope["path"]), scope)


def facts_asked_by(scope: Mapping[str, Any]) -> ModelPath | None:
    """The same of a GET: what it would like to know.

    Raises:
        InvalidInput
    """
    return _with_query(parse_facts(scope["path"]), scope)


def of_the_only(names: Sequence[str]) -> ModelPath:
    """What a POST to `INVOCATIONS` asks, where somebody knows of these models.

    Raises:
        NotFound: there is none, or there are several.
    """
    if len(names) == 1:
        return ModelPath("v1", "predict", names[0])
    held = f"{len(names)} models" if names else "no model"
    raise NotFound(f"{INVOCATIONS} is for a server of one model, this has {held}: POST to /v1/models/NAME:predict")


def refusal(path: str) -> ServingError | None:
    """Why a POST does nothing that ends in a verb of a model that there is not, or is SageMaker's."""
    if (invoked := _INVOKE.fullmatch(path)) is not None:
        return NotFound(f"{path} is not served: POST the same body to /v1/models/{invoked[1]}:predict")
    if path.startswith(V2):
        return _refusal_of_v2(path)
    named, colon, verb = path[len(V1) :].rpartition(":") if path.startswith(V1) else ("", "", "")
    if not colon or "/" in verb:
        return None
    there_are = " and ".join(f"POST /v1/models/{named}:{known}" for known in V1_VERBS)
    if verb in _TF_EXAMPLES:
        return NotSupported(f"':{verb}' takes tf.Examples and is not served; there are {there_are}")
    return NotFound(f"there is no verb {verb!r}; there are {there_are}")


def _refusal_of_v2(path: str) -> ServingError | None:
    named, _, verb = path[len(V2) :].rpartition("/")
    name, _, version = named.partition("/versions/")
    facts = parse_facts(path)
    if not name or "/" in name or "/" in version or is_settings(path) or facts is not None:
        return None  # it is asked by GET, or is no path at all
    there_are = ", ".join(f"/{known}" for known in V2_VERBS)
    return NotFound(f"there is no {verb!r} of a model; there are {there_are} behind {V2}{named}")


def _versioned(named: str) -> tuple[str, str | None]:
    """The model and the version or label."""
    name, found, version = named.partition("/versions/" if "/versions/" in named else "/labels/")
    return name, version if found else None


def _with_query(asked: ModelPath | None, scope: Mapping[str, Any]) -> ModelPath | None:
    """With the version that the query names."""
    query: bytes = scope.get("query_string", b"")
    if asked is None or asked.protocol != "v2" or not query:
        return asked
    versions = {*parse_qs(str(query, "latin-1")).get(_VERSION, []), *filter(None, [asked.version])}
    if len(versions) > 1:
        named = " and ".join(map(repr, sorted(versions)))
        raise InvalidInput(f"the path and {_VERSION} name different versions, {named}: name one")
    return asked._replace(version=versions.pop()) if versions else asked
