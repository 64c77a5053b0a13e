"""The routes over REST, in a table: what each takes, gives, and can end in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.api.openapi.schemas import EVENTS, JSON, TEXT

#: what a request to a model can end in
_ASKED = (400, 404, 413, 415, 429, 500, 501, 503, 504)
#: what a question about a model can end in; one that is not in memory is brought, and may be waited for
_TOLD = (404, 429, 503, 504)
_LOADING = (400, 401, 403, 404, 413, 501, 503)

EXPLAIN = """What made each prediction: the contribution of each column, and the base value that they start from.

Their sum is the model's raw output before its last step: a regression's value, log-odds, the margin of each class, the
logarithm of a count. XGBoost's and LightGBM's models explain themselves by their exact SHAP values, scikit-learn's
linear models by coefficient times value (behind scalers and encoders, of the scaled value, added up by column), and
custom models by whatever their `explain` returns. With several outputs (classes, targets) each contribution is a list
with a number for each. A model that does not explain answers 501.
"""
_BINARY = (
    "Tensors may follow the JSON as raw bytes (`binary_data_size` in a tensor's parameters); the header "
    "`Inference-Header-Content-Length` then says where the JSON ends, in the answer as well."
)


_GENERATE = (("generate", "Generate", JSON), ("generate_stream", "Generate in parts", EVENTS))


@dataclass(frozen=True)
class Operation:
    """One route and method."""

    method: str
    path: str
    tag: str
    summary: str
    gives: str  #: the schema of a 200
    errors: Sequence[int] = ()
    description: str = ""
    takes: str = ""  #: the schema of the body; "": there is none
    examples: str = ""  #: which of a model's examples fit: "v1", "v2", "explain", "instance", "openai"
    needs_body: bool = True
    binary: bool = False  #: raw tensors may follow the JSON
    media: str = JSON  #: of a 200
    streams: bool = False  #: ... or events, where the request asks for them
    admin: bool = False
    error: str = "Error"  #: the schema of what else it can end in

    @property
    def identity(self) -> str:
        """A name of its own, as clients' generators ask for."""
        words = self.path.replace(":", "/").replace("{", "").replace("}", "").replace(".", "/").split("/")
        return "_".join([self.method, *filter(None, words)])


def _versions(path: str, labels: bool = False) -> list[str]:
    """The path by itself, with a version, and with a label."""
    return [path, f"{path}/versions/{{version}}", *([f"{path}/labels/{{version}}"] if labels else [])]


def _v1() -> list[Operation]:
    model = "/v1/models/{model_name}"
    operations = [Operation("get", "/v1/models", "V1", "The models' names", "Models")]
    for path in _versions(model, labels=True):
        about = " of one version" if "{version}" in path else ""
        told = ("ModelStatus", (404, 503))
        operations.append(Operation("get", path, "V1", f"Whether a model is ready, and the state{about}", *told))
        signatures = f"The signatures{about}, as TensorFlow Serving has them"
        operations.append(Operation("get", f"{path}/metadata", "V1", signatures, "Anything", _TOLD))
        operations.append(
            Operation(
                *("post", f"{path}:predict", "V1", f"Predict{about}", "Predictions", _ASKED),
                takes="V1Request",
                examples="v1",
            )
        )
        operations.append(
            Operation(
                *("post", f"{path}:explain", "V1", f"Explain predictions{about}", "Explanations", _ASKED, EXPLAIN),
                takes="V1Request",
                examples="explain",
            )
        )
    only = "Predict by the only model that there is, as MLflow's server and SageMaker's containers do"
    operations.append(Operation("post", "/invocations", "V1", only, "Predictions", _ASKED, takes="V1Request"))
    return operations


def _v2() -> list[Operation]:
    model = "/v2/models/{model_name}"
    operations = [
        Operation("get", "/v2", "V2", "Name, version and extensions of the server", "ServerMetadata"),
        Operation("get", "/v2/health/live", "Health", "Whether the process answers", "Live"),
        Operation("get", "/v2/health/ready", "Health", "Whether the server may be sent requests", "Ready", (503,)),
        Operation("get", "/v2/models", "V2", "The models' names", "Models"),
        Operation("get", "/v2/models/stats", "V2", "How often models were asked, and how long it took", "Statistics"),
    ]
    for path in _versions(model):
        about = " of one version" if path != model else ""
        operations += [
            Operation("get", path, "V2", f"What a model takes and gives{about}", "ModelMetadata", (400, *_TOLD)),
            Operation("get", f"{path}/ready", "V2", f"Whether a model is ready{about}", "ModelReady", (400, 404, 503)),
            Operation(
                "get",
                f"{path}/config",
                "V2",
                f"Triton's configuration{about}",
                "ModelConfig",
                (400, *_TOLD),
            ),
            Operation("get", f"{path}/stats", "V2", f"How often it was asked{about}", "Statistics", (400, 404)),
            Operation(
                *("post", f"{path}/infer", "V2", f"Predict{about}", "V2Response", _ASKED, _BINARY),
                takes="V2Request",
                examples="v2",
                binary=True,
            ),
            *(
                Operation(
                    *("post", f"{path}/{verb}", "V2", f"{summary}{about}", "Anything", _ASKED),
                    "Triton's generate extension, for models with code of their own; others answer 501.",
                    takes="Anything",
                    media=media,
                )
                for verb, summary, media in _GENERATE
            ),
        ]
    return operations


_EMBEDDINGS = "For models that embed texts. The same under /openai, or another prefix."
_PAIRS = (
    "For models that score pairs of texts, and for those that embed, whose scores are cosines. The same under /openai, "
    "or another prefix."
)
_REPOSITORY = "/v2/repository/models/{model_name}"
_OTHERS = [
    Operation(
        *(
            "post",
            "/v2/repository/index",
            "Repository",
            "Every model directory, its state and reason",
            "Index",
            (400,),
        ),
        takes="IndexRequest",
        needs_body=False,
    ),
    *(
        Operation(
            *("post", f"{_REPOSITORY}/{verb}", "Repository", summary, "Anything", _LOADING),
            takes="LoadRequest",
            needs_body=False,
            admin=True,
        )
        for verb, summary in (
            ("load", "Load a model (again)"),
            ("unload", "Unload a model, once it has answered"),
            ("promote", "Have the version with `shadow: true` serve"),
        )
    ),
    *(
        Operation(
            *("post", f"/{route}/{{model_name}}{version}", "TorchServe", summary, "Anything", _ASKED),
            "One instance as JSON, as text, as bytes or as a form; the answer is its prediction.",
            takes="Anything",
            examples="instance" if route == "predictions" else "",
        )
        for route, summary in (("predictions", "Predict one instance"), ("explanations", "Explain it (model archives)"))
        for version in ("", "/{version}")
    ),
    Operation("get", "/models", "TorchServe", "Which models there are", "TorchServeModels", (400,)),
    *(
        Operation("get", f"/models/{{model_name}}{version}", "TorchServe", summary, "TorchServeModel", (404, 501))
        for version, summary in (
            ("", "What became of a model"),
            ("/{version}", "What became of a version"),
            ("/all", "What became of every version"),
        )
    ),
    *(
        operation
        for path, told, admin in (
            ("/v2/trace/setting", "The same; a change is refused", False),
            ("/v2/logging", "The same, once the log's level is as it says: `log_level`, or Triton's switches", True),
        )
        for operation in (
            Operation("get", path, "Health", "How the server was set up", "Anything"),
            Operation(
                *("post", path, "Health", told, "Anything", (400, 401, 403, 413, 501) if admin else (400, 413, 501)),
                takes="Anything",
                needs_body=False,
                admin=admin,
            ),
        )
    ),
    *(
        Operation(
            *("post", f"/v1/{path}", "OpenAI", summary, "Anything", _ASKED),
            "OpenAI's API; with `stream` the chunks come as events. The same under /openai, or another prefix.",
            takes=takes,
            examples="openai",
            streams=True,
            error="OpenAIError",
        )
        for path, takes, summary in (
            ("chat/completions", "ChatCompletionRequest", "Go on with a chat"),
            ("completions", "CompletionRequest", "Go on with a text"),
            ("responses", "ResponseRequest", "Answer a conversation"),
        )
    ),
    *(
        Operation(
            *("post", f"/v1/{path}", "OpenAI", summary, f"{body}Response", _ASKED, about),
            takes=f"{body}Request",
            examples="openai",
            error="OpenAIError",
        )
        for path, body, summary, about in (
            ("embeddings", "Embeddings", "A vector for each text", _EMBEDDINGS),
            ("rerank", "Rerank", "Documents by how well they fit a query", _PAIRS),
            ("score", "Score", "How well pairs of texts fit", _PAIRS),
        )
    ),
    *(
        Operation(
            *("post", f"/v1/audio/{path}", "OpenAI", summary, "Anything", _ASKED),
            "For models that write speech down; a form of `file` and `model`. The same under /openai, or another.",
            takes="Anything",
            error="OpenAIError",
        )
        for path, summary in (
            ("transcriptions", "Write down what is said"),
            ("translations", "Write down in English what is said"),
        )
    ),
    Operation("get", "/ping", "Health", "As /v2/health/ready, in TorchServe's words", "Status", (503,)),
    Operation("get", "/", "Health", "Whether the process answers, as KServe says it", "Status"),
    Operation("get", "/metrics", "Health", "Prometheus' metrics", "", media=TEXT),
]

#: all of them
OPERATIONS: Sequence[Operation] = [*_v1(), *_v2(), *_OTHERS]
TAGS: Mapping[str, str] = {
    "V1": "KServe V1, and TensorFlow Serving's versions and labels",
    "V2": "The Open Inference Protocol, and Triton's extensions of it",
    "Repository": "Which models there are; loading and unloading",
    "TorchServe": "TorchServe's inference routes, and what its management routes tell",
    "OpenAI": "Language models, embeddings, rerank and speech",
    "Health": "Probes and metrics",
}
