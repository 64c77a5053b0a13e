"""Questions on a text, and texts made of texts: what transformers 5 has no pipelines for any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from adapters.base import InvalidInput, ModelDir  # noqa: E402
from adapters.huggingface_ import HuggingFaceAdapter  # noqa: E402
from adapters.huggingface_.own_pipelines import QuestionAnswering, VideoClassification  # noqa: E402
from adapters.shared.arrays import array_of  # noqa: E402
from tests.adapters.huggingface_.pipeline_models import MODELS  # noqa: E402

pytestmark = pytest.mark.slow
CONTEXT = "hello world my dog is cute paris is the capital of france"


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> QuestionAnswering:
    path = MODELS["question-answering"](tmp_path_factory.mktemp("qa") / "qa")
    adapter = HuggingFaceAdapter.load(ModelDir.of(path), "", {})
    pipe: Any = adapter.served.pipe  # type: ignore[union-attr]
    assert isinstance(pipe, QuestionAnswering)
    return pipe


def by_hand(pipe: QuestionAnswering, question: str, context: str, longest: int = 15) -> dict[str, Any]:
    """The likeliest span, by trying all of them."""
    encoded = pipe.tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)
    offsets, sequence = encoded.pop("offset_mapping")[0].tolist(), encoded.sequence_ids(0)
    with torch.inference_mode():
        output = pipe.model(**encoded)
    allowed = torch.tensor([i == 0 or owner == 1 for i, owner in enumerate(sequence)])
    starts, ends = (
        torch.where(allowed, each[0], torch.tensor(-10_000.0)).softmax(-1)
        for each in (output.start_logits, output.end_logits)
    )
    spans = [
        (float(starts[i] * ends[j]), i, j)
        for i in range(len(offsets))
        for j in range(i, min(i + longest, len(offsets)))
        if sequence[i] == 1 and sequence[j] == 1
    ]
    score, i, j = max(spans)
    start, end = offsets[i][0], offsets[j][1]
    return {"score": pytest.approx(score, rel=1e-4), "start": start, "end": end, "answer": context[start:end]}


def test_the_likeliest_span_answers(answering: QuestionAnswering) -> None:
    for question in ("where", "who is cute"):
        assert answering(question, CONTEXT[:30]) == by_hand(answering, question, CONTEXT[:30])
    assert answering("who", CONTEXT[:30], max_answer_len=1) == by_hand(answering, "who", CONTEXT[:30], 1)


def test_several_answers_come_best_first_and_none_twice(answering: QuestionAnswering) -> None:
    answers = answering("who", CONTEXT * 10, top_k=5, doc_stride=10)
    assert len(answers) == 5
    assert len({(each["start"], each["end"]) for each in answers}) == 5
    scores = [each["score"] for each in answers]
    assert scores == sorted(scores, reverse=True)
    assert all((CONTEXT * 10)[each["start"] : each["end"]] == each["answer"] for each in answers)


def test_a_text_may_have_no_answer(answering: QuestionAnswering) -> None:
    answers = answering("who", CONTEXT[:30], top_k=400, handle_impossible_answer=True)
    assert "" in {each["answer"] for each in answers}


def test_a_question_without_room_for_a_context_is_refused(answering: QuestionAnswering) -> None:
    with pytest.raises(InvalidInput, match="question has so many tokens"):
        answering("dog " * 60, CONTEXT)


@pytest.mark.parametrize(
    ("task", "key", "prefix"),
    [("text2text-generation", "generated_text", ""), ("summarization", "summary_text", "sum: "),
     ("translation", "translation_text", "")],
)  # fmt: skip
def test_texts_are_made_as_generate_makes_them(task: str, key: str, prefix: str, tmp_path: Path) -> None:
    path = MODELS[task](tmp_path / "t5")
    adapter = HuggingFaceAdapter.load(ModelDir.of(path), "", {"task": task})
    texts = ["hello world", "my dog is cute and it rains"]
    answers = adapter.predict({"text": array_of(texts)}, {"max_new_tokens": 6, "num_beams": 2})["output-0"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(path).eval()
    for text, answer in zip(texts, answers, strict=True):
        tokens = tokenizer(prefix + text, return_tensors="pt")
        made = model.generate(input_ids=tokens["input_ids"], max_new_tokens=6, num_beams=2)
        assert answer == {key: tokenizer.decode(made[0], skip_special_tokens=True)}


def test_videos_are_told_by_their_pictures_evenly_spread(tmp_path: Path) -> None:
    Image = pytest.importorskip("PIL.Image")
    path = MODELS["video-classification"](tmp_path / "video")
    adapter = HuggingFaceAdapter.load(ModelDir.of(path), "", {})
    pipe: Any = adapter.served.pipe  # type: ignore[union-attr]
    assert isinstance(pipe, VideoClassification)
    frames = [Image.new("RGB", (32, 32), (10 * i, 0, 0)) for i in range(10)]
    inputs = pipe.image_processor([np.asarray(frames[i]) for i in (0, 3, 6, 9)], return_tensors="pt")
    with torch.inference_mode():
        scores = pipe.model(**inputs).logits[0].softmax(-1)
    (answer,) = pipe([frames], top_k=1)
    assert answer == [{"score": pytest.approx(float(scores.max())), "label": f"LABEL_{int(scores.argmax())}"}]
    assert pipe([frames], function_to_apply="none", top_k=9)[0][0]["score"] != answer[0]["score"]
