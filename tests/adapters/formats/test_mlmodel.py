"""`MLmodel` as it is read: its parts, and files that are none or would take any amount of memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.base import ModelDir
from adapters.formats.mlmodel import UnreadableDescription, read, read_yaml

FLAVORS = "flavors:\n  python_function:\n    loader_module: x\n"


def described(folder: Path, text: str) -> ModelDir:
    (folder / "MLmodel").write_text(text)
    return ModelDir.of(folder)


def test_its_parts(tmp_path: Path) -> None:
    inputs = json.dumps([{"name": "a", "type": "double"}])
    text = (
        f"{FLAVORS}signature:\n  inputs: '{inputs}'\n  outputs: '[]'\nsaved_input_example_info: {{type: dataframe}}\n"
    )
    model = read(described(tmp_path, text))
    assert model.pyfunc == {"loader_module": "x"}
    assert (model.inputs, model.outputs, model.params) == ([{"name": "a", "type": "double"}], None, [])
    assert model.example == {"type": "dataframe"}


def test_without_a_signature(tmp_path: Path) -> None:
    model = read(described(tmp_path, "flavors: {spacy: {data: m}}\nsignature:\nsaved_input_example_info: 3\n"))
    assert (model.pyfunc, model.inputs, model.outputs, model.params, model.example) == (None, None, None, [], {})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "holds no mapping"),
        ("- a", "holds no mapping"),
        ("a: [", "is damaged"),
        ("flavors: {}", "lists no flavors"),
        ("flavors: {a: 3}", "lists no flavors"),
        (FLAVORS + "signature: 3", "signature is no mapping"),
        (FLAVORS + "signature: {inputs: '[3]'}", "signature.inputs is no list of specs"),
        (FLAVORS + "signature: {inputs: 3}", "signature.inputs is no list of specs"),
        (FLAVORS + "signature: {outputs: '['}", "signature.outputs is damaged"),
        (FLAVORS + "signature: {params: '" + "[" * 100_000 + "'}", "signature.params is damaged"),
        ("a: &x [1]\nb: *x\n", "alias"),
        ("a: " + "[" * 60 + "]" * 60, "nested too deep"),
        ("a: [" + "1," * 30_000 + "]", "holds too much"),
        ("a: !!python/object/apply:os.system [id]", "is damaged"),
        ("#" * (1 << 20) + "\n", "longer than 1 MiB"),
        ('flavors: !!int ""', "holds a value that nothing can stand for"),
        ("flavors: !!bool perhaps", "holds a value that nothing can stand for"),
        ("flavors: !!timestamp never", "holds a value that nothing can stand for"),
        ("a: 1" + ":1" * 400_000, "holds a number of more than 100 digits"),  # each takes as long as all before it
        ('a: !!int "1' + ":1" * 400_000 + '"', "holds a number of more than 100 digits"),
    ],
)
def test_why_it_is_none(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(UnreadableDescription, match=why):
        read(described(tmp_path, text))


def test_another_yaml_file_by_the_same_rules(tmp_path: Path) -> None:
    (tmp_path / "conda.yaml").write_text("name: env")
    assert read_yaml(ModelDir.of(tmp_path), "conda.yaml") == {"name": "env"}
