"""ONNX Runtime's words in ours."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from adapters.base import LoadError
from adapters.onnx_.types import message_of, port

LOCALE = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: /onnxruntime_src/onnxruntime/core/"
    "providers/cpu/nn/string_normalizer.cc:235 onnxruntime::StringNormalizer::Locale::Locale(const std::string&)::"
    "<lambda()> Failed to construct locale with name:en_US.UTF-8:locale::facet::_S_create_c_locale name not valid:"
    "Please, install necessary language-pack-XX and configure locales"
)


def test_a_locale_that_the_system_lacks() -> None:
    told = message_of(RuntimeError(LOCALE))
    assert told.startswith("it needs the locale en_US.UTF-8, which this system lacks: install it")
    assert "localedef -i en_US -f UTF-8 en_US.UTF-8" in told


@pytest.mark.parametrize(
    ("kind", "way_out"),
    [("tensor(bfloat16)", "a cast to float, float16"), ("seq(tensor(float))", "a tensor in its place")],
)
def test_a_type_that_is_not_served(kind: str, way_out: str) -> None:
    with pytest.raises(LoadError) as error:
        port(SimpleNamespace(name="x", type=kind, shape=[]), "input")
    assert str(error.value).startswith(
        f"input 'x' has the type {kind}, which is not served: export the model with {way_out}"
    )


@pytest.mark.parametrize(
    "text",
    [
        "/x/a.cc:1 " + "::(" * 100_000,
        "/x/a.cc:1 " + "f::(" + ")" * 100_000,
        "Load model from " * 100_000,
        "while running " * 100_000,
    ],
)
def test_a_message_with_names_of_the_models_takes_no_more_time_the_longer_they_are(text: str) -> None:
    assert len(message_of(RuntimeError(text))) < 400


def test_a_message_is_told_without_the_place_in_onnx_runtimes_source() -> None:
    place = "/onnxruntime_src/core/add.cc:120 onnxruntime::common::Status onnxruntime::Add<T>::Compute(Context*) const"
    told = f"[ONNXRuntimeError] : 1 : FAIL : while running Add node. Name:'a' Status Message: {place} sizes differ"
    assert message_of(RuntimeError(told)) == "Add: sizes differ"
