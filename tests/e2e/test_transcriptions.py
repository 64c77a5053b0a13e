"""Speech over a whole server: OpenAI's own client, V1, V2, and clients that send something else."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("soundfile")
openai = pytest.importorskip("openai")

from adapters.huggingface_.pipeline_inputs import example_image, example_sound  # noqa: E402
from tests.adapters.huggingface_.pipeline_models import ctc, image_classifier, whisper  # noqa: E402
from tests.e2e.process import Server  # noqa: E402

pytestmark = pytest.mark.e2e
SOUND = base64.b64decode(example_sound())
TRANSCRIPTIONS = "/openai/v1/audio/transcriptions"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    mount = tmp_path_factory.mktemp("models")
    whisper(mount / "whisper")
    ctc(mount / "ctc")
    image_classifier(mount / "pictures")
    running = Server(mount, tmp_path_factory.mktemp("log") / "server.log").wait_ready()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(server: Server) -> Any:
    return openai.OpenAI(base_url=f"{server.client.base_url}/openai/v1", api_key="none", max_retries=0)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # OpenAI's client, of its translations
def test_the_official_client_writes_down_and_translates(client: Any) -> None:
    plain = client.audio.transcriptions.create(model="whisper", file=("a.wav", SOUND), language="en")
    assert isinstance(plain.text, str)
    assert plain.usage.seconds == pytest.approx(0.35)
    everything = client.audio.transcriptions.create(
        model="whisper", file=("a.wav", SOUND), response_format="verbose_json", language="en", temperature=0,
        timestamp_granularities=["word", "segment"], prompt="Hello",
    )  # fmt: skip
    assert everything.duration == pytest.approx(0.35)
    assert everything.language == "en"
    assert everything.words is not None
    assert everything.segments is not None
    translated = client.audio.translations.create(model="whisper", file=("a.wav", SOUND))
    assert isinstance(translated.text, str)
    text = client.audio.transcriptions.create(model="ctc", file=("a.wav", SOUND), response_format="text")
    assert text == f"{client.audio.transcriptions.create(model='ctc', file=('a.wav', SOUND)).text}\n"
    subtitles = client.audio.transcriptions.create(model="ctc", file=("a.wav", SOUND), response_format="vtt")
    assert subtitles.startswith("WEBVTT\n\n")


def test_every_protocol_hears_the_same(server: Server, client: Any) -> None:
    text = client.audio.transcriptions.create(model="ctc", file=("a.wav", SOUND)).text
    v1 = server.client.post("/v1/models/ctc:predict", json={"instances": [example_sound()]}).json()
    assert v1["predictions"][0]["text"].strip() == text
    tensor = {"name": "audio", "shape": [1], "datatype": "BYTES", "data": [f"data:audio/wav;base64,{example_sound()}"]}
    v2 = server.client.post("/v2/models/ctc/infer", json={"inputs": [tensor]}).json()
    assert text in v2["outputs"][0]["data"][0]
    binary = tensor | {"parameters": {"binary_data_size": len(SOUND) + 4}}
    head = json.dumps({"inputs": [{name: value for name, value in binary.items() if name != "data"}]})
    raw = server.client.post(
        "/v2/models/ctc/infer",
        content=head.encode() + len(SOUND).to_bytes(4, "little") + SOUND,
        headers={"Inference-Header-Content-Length": str(len(head))},
    )
    assert raw.json()["outputs"][0]["data"] == v2["outputs"][0]["data"]


def test_the_models_of_speech_are_listed(client: Any) -> None:
    assert {model.id for model in client.models.list()} == {"whisper", "ctc"}


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "pictures"}, 400, "model"),
        ({"model": "none"}, 404, "model"),
        ({"model": "ctc", "language": "de"}, 400, "language"),
        ({"model": "whisper", "stream": "true"}, 400, "stream"),
    ],
)
def test_what_is_not_served_is_refused_by_its_field(
    fields: dict[str, str], status: int, param: str, server: Server
) -> None:
    answer = server.client.post(TRANSCRIPTIONS, data=fields, files={"file": ("a.wav", SOUND)})
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_what_is_no_sound_is_the_clients_fault(server: Server) -> None:
    answer = server.client.post(TRANSCRIPTIONS, data={"model": "ctc"}, files={"file": ("a.m4a", b"no sound")})
    assert answer.status_code == 400
    assert "is no sound that is read here: WAV" in answer.json()["error"]["message"]
    unknown_language = server.client.post(
        TRANSCRIPTIONS, data={"model": "whisper", "language": "klingon"}, files={"file": ("a.wav", SOUND)}
    )
    assert unknown_language.status_code == 400
    assert "klingon" in unknown_language.json()["error"]["message"]
    assert server.client.post(TRANSCRIPTIONS, json={"model": "ctc"}).status_code == 400


def test_pictures_of_one_request_are_answered_beside_each_other(server: Server) -> None:
    body = {"instances": [example_image(), f"data:image/png;base64,{example_image()}", {"b64": example_image()}]}
    predictions = server.client.post("/v1/models/pictures:predict", json=body).json()["predictions"]
    assert predictions[0] == predictions[1] == predictions[2]
    assert {each["label"] for each in predictions[0]} == {"cat", "dog", "fox"}
    bad = server.client.post("/v1/models/pictures:predict", json={"instances": ["http://127.0.0.1:9/x.png"]})
    assert (bad.status_code, "nothing is fetched here" in bad.text) == (400, True)
