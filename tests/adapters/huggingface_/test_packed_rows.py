"""Rows of any length in one call: which models take them, and that each row is as it is alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from adapters.base import ModelDir  # noqa: E402
from adapters.huggingface_ import HuggingFaceAdapter  # noqa: E402
from adapters.huggingface_.packed_rows import ATTENTION, Packing, packing_of  # noqa: E402
from adapters.huggingface_.packed_runs import NotPacked  # noqa: E402
from tests.adapters.huggingface_.models import save, train_bytes, train_wordpiece  # noqa: E402

INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})
LENGTHS = (7, 1, 7, 12, 3, 7)


def made(architecture: str, **config: Any) -> Any:
    """A model of random weights whose rows differ."""
    import transformers

    torch.manual_seed(3)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    kind = getattr(transformers, architecture)
    given = {"vocab_size": 90, "max_position_embeddings": 40, "pad_token_id": 1, **sizes, **config}
    model = kind(kind.config_class(**given)).eval()
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model


def rows(padding: int | None = None) -> list[dict[str, list[int]]]:
    found = []
    for number, length in enumerate(LENGTHS):
        ids = [2 + (number * 17 + place * 5) % 80 for place in range(length)]
        if padding is not None and length > 2:
            ids[1] = padding
        found.append({"input_ids": ids, "attention_mask": [1] * length})
    return found


def alone(model: Any, output: str, row: dict[str, list[int]]) -> Any:
    with torch.inference_mode():
        return model(**{name: torch.tensor([values]) for name, values in row.items()})[output]


PACKED: list[tuple[str, str, int | None, dict[str, Any]]] = [
    ("BertModel", "last_hidden_state", None, {}),
    ("BertForMaskedLM", "logits", None, {}),
    ("BertForTokenClassification", "logits", None, {}),
    ("RobertaModel", "last_hidden_state", 1, {}),
    ("XLMRobertaModel", "last_hidden_state", 1, {}),
    ("ElectraModel", "last_hidden_state", None, {"embedding_size": 16}),
    ("Qwen3Model", "last_hidden_state", None, {"num_key_value_heads": 1, "head_dim": 16}),
    ("DistilBertModel", "last_hidden_state", None, {"dim": 32, "n_heads": 2, "n_layers": 2, "hidden_dim": 64}),
    ("AlbertModel", "last_hidden_state", None, {"embedding_size": 16}),
    ("MPNetModel", "last_hidden_state", 1, {}),  # distances come by a bias
    ("MPNetForMaskedLM", "logits", 1, {}),
    # heads that read each row's first token
    ("AlbertForSequenceClassification", "logits", None, {"embedding_size": 16}),
    ("MPNetForSequenceClassification", "logits", 1, {}),
    ("BertForSequenceClassification", "logits", None, {}),
    ("XLMRobertaForSequenceClassification", "logits", 1, {"num_labels": 1}),
    ("ModernBertForSequenceClassification", "logits", None,
        {"global_attn_every_n_layers": 1,
         **dict.fromkeys(("cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id"), 2)}),
]  # fmt: skip
OTHERWISE: list[tuple[str, str, dict[str, Any]]] = [
    ("LlamaForSequenceClassification", "logits", {}),  # reads the last token
    ("ModernBertForSequenceClassification", "logits",
        {"global_attn_every_n_layers": 1, "classifier_pooling": "mean",
         **dict.fromkeys(("cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id"), 2)}),  # averages
    ("ModernBertModel", "last_hidden_state", {"global_attn_every_n_layers": 2, "local_attention": 4}),
    ("ConvBertModel", "last_hidden_state", {"embedding_size": 32}),  # convolutions see the neighbours
]  # fmt: skip


@pytest.mark.parametrize(("architecture", "output", "padding", "config"), PACKED, ids=[each[0] for each in PACKED])
def test_each_row_is_as_it_is_alone(
    architecture: str, output: str, padding: int | None, config: dict[str, Any]
) -> None:
    model = made(architecture, **config)
    given = rows(padding)
    expected = [alone(model, output, row) for row in given]
    packing = packing_of(model, output, INPUTS, vocabulary=90, longest=38, padding=padding)
    assert packing is not None
    for found, wanted in zip(packing.run(given), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    for row, wanted in zip(given, expected, strict=True):  # by itself, the very bits
        assert torch.equal(packing.run([row])[0], wanted)


@pytest.mark.parametrize(("architecture", "output", "config"), OTHERWISE, ids=[each[0] for each in OTHERWISE])
def test_other_models_stay_as_they_were(architecture: str, output: str, config: dict[str, Any]) -> None:
    model = made(architecture, **config)
    before, expected = model.config._attn_implementation, alone(model, output, rows()[0])
    assert packing_of(model, output, INPUTS, vocabulary=90, longest=38) is None
    assert model.config._attn_implementation == before
    assert torch.equal(alone(model, output, rows()[0]), expected)
    assert not model.base_model._forward_hooks


def test_a_model_that_is_packed_is_asked_by_packed_rows_alone() -> None:
    model = made("BertModel")
    assert packing_of(model, "last_hidden_state", INPUTS, vocabulary=90, longest=38) is not None
    assert model.config._attn_implementation == ATTENTION
    with pytest.raises(NotPacked, match="otherwise than by packed rows"):
        alone(model, "last_hidden_state", rows()[0])


def test_a_row_alone_goes_the_models_own_way() -> None:
    """Its pooler is not run twice: what is made of the packed row's first token is of its own."""
    model, calls = made("BertForSequenceClassification"), []
    packing = packing_of(model, "logits", INPUTS, vocabulary=90, longest=38)
    assert packing is not None
    model.base_model.pooler.register_forward_hook(lambda *_: calls.append(1))
    packing.run(rows()[:1])
    assert len(calls) == 1
    packing.run(rows()[:2])
    assert len(calls) == 3


def test_two_threads_do_not_see_each_others_rows() -> None:
    packing = packing_of(made("BertModel"), "last_hidden_state", INPUTS, vocabulary=90, longest=38)
    assert packing is not None
    given, wanted, found = rows(), packing.run(rows()), {}
    both = threading.Barrier(2)

    def run(name: str, own: list[dict[str, list[int]]], packing: Packing = packing) -> None:
        both.wait()
        found[name] = [packing.run(own) for _ in range(20)]

    threads = [threading.Thread(target=run, args=each) for each in (("whole", given), ("last", given[3:]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, own in (("whole", wanted), ("last", wanted[3:])):
        for answers in found[name]:
            for one, other in zip(answers, own, strict=True):
                torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("train", [train_wordpiece, train_bytes], ids=["wordpiece", "bytes"])
def test_a_folder_is_packed_where_it_can_be(train: Callable[[], Any], tmp_path: Path) -> None:
    architecture = "BertModel" if train is train_wordpiece else "RobertaModel"
    adapter = HuggingFaceAdapter.load(ModelDir.of(save(tmp_path, architecture, train())), "", {})
    encoder: Any = adapter.served.task.encoder  # type: ignore[union-attr]
    assert encoder.packing is not None
    texts = ["hello <pad> world", "paris", "the lazy dog", "hello <pad> world"]
    found = dict(encoder.outputs(encoder.rows(texts)))
    for index, text in enumerate(texts):
        ((_, wanted),) = encoder.outputs(encoder.rows([text]))
        torch.testing.assert_close(found[index], wanted, atol=1e-5, rtol=1e-5)
