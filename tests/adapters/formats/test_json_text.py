"""JSON that would take far more memory than its length is refused before anything is made of it."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from adapters import registry
from adapters.base import ModelDir
from adapters.formats import json_text
from adapters.formats.json_text import TooMuchJson, loads


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "MOST_LISTS", 100)
    monkeypatch.setattr(json_text, "_STEP", 7)


@pytest.mark.parametrize("kind", [bytes, str])
@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[" + "[]," * 100 + "[]]", "100 lists and objects"),
        ("[" + "{}," * 100 + "{}]", "100 lists and objects"),
        ("[" * 101, "100 lists and objects"),
        ("[" + "1," * 50 + "1]", "49 values"),
    ],
)
def test_what_is_many_is_not_read(kind: type, text: str, what: str) -> None:
    given = text.encode() if kind is bytes else text
    with pytest.raises(TooMuchJson, match=f"more than {what}"):
        loads(given, most_values=49)


def test_anything_else_is_read_as_ever() -> None:
    assert loads(b"[" + b"[]," * 98 + b"[]]") == [[]] * 99
    assert loads("[" + "1," * 200 + "1]") == [1] * 201
    assert loads('{"a": 1, "a": 2}', object_pairs_hook=list) == [("a", 1), ("a", 2)]
    with pytest.raises(ValueError, match="Expecting value"):
        loads(b"[,]")


LISTS = b"[" + b"[]," * 200 + b"[]]"
BERT = {"config.json": b'{"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 4}'}
WEIGHTS = {"model.safetensors": (2).to_bytes(8, "little") + b"{}"}


def packed(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return stream.getvalue()


FOLDERS: dict[str, dict[str, bytes]] = {
    "skops": {"m.skops": packed(schema__json=b'{"__loader__": "ObjectNode", "a": ' + LISTS + b"}")},
    "keras": {"m.keras": packed(config__json=LISTS, metadata__json=b"{}", model__weights__h5=b"")},
    "config": {"config.json": b'{"a": ' + LISTS + b"}", "tokenizer.json": b"{}", **WEIGHTS},
    "header": {
        **BERT,
        "tokenizer.json": b"{}",
        "model.safetensors": (len(LISTS) + 6).to_bytes(8, "little") + b'{"a":' + LISTS + b"}",
    },
    "tokenizer": {**BERT, **WEIGHTS, "tokenizer.json": b'{"model": {"merges": ' + LISTS + b"}}"},
    "pipeline": {"meta.json": LISTS, "config.cfg": b"[nlp]\n"},
    "modules": {"modules.json": LISTS},
}


@pytest.mark.parametrize("name", FOLDERS)
def test_whoever_looks_at_a_folder_counts_first(tmp_path: Path, name: str) -> None:
    """That is the server's own process, before trust and trial: of 60 KB of skops it took 1.6 GB."""
    for file, content in FOLDERS[name].items():
        (tmp_path / file).write_bytes(content)
    told = [
        claim.match.problem or claim.match.carries for claim in registry.claims_on(ModelDir.of(tmp_path))
    ]  # of whichever adapter claims it
    assert any("more than 100 lists and objects" in each for each in told), told


def test_marks_that_are_letters_are_none() -> None:
    """A chat about code holds brackets by the thousand, and a text of it is one value."""
    code = '[{"a": [1, 2]}], \\' * 50
    assert loads(json.dumps({"a": code}).encode(), most_values=40) == {"a": code}
    with pytest.raises(TooMuchJson, match="more than 49 values"):
        loads(json.dumps({"a": code, "b": [1] * 60}).encode(), most_values=49)
