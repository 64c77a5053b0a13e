"""Texts to rows of tokens and on to outputs: what is cut, refused, paired, and what shares a call of the model."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tokenizers import normalizers  # noqa: E402

from adapters.base import InvalidInput  # noqa: E402
from adapters.huggingface_.encoder import Encoder, Row  # noqa: E402
from adapters.shared.tokenizer_growth import Growth  # noqa: E402
from tests.adapters.huggingface_.models import train_wordpiece  # noqa: E402


class Model:
    """Gives each token's id, and its row's number of tokens, as floats of half the size."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.calls: list[tuple[int, ...]] = []

    def __call__(self, input_ids: Any, return_dict: bool, **_: Any) -> dict[str, Any]:
        assert return_dict
        assert torch.is_inference_mode_enabled()
        self.calls.append(tuple(input_ids.shape))
        return {"logits": torch.stack([input_ids, torch.full_like(input_ids, input_ids.shape[1])], -1).half()}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_wordpiece()


def encoder(tokenizer: Any = None, **settings: Any) -> Encoder:
    inputs = frozenset({"input_ids", "attention_mask"})
    held = {"max_length": 8, "vocabulary": 200, "solo": False, "turn": nullcontext(), **settings}
    return Encoder(model=Model(), tokenizer=tokenizer, output="logits", inputs=inputs, **held)


def test_a_text_is_its_tokens_as_the_tokenizer_gives_them(tokenizer: Any) -> None:
    (row,) = encoder(tokenizer).rows(["hello world"])
    assert row.ids == tokenizer("hello world")["input_ids"]
    assert set(row.features) == {"input_ids", "attention_mask"}  # what the model takes, and no token types
    assert (row.words, row.spans, row.special, row.pair) == ([], [], [], False)


def test_spans_tell_where_in_the_text_a_token_is(tokenizer: Any) -> None:
    (row,) = encoder(tokenizer).rows(["hello world"], spans=True)
    assert row.words[0] == "[CLS]"
    assert row.words[-1] == "[SEP]"
    assert (row.special[0], row.special[1], row.special[-1]) == (1, 0, 1)
    inner = [("hello world"[start:end]) for start, end in row.spans[1:-1]]
    assert "".join(inner) == "helloworld"


def test_long_texts_are_cut_or_refused(tokenizer: Any) -> None:
    made = encoder(tokenizer)
    long = "hello " * 20
    assert len(made.rows([long], truncation=True)[0].ids) == 8
    with pytest.raises(InvalidInput, match=r"^text\[1\] has \d+ tokens and the model takes 8: shorten it"):
        made.rows(["hello", long])
    assert len(made.rows([long], truncation=True)[0].ids) == 8  # a tokenizer keeps its latest truncation


def test_texts_and_pairs_may_come_together(tokenizer: Any) -> None:
    made = encoder(tokenizer)
    rows = made.rows(["hello", "world", "dog"], pairs=[None, "cute", None])
    assert [row.pair for row in rows] == [False, True, False]
    assert rows[1].ids == tokenizer("world", "cute", truncation=True, max_length=8)["input_ids"]
    assert [rows[0].ids, rows[2].ids] == tokenizer(["hello", "dog"])["input_ids"]
    assert [row.pair for row in made.rows(["a", "b"], pairs=["c", "d"])] == [True, True]


def test_a_text_without_tokens_is_refused() -> None:
    empty: Any = lambda texts, pairs, **_: {"input_ids": [[] for _ in texts]}  # noqa: E731
    with pytest.raises(InvalidInput, match=r"^text\[0\] has no tokens: send a text that is not empty"):
        encoder(empty).rows([""])


def test_a_token_that_the_model_does_not_know_is_no_fault_of_the_client(tokenizer: Any) -> None:
    highest = max(tokenizer("hello")["input_ids"])
    assert encoder(tokenizer, vocabulary=highest + 1).rows(["hello"])
    assert encoder(tokenizer, vocabulary=0).rows(["hello"])
    with pytest.raises(RuntimeError, match=f"gave token {highest}, but the model knows {highest} tokens"):
        encoder(tokenizer, vocabulary=highest).rows(["hello"])


def rows(*lengths: int) -> list[Row]:
    return [Row({"input_ids": [index + 1] * length}) for index, length in enumerate(lengths)]


def test_rows_of_one_length_share_a_call_and_get_their_own_outputs() -> None:
    made = encoder()
    found = dict(made.outputs(rows(3, 2, 3, 1)))
    assert made.model.calls == [(2, 3), (1, 2), (1, 1)]
    assert list(found) == [0, 2, 1, 3]
    for index, length in enumerate((3, 2, 3, 1)):
        assert found[index].tolist() == [[[index + 1, length]] * length]
        assert found[index].dtype is torch.float32
    assert list(made.outputs([])) == []


@pytest.mark.parametrize(
    ("solo", "length", "calls"),
    [
        (True, 4, [(1, 4)] * 3),
        (False, 400, [(2, 400), (1, 400)]),
        (False, 1024, [(1, 1024)] * 3),
        (False, 5000, [(1, 5000)] * 3),
    ],
    ids=["alone", "two", "one", "long"],
)
def test_a_call_holds_a_thousand_tokens_or_one_row(solo: bool, length: int, calls: list[tuple[int, int]]) -> None:
    made = encoder(solo=solo)
    assert [index for index, _ in made.outputs(rows(*[length] * 3))] == [0, 1, 2]
    assert made.model.calls == calls


def test_a_model_that_keeps_state_is_called_in_turns() -> None:
    turn = threading.Lock()
    held: list[bool] = []
    made = encoder(turn=turn)
    call = made.model.__call__

    class Watched(Model):
        def __call__(self, **inputs: Any) -> Any:
            held.append(turn.locked())
            return call(**inputs)

    watched = Encoder(Watched(), None, "logits", made.inputs, 8, 0, False, turn)
    list(watched.outputs(rows(2, 3)))
    assert held == [True, True]
    assert not turn.locked()


def test_tokens_become_a_text_again() -> None:
    decoding: Any = SimpleNamespace(decode=lambda ids: f"<{ids}>")
    assert encoder(decoding).decode([1, 2]) == "<[1, 2]>"


class CountingTokenizer:
    """Gives the words of a text numbers, as many as may count, and remembers how many characters it was given."""

    is_fast = True
    truncation_side = "right"

    def __init__(self) -> None:
        self.given: list[int] = []

    def __call__(self, texts: list[str], pairs: Any, truncation: bool, max_length: int | None, **_: Any) -> Any:
        both = [f"{text} {pair}" for text, pair in zip(texts, pairs or [""] * len(texts), strict=True)]
        self.given.append(sum(map(len, both)))
        rows = [list(map(int, text.split()))[:max_length] for text in both]
        return {"input_ids": rows, "attention_mask": [[1] * len(row) for row in rows]}


def test_a_tokenizer_is_given_no_more_than_can_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.huggingface_.encoder.AT_ONCE", 200)
    counting = CountingTokenizer()
    (row,) = encoder(counting).rows(["1 " + "2 " * 100_000], truncation=True)
    assert row.ids == [1, *[2] * 7]
    assert max(counting.given) <= 201
    counting.truncation_side = "left"
    (row,) = encoder(counting).rows(["1 " + "2 " * 100_000], truncation=True)
    assert row.ids == [2] * 8
    (row,) = encoder(counting).rows(["3 " * 1000], truncation=True, pairs=["4 " * 1000])
    assert (row.ids, row.pair) == ([3] * 8, True)
    with pytest.raises(InvalidInput, match="the model takes 8"):
        encoder(counting).rows(["1 " * 1000], truncation=False)


def test_what_a_text_becomes_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 300,000 characters of a kind NFKC makes millions, and 600 MB while they are tokens."""
    monkeypatch.setattr("adapters.huggingface_.encoder.AT_ONCE", 200)
    monkeypatch.setattr("adapters.shared.tokenizer_growth._SLICE", 4)
    growth = Growth(normalizers.Replace("9", "9999999999"), 10)
    for side in ("right", "left"):
        counting = CountingTokenizer()
        counting.truncation_side = side
        (row,) = encoder(counting, growth=growth).rows(["9 " * 1000], truncation=True)
        assert row.ids == [9] * 8
        assert max(counting.given) <= 41
    (row,) = encoder(CountingTokenizer(), growth=growth).rows(["1 " * 1000], truncation=True)
    assert row.ids == [1] * 8


def test_a_text_of_which_too_little_is_seen_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.huggingface_.encoder.AT_ONCE", 200)
    with pytest.raises(InvalidInput, match=r"text\[1\] has 1005 characters, and 200 of them are only 3 tokens"):
        encoder(CountingTokenizer()).rows(["1", "1 2 3" + " " * 1000])


def test_many_texts_are_tokenized_in_portions(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["hello world " * (n % 5 + 1) for n in range(40)]
    pairs = [None if n % 3 else "my dog is cute" for n in range(40)]
    whole = encoder(tokenizer).rows(texts, truncation=True, pairs=pairs)
    monkeypatch.setattr("adapters.huggingface_.encoder.portions", lambda lengths: [[n] for n, _ in enumerate(lengths)])
    assert encoder(tokenizer).rows(texts, truncation=True, pairs=pairs) == whole


def test_a_panic_of_the_tokenizer_is_a_failure_of_the_model() -> None:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.WordLevel({"a": 0, "u": 1}, unk_token="u"))
    raw.pre_tokenizer = pre_tokenizers.Split(Regex("(a+)+$"), "isolated")
    broken = encoder(PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="u"))
    with pytest.raises(RuntimeError, match=r"the tokenizer gave up: .*retry-limit"):
        broken.rows(["a" * 40 + "c"])
    assert broken.rows(["a"])[0].ids == [0]
