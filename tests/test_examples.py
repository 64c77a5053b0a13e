"""The example models: made once, as a user makes them, then asked what the README asks them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

import examples.__main__ as command
from adapters import registry
from adapters.base import ModelDir
from examples import EXAMPLES, bert_sentiment, making
from examples.news import sentences
from examples.spacy_ner import SEED, SENTENCES
from server.codec import v1
from tests.e2e.openapi_walker import send_examples
from tests.e2e.process import Server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
ADAPTERS = {
    "spacy-ner": "spacy",
    "bert-sentiment": "huggingface",
    "sklearn-iris": "sklearn",
    "sklearn-forest": "sklearn",
    "xgboost-diabetes": "xgboost",
    "lightgbm-wine": "lightgbm",
    "onnx-digits": "onnx",
}
Ask = Callable[..., list[Any]]


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "examples", str(directory), *arguments]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them, made by the command."""
    directory = tmp_path_factory.mktemp("models") / "new"
    result = run(directory)
    assert result.returncode == 0, result.stdout + result.stderr
    assert [line.split(":")[1].split()[0] for line in result.stdout.splitlines()] == ["made"] * len(EXAMPLES)
    return directory


@pytest.fixture(scope="module")
def ask(models: Path) -> Ask:
    """V1 predictions of a model, through its adapter and the codec."""
    loaded = {}

    def predictions(name: str, *instances: Any) -> list[Any]:
        if name not in loaded:
            directory = ModelDir.of(models / name, models)
            choice = registry.choose(directory)
            loaded[name] = choice.adapter.load(directory, choice.match.file, {})
        adapter = loaded[name]
        call = v1.decode(orjson.dumps({"instances": instances}), adapter.signature)
        outputs = adapter.predict(call.inputs, call.parameters)
        answer: list[Any] = orjson.loads(v1.encode(outputs, adapter.signature))["predictions"]
        return answer

    return predictions


def found(prediction: dict[str, Any]) -> list[tuple[str, str]]:
    assert prediction.keys() == {"entities"}
    return [(entity["text"], entity["label"]) for entity in prediction["entities"]]


def test_every_example_of_the_servers_description_is_answered(models: Path, tmp_path: Path) -> None:
    server = Server(models, tmp_path / "server.log").wait_ready()
    try:
        assert send_examples(server.client) >= 8 * len(EXAMPLES), "V1, V2, with and without versions, and TorchServe's"
    finally:
        assert server.stop() == 0, server.log


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_is_recognised(models: Path, name: str) -> None:
    assert registry.choose(ModelDir.of(models / name, models)).adapter.name == ADAPTERS[name]


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_answers_its_sample(ask: Ask, name: str) -> None:
    instances = EXAMPLES[name].sample["instances"]
    assert len(ask(name, *instances)) == len(instances)


def test_every_file_can_be_read_by_a_server_of_another_user(models: Path) -> None:
    for path in models.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path
    assert not [path for path in models.iterdir() if path.name.startswith(".")]


def test_the_readme_s_sentence_is_answered_exactly(ask: Ask) -> None:
    sample = EXAMPLES["spacy-ner"].sample["instances"][0]
    assert sample == {"text": "Apple is looking at buying U.K. startup for $1 billion"}
    assert ask("spacy-ner", sample) == [
        {
            "entities": [
                {"text": "Apple", "label": "ORG"},
                {"text": "U.K.", "label": "GPE"},
                {"text": "$1 billion", "label": "MONEY"},
            ]
        }
    ]


def test_the_sentence_is_not_what_it_learned(models: Path) -> None:
    learned = [text for text, _ in sentences(SENTENCES, SEED)]
    assert not [text for text in learned if "looking at buying" in text or "startup for $1 billion" in text]
    assert (models / "spacy-ner" / "ner" / "model").exists()
    assert {path.name for path in (models / "spacy-ner").iterdir() if path.is_dir()} == {"ner", "vocab"}  # no rules


def test_it_finds_names_it_never_saw(ask: Ask) -> None:
    assert found(ask("spacy-ner", {"text": "On Friday, Angela Merkel visited Ghana"})[0]) == [
        ("Friday", "DATE"),
        ("Angela Merkel", "PERSON"),
        ("Ghana", "GPE"),
    ]
    zalando = found(ask("spacy-ner", {"text": "Zalando is looking at buying Danish startup for $2 million"})[0])
    assert ("Danish", "GPE") in zalando
    assert ("$2 million", "MONEY") in zalando
    assert found(ask("spacy-ner", "Hello world, how are you today?")[0]) == []


def test_it_is_right_about_fresh_sentences(ask: Ask) -> None:
    fresh = list(sentences(100, SEED + 1))
    expected = {(row, text[start:end], label) for row, (text, spans) in enumerate(fresh) for start, end, label in spans}
    answers = ask("spacy-ner", *(text for text, _ in fresh))
    answered = {(row, *entity) for row, prediction in enumerate(answers) for entity in found(prediction)}
    assert len(expected & answered) > 0.93 * len(expected | answered)


def test_good_and_bad_reviews_are_told_apart(ask: Ask) -> None:
    texts, labels = bert_sentiment.reviews(60, bert_sentiment.SEED + 1)
    assert ask("bert-sentiment", *texts) == labels
    assert ask("bert-sentiment", "A lovely hotel!", "The phone is broken") == [1, 0]


def test_a_tokenizer_is_the_same_every_time() -> None:
    texts, _ = bert_sentiment.reviews(500)
    first, second = (bert_sentiment.tokenizer_of(texts).backend_tokenizer.to_str() for _ in range(2))
    assert first == second


@pytest.mark.parametrize(("name", "classes"), [("sklearn-iris", [0, 2]), ("sklearn-forest", [0])])
def test_classes_are_right(ask: Ask, name: str, classes: list[int]) -> None:
    assert ask(name, *EXAMPLES[name].sample["instances"]) == classes


def test_wine_is_certain(ask: Ask) -> None:
    (probabilities,) = ask("lightgbm-wine", *EXAMPLES["lightgbm-wine"].sample["instances"])
    assert probabilities[0] > 0.9
    assert sum(probabilities) == pytest.approx(1)


def test_diabetes_is_within_reason(ask: Ask) -> None:
    (progression,) = ask("xgboost-diabetes", *EXAMPLES["xgboost-diabetes"].sample["instances"])
    assert 100 < progression < 300


def test_a_zero_is_read(ask: Ask) -> None:
    (digit,) = ask("onnx-digits", *EXAMPLES["onnx-digits"].sample["instances"])
    assert digit["label"] == 0


def test_what_is_there_is_left_alone(models: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in models.rglob("*")}
    result = run(models, "--only", "sklearn-iris, spacy-ner")
    assert result.stdout.splitlines() == ["sklearn-iris: is there already", "spacy-ner: is there already"]
    assert {path: path.stat().st_mtime_ns for path in models.rglob("*")} == before


def test_an_unknown_name_is_told(tmp_path: Path) -> None:
    result = run(tmp_path, "--only", "sklern-iris")
    assert result.returncode == 2
    assert "'sklern-iris' is no example: did you mean sklearn-iris?" in result.stderr


def test_a_framework_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = making.importlib.util.find_spec
    monkeypatch.setattr(making.importlib.util, "find_spec", lambda name: None if name == "sklearn" else find(name))
    assert command.main([str(tmp_path), "--only", "sklearn-iris,lightgbm-wine"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "sklearn-iris: skipped, pip install scikit-learn to make it",
        "lightgbm-wine: skipped, pip install scikit-learn to make it",
    ]


def test_a_failure_is_told(tmp_path: Path) -> None:
    (tmp_path / ".sklearn-iris.unfinished").write_text("a file where the work goes")
    result = run(tmp_path, "--only", "sklearn-iris")
    assert result.returncode == 1
    assert result.stdout.startswith("sklearn-iris: failed: FileExistsError")


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise MemoryError

    monkeypatch.setitem(EXAMPLES, "sklearn-iris", replace(EXAMPLES["sklearn-iris"], make=fail))
    with pytest.raises(MemoryError):
        making.make("sklearn-iris", tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_run_is_taken_up(tmp_path: Path) -> None:
    unfinished = tmp_path / ".lightgbm-wine.unfinished"
    unfinished.mkdir()
    (unfinished / "half").write_text("")
    making.make("lightgbm-wine", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lightgbm-wine"]
    assert [path.name for path in (tmp_path / "lightgbm-wine").iterdir()] == ["model.txt"]
