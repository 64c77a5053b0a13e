"""Every task of transformers' pipelines, over tiny random models: the answers are the pipeline's own."""

from __future__ import annotations

import base64
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("PIL")
soundfile = pytest.importorskip("soundfile")

from adapters.base import InvalidInput, LoadError, ModelDir  # noqa: E402
from adapters.huggingface_ import HuggingFaceAdapter  # noqa: E402
from adapters.huggingface_.pipeline_answers import as_json  # noqa: E402
from adapters.huggingface_.pipeline_inputs import example_image, example_sound, example_video  # noqa: E402
from adapters.huggingface_.pipeline_tasks import PIPELINES  # noqa: E402
from adapters.huggingface_.pipelines import PipelineModel  # noqa: E402
from adapters.shared.arrays import array_of  # noqa: E402
from tests.adapters.huggingface_.pipeline_models import MODELS  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:At least one mel filter"),
    pytest.mark.filterwarnings("ignore:Using the model-agnostic default"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
LABELS = ["sports", "politics", "the capital"]
BOXES = [["Total", [10, 20, 60, 35]], ["100", [70, 20, 90, 35]], ["dog", [1, 2, 3, 4]]]
TABLE = {"city": ["Rome", "Oslo"], "people": ["2.8", "0.7"]}

Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    made: dict[str, Path] = {}

    def get(task: str) -> Path:
        if task not in made:
            made[task] = MODELS[task](tmp_path_factory.mktemp("models") / task)
        return made[task]

    return get


def load(path: Path, task: str, **options: Any) -> HuggingFaceAdapter:
    return HuggingFaceAdapter.load(ModelDir.of(path), "", {"task": task, **options})


def ask(adapter: HuggingFaceAdapter, rows: list[dict[str, Any]], **parameters: Any) -> list[Any]:
    columns = {name: array_of([row[name] for row in rows]) for name in rows[0]}
    return list(adapter.predict(columns, parameters)["output-0"])


def waves(samples: int) -> str:
    """So many of silence."""
    import soundfile

    file = BytesIO()
    soundfile.write(file, np.zeros(samples), 16_000, format="WAV")
    return base64.b64encode(file.getvalue()).decode()


def picture(shade: int = 0) -> Any:
    from PIL import Image

    return Image.open(BytesIO(base64.b64decode(example_image(shade)))).convert("RGB")


def sound() -> Any:
    return soundfile.read(BytesIO(base64.b64decode(example_sound())), dtype="float32")[0]


def theirs(path: Path, task: str, *arguments: Any, **keywords: Any) -> Any:
    """What transformers' own pipeline answers, loaded by itself."""
    import torch
    import transformers

    pipe = transformers.pipeline(task, model=str(path), dtype=torch.float32, device="cpu")
    return as_json(pipe(*arguments, **keywords))


def close(ours: Any, other: Any) -> bool:
    """Equal, numbers within the last bits of FP32."""
    if isinstance(other, dict):
        return isinstance(ours, dict) and ours.keys() == other.keys() and all(close(ours[k], other[k]) for k in other)
    if isinstance(other, list):
        return len(ours) == len(other) and all(map(close, ours, other))
    return bool(ours == pytest.approx(other, rel=1e-5, abs=1e-5)) if isinstance(other, float) else bool(ours == other)


#: task -> (a row as a client sends it, what transformers is given, keywords of both)
ASKED: dict[str, tuple[dict[str, Any], Callable[[], tuple[Any, ...]], dict[str, Any]]] = {
    "text-classification": ({"text": "hello dog"}, lambda: ("hello dog",), {"top_k": 2}),
    "token-classification": (
        {"text": "paris is cute"}, lambda: ("paris is cute",), {"aggregation_strategy": "simple"}),
    "fill-mask": ({"text": "the [MASK] dog"}, lambda: ("the [MASK] dog",), {"top_k": 3}),
    "feature-extraction": ({"text": "hello world"}, lambda: ("hello world",), {}),
    "image-classification": ({"image": example_image()}, lambda: (picture(),), {"top_k": 2}),
    "image-feature-extraction": ({"image": example_image()}, lambda: (picture(),), {"pool": True}),
    "object-detection": ({"image": example_image()}, lambda: (picture(),), {"threshold": 0.1}),
    "image-segmentation": ({"image": example_image()}, lambda: (picture(),), {"subtask": "semantic"}),
    "depth-estimation": ({"image": example_image()}, lambda: (picture(),), {}),
    "audio-classification": ({"audio": example_sound()}, lambda: (sound(),), {"top_k": 2}),
    "automatic-speech-recognition": ({"audio": example_sound()}, lambda: (sound(),), {}),
}  # fmt: skip


@pytest.mark.parametrize("task", ASKED)
def test_an_answer_is_the_pipelines_own(task: str, folder: Folder) -> None:
    row, given, keywords = ASKED[task]
    adapter = load(folder(task), task)
    answers = ask(adapter, [row, row], **keywords)
    expected = theirs(folder(task), task, *given(), **keywords)
    assert close(answers[0], expected), (answers[0], expected)
    assert close(answers[1], expected)


@pytest.mark.parametrize(
    ("task", "name", "value", "given"),
    [
        ("zero-shot-classification", "text", "hello dog", lambda: "hello dog"),
        ("zero-shot-image-classification", "image", example_image(), picture),
        ("zero-shot-object-detection", "image", example_image(), picture),
        ("zero-shot-audio-classification", "audio", example_sound(), sound),
    ],
)
def test_labels_come_with_each_row(task: str, name: str, value: str, given: Callable[[], Any], folder: Folder) -> None:
    adapter = load(folder(task), task)
    rows = [{name: value, "candidate_labels": LABELS}, {name: value, "candidate_labels": "sports, politics"}]
    answers = ask(adapter, rows)
    assert close(answers[0], theirs(folder(task), task, given(), candidate_labels=LABELS))
    assert close(answers[1], theirs(folder(task), task, given(), candidate_labels=LABELS[:2]))
    with pytest.raises(InvalidInput, match=r"candidate_labels\[0\] names no labels"):
        ask(adapter, [{name: value, "candidate_labels": []}])


def test_a_table_answers_a_question(folder: Folder) -> None:
    import pandas as pd

    task = "table-question-answering"
    answer = ask(load(folder(task), task), [{"table": TABLE, "query": "how many people"}])[0]
    assert answer == theirs(folder(task), task, {"table": pd.DataFrame(TABLE), "query": "how many people"})
    for large in ({"a": ["8"] * 500}, {str(i): ["8"] for i in range(500)}):
        with pytest.raises(InvalidInput, match=r"table\[0\]"):
            ask(load(folder(task), task), [{"table": large, "query": "how many"}])


def test_words_with_their_places_answer_a_question(folder: Folder) -> None:
    task = "document-question-answering"
    adapter = load(folder(task), task)
    row = {"image": example_image(), "question": "how much", "word_boxes": BOXES}
    expected = theirs(folder(task), task, picture(), question="how much", word_boxes=BOXES)
    assert close(ask(adapter, [row])[0], expected)
    with pytest.raises(InvalidInput, match="word_boxes is missing"):
        ask(adapter, [{"image": example_image(), "question": "how much"}])


@pytest.mark.parametrize(
    ("task", "renders"), [("image-text-to-text", False), ("fill-mask", False), ("any-to-any", True), ("decision", True)]
)
def test_a_template_of_the_folder_s_runs_in_a_worker(task: str, renders: bool, folder: Folder) -> None:
    """It is a program, and may run for ever; the server's own process is everybody's."""
    assert bool(load(folder(task), task).carries) == renders


def test_a_picture_is_written_about(folder: Folder) -> None:
    task = "image-text-to-text"
    (answer,) = ask(load(folder(task), task), [{"image": example_image(), "text": "the"}], max_new_tokens=4)
    assert answer == theirs(folder(task), task, picture(), text="the", generate_kwargs={"max_new_tokens": 4})


def test_a_model_with_a_chat_template_is_asked_by_it(tmp_path: Path) -> None:
    from tests.adapters.huggingface_.pipeline_models import seer

    path, task = seer(tmp_path / "seer"), "image-text-to-text"
    adapter = HuggingFaceAdapter.load(ModelDir.of(path), "", {})
    assert adapter.served.task.name == task
    assert adapter.carries == "is asked by a chat template, a program that may never end"
    rows = [{"image": example_image(), "text": text} for text in ("what is this", "<image>what is this")]
    chatted, raw = ask(adapter, rows, max_new_tokens=4)
    part = {"type": "text", "text": "what is this"}
    chat = [{"role": "user", "content": [{"type": "image", "image": picture()}, part]}]
    generated: dict[str, Any] = {"return_full_text": False, "generate_kwargs": {"max_new_tokens": 4}}
    (expected,) = theirs(path, task, text=chat, **generated)
    assert chatted == [{"generated_text": expected["generated_text"]}]
    assert raw == theirs(path, task, picture(), text=rows[1]["text"], generate_kwargs={"max_new_tokens": 4})
    with pytest.raises(InvalidInput, match="text names the picture 2 times, by <image>"):
        ask(adapter, [{"image": example_image(), "text": "<image><image>"}])


def test_a_model_that_hears_and_reads_is_asked_about_both(folder: Folder) -> None:
    path, task = folder("any-to-any"), "any-to-any"
    adapter = HuggingFaceAdapter.load(ModelDir.of(path), "", {})
    assert [spec.name for spec in adapter.signature.inputs] == ["text", "audio"]
    row: dict[str, Any] = {"text": "what was that", "audio": example_sound()}
    heard, read = (ask(adapter, [each], max_new_tokens=4)[0] for each in (row, {"text": row["text"]}))
    part = {"type": "text", "text": row["text"]}
    for answer, content in ((heard, [{"type": "audio", "audio": sound()}, part]), (read, [part])):
        chat = [{"role": "user", "content": content}]
        (expected,) = theirs(path, task, text=chat, return_full_text=False, generate_kwargs={"max_new_tokens": 4})
        assert answer == [{"generated_text": expected["generated_text"]}]
    assert heard != read
    with pytest.raises(InvalidInput, match=r"audio\[0\]"):
        ask(adapter, [{**row, "audio": "aGVsbG8="}])


DECISIONS: dict[str, Any] = {
    "spam": {"type": "noul", "instructions": "Is it spam?"},
    "tone": {"type": "choice", "instructions": "Which tone?", "criteria": {"calm": "polite", "angry": None}},
    "haste": {"type": "score", "criteria": ["can wait", "today"]},
}


def test_questions_on_a_state_are_decided(folder: Folder) -> None:
    path, task = folder("decision"), "decision"
    adapter = load(path, task)
    states: list[Any] = [{"message": "WIN a phone"}, "a text", ["a", 1, None]]
    answers = ask(adapter, [{"state": state, "questions": DECISIONS} for state in states])
    for state, answer in zip(states, answers, strict=True):
        assert close(answer, theirs(path, task, {"state": state, "questions": DECISIONS}))
    assert sum(answers[0]["tone"]["probabilities"].values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"questions": {"x": {"type": "essay"}}}, "questions: .*`type` must be one of noul, choice, score"),
        ({"questions": {"x": 5}}, "questions: .*must be one of"),
        ({"questions": {"x": {"type": "choice", "criteria": {}}}}, "questions: .*needs `criteria`"),
        ({"questions": []}, r"questions\[0\] must be an object of 1 to 100 questions"),
        ({"state": "hello " * 150}, "state has [0-9]+ tokens with its questions, and the model takes 200"),
        ({"state": ["a" * 1000] * 5}, "state and questions have [0-9]+ characters, and the model takes 200 tokens"),
    ],
)
def test_a_question_that_cannot_be_decided_says_why(row: dict[str, Any], reason: str, folder: Folder) -> None:
    with pytest.raises(InvalidInput, match=reason):
        ask(load(folder("decision"), "decision"), [{"state": "x", "questions": DECISIONS, **row}])


def test_a_text_is_spoken(folder: Folder) -> None:
    task = "text-to-audio"
    (answer,) = ask(load(folder(task), task), [{"text": "hello"}])
    assert answer == theirs(folder(task), task, "hello")
    samples, rate = soundfile.read(BytesIO(base64.b64decode(answer["audio"])))
    assert rate == answer["sampling_rate"] == 16_000
    assert len(samples) > 100


def test_a_video_is_a_list_of_pictures_or_a_moving_one(folder: Folder) -> None:
    task = "video-classification"
    adapter = load(folder(task), task)
    pictures = [example_image(8 * i) for i in range(16)]
    answer, moving = ask(adapter, [{"video": pictures}, {"video": example_video()}])
    assert [entry["score"] for entry in answer] == sorted((entry["score"] for entry in answer), reverse=True)
    assert sum(entry["score"] for entry in answer) == pytest.approx(1)
    assert {entry["label"] for entry in moving} == {"LABEL_0", "LABEL_1", "LABEL_2"}
    with pytest.raises(InvalidInput, match="video has 1 pictures, and this model takes 4"):
        ask(adapter, [{"video": pictures[:1]}])


@pytest.mark.parametrize("form", ["base64", "data URL", "bytes", "object"])
def test_a_picture_comes_in_several_forms(form: str, folder: Folder) -> None:
    adapter = load(folder("image-classification"), "image-classification")
    text = example_image()
    forms = {
        "base64": text, "data URL": f"data:image/png;base64,{text}", "bytes": base64.b64decode(text),
        "object": {"image": text},
    }  # fmt: skip
    assert ask(adapter, [{"image": forms[form]}]) == ask(adapter, [{"image": text}])


def test_many_pictures_of_several_sizes_are_answered_in_their_order(folder: Folder) -> None:
    from adapters.huggingface_.pipeline_answers import png

    adapter = load(folder("image-classification"), "image-classification")
    pictures = [png(picture(i * 8).resize((32 + 8 * (i % 3 == 2), 32))) for i in range(20)]
    together = ask(adapter, [{"image": each} for each in pictures])
    alone = [ask(adapter, [{"image": each}])[0] for each in pictures]
    assert close(together, alone)


@pytest.mark.parametrize(("most", "calls"), [(40_000_000, [16, 4]), (2500, [2] * 10), (1500, [1] * 20)])
def test_pictures_of_one_call_have_no_more_pixels_than_one_may(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, most: int, calls: list[int]
) -> None:
    adapter = load(folder("image-classification"), "image-classification", max_pixels=most)
    made: list[int] = []
    answers = PipelineModel._answers
    monkeypatch.setattr(PipelineModel, "_answers", lambda *given: (made.append(len(given[1])), answers(*given))[1])
    assert len(ask(adapter, [{"image": example_image()}] * 20)) == 20
    assert made == calls


def test_a_bad_row_is_named(folder: Folder) -> None:
    adapter = load(folder("image-classification"), "image-classification")
    with pytest.raises(InvalidInput, match=r"image\[1\] is no picture"):
        ask(adapter, [{"image": example_image()}, {"image": "aGVsbG8="}])
    with pytest.raises(InvalidInput, match=r"image\[0\] is an address, and nothing is fetched"):
        ask(adapter, [{"image": "http://127.0.0.1:1/x.png"}])


@pytest.mark.parametrize("task", ["text-classification", "token-classification", "feature-extraction", "fill-mask"])
def test_long_texts_are_refused_with_the_number_or_cut(task: str, folder: Folder) -> None:
    adapter = load(folder(task), task)
    text = ("[MASK] " if task == "fill-mask" else "") + "hello " * 100
    with pytest.raises(InvalidInput, match=r"text\[0\] has \d+ tokens and the model takes 40: .* truncation: true"):
        ask(adapter, [{"text": text}])
    cut = ask(adapter, [{"text": text}], truncation=True)
    assert cut == ask(load(folder(task), task, max_length=40), [{"text": text}])


def test_long_texts_with_labels_are_refused(folder: Folder) -> None:
    adapter = load(folder("zero-shot-classification"), "zero-shot-classification")
    with pytest.raises(InvalidInput, match=r"text\[0\] has \d+ tokens and the model takes 40: shorten it"):
        ask(adapter, [{"text": "hello " * 60, "candidate_labels": LABELS}])


def test_the_signature_names_the_inputs_and_the_example_is_answered(folder: Folder) -> None:
    for task in ("zero-shot-image-classification", "document-question-answering", "automatic-speech-recognition"):
        adapter = load(folder(task), task)
        assert [spec.name for spec in adapter.signature.inputs] == [each.name for each in PIPELINES[task].inputs]
        assert len(adapter.predict(adapter.example(), {})["output-0"]) == 2


@pytest.mark.parametrize(
    ("task", "option", "reason"),
    [
        ("image-classification", {"aggregation_strategy": "simple"}, "aggregation_strategy means nothing"),
        ("image-classification", {"truncation": True}, "truncation means nothing"),
        ("text-classification", {"max_pixels": 100}, "max_pixels means nothing"),
        ("feature-extraction", {"max_length": 50}, "max_length is 50, but this model takes from 3 to 40"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(task: str, option: dict[str, Any], reason: str, folder: Folder) -> None:
    with pytest.raises(LoadError, match=reason):
        load(folder(task), task, **option)


def test_a_model_without_the_tasks_head_is_refused(folder: Folder) -> None:
    with pytest.raises(LoadError, match="ViTForImageClassification has no head for the task object-detection"):
        load(folder("image-classification"), "object-detection")
    with pytest.raises(LoadError, match="the weights lack"):
        load(folder("feature-extraction"), "question-answering")
    with pytest.raises(LoadError, match="text-generation is not served: adapter: generation"):
        load(folder("feature-extraction"), "text-generation")


@pytest.mark.parametrize(
    "task", ["image-classification", "object-detection", "depth-estimation", "audio-classification",
             "automatic-speech-recognition", "zero-shot-image-classification", "zero-shot-object-detection",
             "document-question-answering", "table-question-answering", "question-answering", "text-to-audio",
             "image-feature-extraction", "video-classification", "image-segmentation", "image-text-to-text"]
)  # fmt: skip
def test_the_architecture_alone_tells_the_task(task: str, folder: Folder) -> None:
    directory = ModelDir.of(folder(task))
    claim = HuggingFaceAdapter.match(directory)
    assert claim is not None
    assert not claim.problem
    adapter = HuggingFaceAdapter.load(directory, "", {})
    assert adapter.served.task.name == task


def test_speech_is_written_down_with_times_language_and_length(folder: Folder) -> None:
    task = "automatic-speech-recognition"
    adapter = load(folder(task), task)
    inputs = {"audio": array_of([example_sound()])}
    outputs = adapter.predict(inputs, {"return_timestamps": "segment", "language": "de", "audio_seconds": True})
    expected = theirs(folder(task), task, sound(), return_timestamps=True, generate_kwargs={"language": "de"})
    assert close(outputs["output-0"][0], expected)
    assert outputs["audio_seconds"].tolist() == pytest.approx([5600 / 16_000])
    assert adapter.signature.task == "transcription"


def test_speech_longer_than_the_models_window_is_read_window_by_window(folder: Folder) -> None:
    task = "automatic-speech-recognition"
    held = BytesIO()
    samples = np.random.default_rng(0).normal(size=16_000 * 35).astype(np.float32) * 0.1
    soundfile.write(held, samples, 16_000, format="WAV", subtype="FLOAT")
    (answer,) = ask(load(folder(task), task), [{"audio": held.getvalue()}], language="en")
    expected = theirs(folder(task), task, samples, return_timestamps=True, generate_kwargs={"language": "en"})
    assert answer == {"text": expected["text"]}


def test_letters_heard_have_times(tmp_path: Path) -> None:
    from tests.adapters.huggingface_.pipeline_models import ctc

    path, task = ctc(tmp_path / "ctc"), "automatic-speech-recognition"
    adapter = load(path, task)
    (answer,) = ask(adapter, [{"audio": example_sound()}], return_timestamps="char")
    assert close(answer, theirs(path, task, sound(), return_timestamps="char"))
    least = (8 - 1) * 5 + 10  # of the two convolutions, which fail at less
    (answer,) = ask(adapter, [{"audio": waves(least)}])
    assert isinstance(answer["text"], str)
    with pytest.raises(InvalidInput, match=r"audio\[0\] is too short: it has 44 samples at 16000 a second, .* 45"):
        ask(adapter, [{"audio": waves(least - 1)}])
    known = {each.name: each for each in adapter.signature.parameters}
    assert known["return_timestamps"].choices == ("word", "char")
    assert not known.keys() & {"language", "task", "prompt", "max_new_tokens", "temperature"}


def test_points_of_two_pictures_are_matched(tmp_path: Path) -> None:
    from tests.adapters.huggingface_.pipeline_models import matcher

    path = matcher(tmp_path / "matcher")
    adapter = HuggingFaceAdapter.load(ModelDir.of(path), "", {})
    (answer,) = ask(adapter, [{"image": example_image(), "image_pair": example_image(16)}])
    assert close(answer, theirs(path, "keypoint-matching", [picture(), picture(16)]))


def test_masks_of_everything_need_what_is_not_installed_and_say_so(tmp_path: Path) -> None:
    import importlib.util

    if importlib.util.find_spec("torchvision"):
        pytest.skip("torchvision is installed")
    from tests.adapters.huggingface_.pipeline_models import sam

    with pytest.raises(LoadError, match="Torchvision"):
        HuggingFaceAdapter.load(ModelDir.of(sam(tmp_path / "sam")), "", {})
