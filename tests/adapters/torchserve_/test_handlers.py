"""Handlers in their workers: what they get, and what becomes of what they answer."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from adapters import registry
from adapters.base import Adapter, InvalidInput, LoadError, ModelDir
from adapters.torchserve_.messages import request_of
from server.codec import v1, v2
from server.config.model_config import ModelConfig
from server.errors import ModelFailed
from server.workers.placement import WorkerPlacement
from tests.adapters.torchserve_.archives import archive, classifier, eager, echo, forged, functions
from tests.patience import wait_for

Load = Callable[..., Adapter]

pytestmark = pytest.mark.slow  # every model starts a process, most of which import torch


@pytest.fixture(scope="module")
def load() -> Iterator[Load]:
    """Loads a directory as the server does, in a worker."""
    workers = WorkerPlacement()
    loaded: list[Adapter] = []

    def load(folder: Path, **options: Any) -> Adapter:
        directory = ModelDir.of(folder)
        choice = registry.choose(directory)
        assert workers.wants(choice, ModelConfig())
        loaded.append(workers.load(directory, choice, options, ModelConfig())[0])
        return loaded[-1]

    yield load
    for adapter in loaded:
        adapter.close()


@pytest.fixture(scope="module")
def echoing(load: Load, tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    base = tmp_path_factory.mktemp("echo")
    return load(echo(base / "work", base / "models"))


def ask(adapter: Adapter, *instances: Any, **parameters: Any) -> list[Any]:
    """V1 there and back."""
    body = orjson.dumps({"instances": instances, "parameters": parameters})
    call = v1.decode(body, adapter.signature)
    outputs = adapter.predict(call.inputs, call.parameters)
    predictions: list[Any] = orjson.loads(v1.encode(outputs, adapter.signature))["predictions"]
    return predictions


def test_a_function_loads_on_its_first_call_and_answers_each_instance(load: Load, tmp_path: Path) -> None:
    adapter = load(functions(tmp_path / "work", tmp_path / "models"))
    assert ask(adapter, [1, 2], [3.5]) == [9, 10.5]
    assert not adapter.traits.batchable


def test_a_named_function_is_called(load: Load, tmp_path: Path) -> None:
    (tmp_path / "h.py").write_text("def answer(data, context):\n    return [1] * len(data or ())\n")
    assert ask(load(archive(tmp_path, "h", "h:answer", tmp_path / "models")), "x", "y") == [1, 1]


def test_an_eager_model_answers_as_torch_does(load: Load, tmp_path: Path) -> None:
    import torch

    model = eager(tmp_path / "work", tmp_path / "models")
    adapter = load(tmp_path / "models")
    rows = [[1.0, 2.0, 3.0], [0.5, -1.0, 2.0]]
    with torch.inference_mode():
        wanted = [model(torch.tensor([row]))[0, 0].item() for row in rows]
    answers = ask(adapter, rows[0], {"data": rows[1]})
    assert answers == [{"sum": value, "batch": 1} for value in wanted]
    assert ask(adapter, {"x": rows[0]}) == [{"sum": wanted[0], "batch": 1}]
    with pytest.raises(InvalidInput, match="send a list of numbers"):
        ask(adapter, "text")


def test_requests_share_a_call_up_to_the_batch_size(load: Load, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").parent.mkdir(exist_ok=True)
    (tmp_path / "config.yaml").write_text("batchSize: 4\nmaxBatchDelay: 10\n")
    eager(tmp_path / "work", tmp_path / "models", config_file=str(tmp_path / "config.yaml"))
    adapter = load(tmp_path / "models")
    assert adapter.traits.batchable
    assert [answer["batch"] for answer in ask(adapter, *[[1, 2, 3]] * 5)] == [4, 4, 4, 4, 1]
    assert [answer["batch"] for answer in ask(load(tmp_path / "models", batch_size=2), *[[1, 2, 3]] * 3)] == [2, 2, 1]


def test_of_a_batch_only_the_refused_request_fails(load: Load, tmp_path: Path) -> None:
    eager(tmp_path / "work", tmp_path / "models")
    adapter = load(tmp_path / "models", batch_size=4)
    requests = [{"parts": {"body": value}} for value in ([1, 2, 3], "text", [1, 2, 3])]
    answers = ask(adapter, *requests, envelope="http")
    assert [answer["status"] for answer in answers] == [200, 415, 200]
    assert answers[1]["body"] == {"error": "send a list of numbers"}


def test_whole_requests_show_their_parts_and_headers(echoing: Adapter) -> None:
    adapter = echoing
    image = {"b64": base64.b64encode(b"\x89PNG\r\n").decode()}
    (answer,) = ask(adapter, {"parts": {"data": image, "n": "5"}, "headers": {}}, envelope="http")
    assert answer["body"] == {"data": ["bytearray", "\x89PNG\r\n"], "n": ["str", "5"]}
    (answer,) = ask(adapter, {"parts": {}, "headers": {"x-kind": "bytes"}}, envelope="http")
    assert answer["headers"] == {"content-type": "image/png"}
    assert answer["body"] == {"b64": base64.b64encode(b"\x89PNG").decode()}
    (answer,) = ask(adapter, {"parts": {}, "headers": {"X-KIND": "teapot"}}, envelope="http")
    assert answer["status"] == 418
    for bad in ({"body": 1}, "text", {"parts": [1]}):
        with pytest.raises(InvalidInput):
            ask(adapter, bad, envelope="http")


def test_v2_carries_json_text_and_bytes(echoing: Adapter) -> None:
    adapter = echoing
    tensor = {"name": "any", "shape": [3], "datatype": "BYTES", "data": ['{"data": [1]}', "plain", "[2]"]}
    call = v2.decode(orjson.dumps({"inputs": [tensor]}), None, adapter.signature)
    answer, _ = v2.encode(adapter.predict(call.inputs, call.parameters), call, "m")
    items = [orjson.loads(text) for text in orjson.loads(answer)["outputs"][0]["data"]]
    assert items == [{"data": ["list", [1]]}, {"body": ["str", "plain"]}, {"body": ["list", [2]]}]
    numbers = {"name": "any", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}
    call = v2.decode(orjson.dumps({"inputs": [numbers]}), None, adapter.signature)
    assert adapter.predict(call.inputs, {})["predictions"].tolist() == [
        {"body": ["list", [1, 2]]},
        {"body": ["list", [3, 4]]},
    ]


@pytest.mark.parametrize("name", ["data", "body"])
def test_a_handler_finds_the_value_under_both_names(name: str, load: Load, tmp_path: Path) -> None:
    source = "def handle(data, context):\n    return [[r['NAME'], r.get('NAME'), r.get('x', 5)] for r in data or ()]\n"
    (tmp_path / "h.py").write_text(source.replace("NAME", name))
    adapter = load(archive(tmp_path, "h", "h.py", tmp_path / "models"))
    assert ask(adapter, [1, 2], {"data": 3}, {"body": 4}) == [[[1, 2], [1, 2], 5], [3, 3, 5], [4, 4, 5]]
    tensor = {"name": "data", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}
    call = v2.decode(orjson.dumps({"inputs": [tensor]}), None, adapter.signature)
    assert adapter.predict(call.inputs, {})["predictions"].tolist() == [["a", "a", 5], ["b", "b", 5]]


def test_a_name_that_nobody_sent_is_a_key_error() -> None:
    row = request_of({"data": 1}, http=False, bare=False).data
    assert row.get("x") is None
    with pytest.raises(KeyError):
        row["x"]
    assert dict(row) == {"data": 1}
    assert type(request_of({"parts": {"data": 1}}, http=True, bare=False).data) is dict


def test_a_service_envelope_hands_instances_over_as_they_are(load: Load, tmp_path: Path) -> None:
    (tmp_path / "h.py").write_text(
        "def handle(data, context):\n    return [type(row).__name__ for row in data or ()]\n"
    )
    adapter = load(archive(tmp_path, "h", "h.py", tmp_path / "models"), service_envelope="kserve")
    assert ask(adapter, {"x": 1}, [1], "text") == ["dict", "list", "str"]


def test_what_a_handler_answers_wrongly_is_its_own_failure(echoing: Adapter) -> None:
    adapter = echoing

    def asked(kind: str) -> None:
        ask(adapter, {"parts": {}, "headers": {"x-kind": kind}}, envelope="http")

    with pytest.raises(ModelFailed, match="answered 2 items for 1 requests"):
        asked("many")
    with pytest.raises(ModelFailed, match="ValueError: boom"):
        asked("crash")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nowhere_to_be_found\n", r"h\.py, line 1: ModuleNotFoundError.*requirements"),
        ("from ts.handler_utils.micro_batching import MicroBatching\n", r"h\.py, line 1: .*: list torchserve in"),
        ("from ts.context import Nothing\n", r"h\.py, line 1: ImportError: .*: list torchserve in"),
        ("def handle(data, context):\n    raise KeyError('weights')\n", r"h\.py, line 2: KeyError: 'weights'"),
        ("x = 1\n", "neither a function handle"),
        ("class A:\n    handle = initialize = print\nclass B:\n    handle = initialize = print\n", r"several.*A, B"),
        ("import sys\nsys.exit(3)\n", r"h\.py, line 2: SystemExit"),
        ("def handle(:\n", "SyntaxError"),
    ],
    ids=["import", "of torchserve", "name of torchserve", "initialize", "nothing", "two classes", "exit", "syntax"],
)
def test_a_handler_that_cannot_be_loaded_says_why(load: Load, tmp_path: Path, source: str, reason: str) -> None:
    forged(tmp_path / "m.mar", {"h.py": source.encode()})
    with pytest.raises(LoadError, match=reason):
        load(tmp_path)


def test_weights_that_are_a_pickle_of_more_are_not_loaded(load: Load, tmp_path: Path) -> None:
    import torch

    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    weights = io.BytesIO()
    torch.save({"w": Evil()}, weights)
    net = b"import torch\nclass Net(torch.nn.Module):\n    pass\n"
    files = {"net.py": net, "net.pt": weights.getvalue()}
    forged(tmp_path / "m.mar", files, handler="base_handler", modelFile="net.py", serializedFile="net.pt")
    with pytest.raises(LoadError, match=r"(?i)weights_only|unsupported"):
        load(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_what_was_unpacked_is_gone_when_the_worker_is(tmp_path: Path, load: Load) -> None:
    source = "import os\ndef handle(data, context):\n    return [os.getcwd() for _ in data or ()]\n"
    forged(tmp_path / "m.mar", {"h.py": source.encode(), "extra/file.txt": b"x"})
    adapter = load(tmp_path)
    (folder,) = (Path(answer) for answer in ask(adapter, 1))
    assert (folder / "extra" / "file.txt").is_file()
    assert folder.stat().st_mode & 0o077 == 0 or folder.parent.stat().st_mode & 0o077 == 0
    adapter.close()
    wait_for(lambda: not folder.parent.exists(), "the folder to be removed")


def _png(pixels: np.ndarray[Any, Any]) -> bytes:
    from PIL import Image

    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()


def test_the_image_classifier_answers_labels_and_probabilities(load: Load, tmp_path: Path) -> None:
    import torch
    import torch.nn.functional as F
    from PIL import Image

    labels = {str(number): ["n0", f"class {number}"] for number in range(8)}
    model = classifier(tmp_path / "work", tmp_path / "models", labels)
    adapter = load(tmp_path / "models")
    pixels = np.random.default_rng(0).integers(0, 256, (300, 500, 3), dtype=np.uint8)
    (answer,) = ask(adapter, {"data": {"b64": base64.b64encode(_png(pixels)).decode()}})

    # torchvision's Resize(256), CenterCrop(224), ToTensor, Normalize, written out
    image = Image.fromarray(pixels).resize((int(256 * 500 / 300), 256), Image.Resampling.BILINEAR)
    left, top = round((image.width - 224) / 2), round((image.height - 224) / 2)
    crop = np.asarray(image.crop((left, top, left + 224, top + 224)), dtype=np.float32) / 255
    scaled = (crop - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    with torch.inference_mode():
        wanted = F.softmax(model(torch.tensor(scaled.transpose(2, 0, 1)[None])), dim=1)[0]
    top5 = torch.topk(wanted, 5)
    assert list(answer) == [f"class {number}" for number in top5.indices.tolist()]
    assert list(answer.values()) == pytest.approx(top5.values.tolist(), abs=1e-6)
    text = base64.b64encode(_png(pixels)).decode()
    assert ask(adapter, text) == [answer]  # TorchServe takes base64 as text, too
    gray = np.zeros((40, 30), dtype=np.uint8)
    assert len(ask(adapter, {"b64": base64.b64encode(_png(gray)).decode()})[0]) == 5


def test_the_text_classifier_takes_a_vocabulary_of_words(load: Load, tmp_path: Path) -> None:
    import torch
    import torch.nn.functional as F

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.EmbeddingBag(10, 4)
            self.fc = torch.nn.Linear(4, 2)

        def forward(self, text: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
            return self.fc(self.embedding(text, offsets))

    torch.manual_seed(0)
    model = Net().eval()
    torch.jit.script(model).save(tmp_path / "text.pt")
    vocabulary = {"<unk>": 0, "it": 1, "is": 2, "good": 3, "not": 4, "is not": 5, "not good": 6}
    torch.save(vocabulary, tmp_path / "source_vocab.pt")
    (tmp_path / "index_to_name.json").write_text('{"0": "bad", "1": "good"}')
    extra = "source_vocab.pt,index_to_name.json"
    archive(tmp_path, "text", "text_classifier", tmp_path / "m", serialized_file="text.pt", extra_files=extra)
    (answer,) = ask(load(tmp_path / "m"), "<b>It isn't good!</b>")
    numbers = torch.tensor([1, 2, 4, 3, 0, 5, 6])  # it is not good / it is, is not, not good
    with torch.inference_mode():
        wanted = F.softmax(model(numbers, torch.tensor([0])), dim=1)[0].tolist()
    assert answer == pytest.approx({"bad": wanted[0], "good": wanted[1]}, abs=1e-6)


def test_handlers_with_modules_of_our_names_do_not_meet_ours(load: Load, tmp_path: Path) -> None:
    files = {
        "h.py": b"import adapters, server\ndef handle(data, context):\n"
        b"    return [adapters.NAME + server.NAME for _ in data or ()]\n",
        "adapters/__init__.py": b"NAME = 'own '\n",
        "server.py": b"NAME = 'names'\n",
    }
    forged(tmp_path / "m.mar", files)
    assert ask(load(tmp_path), 1) == ["own names"]


def test_metrics_and_timers_are_there_for_handlers_that_use_them(load: Load, tmp_path: Path) -> None:
    source = b"""
from ts.handler_utils.timer import timed
from ts.metrics.dimension import Dimension
from ts.metrics.metric_type_enum import MetricTypes

class Handler:
    def initialize(self, context):
        self.context = context
        self.counter = context.metrics.add_metric_to_cache("seen", "count", ["model"], MetricTypes.COUNTER)

    @timed
    def work(self, data):
        return [context_free(row) for row in data]

    def handle(self, data, context):
        self.counter.add_or_update(len(data), ["m"])
        context.metrics.add_time("t", 1.5, None, "ms", [Dimension("a", "b")])
        return self.work(data)

def context_free(row):
    return (row["body"], {1: float("nan")})
"""
    forged(tmp_path / "m.mar", {"h.py": source, "c.yaml": b"handler: {profile: true}"}, configFile="c.yaml")
    assert ask(load(tmp_path), 7) == [[7, {"1": None}]]
