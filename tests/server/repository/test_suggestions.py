"""Which model is meant by a name that there is not."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

import pytest

from server.repository import suggestions
from server.repository.suggestions import Suggestions, nearest, show_only

KNOWN = ["iris", "wine", "bert-base-uncased", "resnet_50", "Llama-3.2-1B", "m", "café"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("irsi", "iris"),
        ("IRIS", "iris"),
        ("iriss", "iris"),
        ("iri", "iris"),
        ("models/iris", "iris"),
        ("../iris", "iris"),
        ("sklearn-iris", "iris"),
        ("bert-base", "bert-base-uncased"),
        ("bert_base_uncased", "bert-base-uncased"),
        ("google/bert-base-uncased", "bert-base-uncased"),
        ("resnet-50", "resnet_50"),
        ("resnet 50", "resnet_50"),
        ("meta-llama/Llama-3.2-1B", "Llama-3.2-1B"),
        ("cafe", "café"),
        ("nobody", None),
        ("gpt-4o", None),
        ("b", None),
        ("", None),
        ("/", None),
        ("\x00", None),
        ("iris" * 100, None),
    ],
)
def test_the_most_similar_one(name: str, meant: str | None) -> None:
    assert nearest(name, KNOWN) == meant


def test_of_two_that_are_alike_the_nearer() -> None:
    assert nearest("model-12", ["model-99", "model-13", "other"]) == "model-13"
    assert nearest("bert-base", ["bert-base-multilingual", "bert-base-cased"]) == "bert-base-cased"


@pytest.mark.parametrize("name", ["model-00000", "m" * 128, "\U0010ffff" * 128, "model-" * 1000])
def test_few_are_looked_at_closely_however_many_there_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    matches: Callable[..., Any] = suggestions.difflib.get_close_matches

    def counted(wanted: str, forms: Any, **options: Any) -> Any:
        looked.append(len(forms))
        return matches(wanted, forms, **options)

    monkeypatch.setattr(suggestions.difflib, "get_close_matches", counted)
    nearest(name, [f"model-{number:05}" for number in range(20_000)])
    assert sum(looked) <= 50


def test_a_clients_names_are_not_kept() -> None:
    before = suggestions._known_form.cache_info().currsize
    for number in range(100):
        nearest(f"strange-{number}", ["iris"])
    assert suggestions._known_form.cache_info().currsize <= before + 1


def in_a_task(suggested: Suggestions, name: str, *shown: str) -> str:
    """The hint for somebody who may know of some models."""

    def ask() -> str:
        if shown:
            show_only(lambda known: known in shown)
        return suggested.hint(name)

    return contextvars.Context().run(ask)


def test_nobody_is_told_of_what_is_not_theirs() -> None:
    keyed = Suggestions(lambda: ["iris", "irsis"], keyed=True)
    assert in_a_task(keyed, "irsi", "iris") == "; did you mean 'iris'?"
    assert in_a_task(keyed, "irsi", "iris", "irsis") == "; did you mean 'irsis'?"
    assert in_a_task(keyed, "irsi", "wine") == ""
    assert in_a_task(keyed, "irsi") == "", "who has not said whose request it is"


def test_where_no_keys_are_asked_for_all_are_everybodys() -> None:
    assert in_a_task(Suggestions(lambda: ["iris"]), "irsi") == "; did you mean 'iris'?"
    assert in_a_task(Suggestions(lambda: ["wine"]), "irsi") == ""
