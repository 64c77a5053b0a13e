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
