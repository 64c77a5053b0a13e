"""What is no model, by how it begins."""

from __future__ import annotations

import base64
import pickle
from pathlib import Path

import pytest

from adapters import registry
from adapters.base import LoadError, ModelDir
from adapters.formats.strays import stray

PAGE, ERROR = b"<!DOCTYPE html><html>", b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>'


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (PAGE, "is a web page"),
        (b"\xef\xbb\xbf\n <html>", "is a web page"),
        (ERROR, "is an XML document"),
        (b"version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer"),
        *((base64.b64encode(pickle.dumps({"a": 1}, protocol)), "is base64 of a pickle") for protocol in (2, 3, 4, 5)),
    ],
)
def test_what_stands_in_a_models_place(head: bytes, said: str) -> None:
    assert stray(head).startswith(said)


@pytest.mark.parametrize("head", [b"", b"tree\nversion=v4", b"\x80\x04\x95", b"\x08\x07\x12", b'{"learner"', b"PK"])
def test_what_may_be_a_model(head: bytes) -> None:
    assert stray(head) == ""


@pytest.mark.parametrize("file", ["model.joblib", "model.pkl", "model.onnx", "model.bst", "model.pt"])
@pytest.mark.parametrize(("content", "said"), [(PAGE, "is a web page"), (ERROR, "is an XML document")])
def test_under_the_name_of_a_model_it_is_told_as_what_it_is(
    tmp_path: Path, file: str, content: bytes, said: str
) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(LoadError, match=said):
        registry.choose(ModelDir.of(tmp_path))
