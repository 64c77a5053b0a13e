"""Which part of `adapters` may import which: a part is a framework's package or module, or one of those that all share.

Nothing is imported here: the arrows are read from the files' syntax, imports within functions included.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from adapters import registry

ROOT = Path(registry.__file__).parent

#: what an adapter of any framework may import
COMMON = {"base", "datatypes", "modeldir", "real_path", "formats", "shared"}
#: what the common parts import
BELOW = {
    "base": {"datatypes", "modeldir", "traits"},
    "modeldir": {"real_path"},
    "formats": {"base", "modeldir"},
    "shared": {"base", "datatypes", "formats", "modeldir"},
    "registry": {"base", "formats", "shared"},
}
#: file of one framework -> file of another, whose models or formats it reads too
BETWEEN = {
    ("fil_", "lightgbm_"),
    ("fil_", "xgboost_"),
    ("generation.adapter", "huggingface_.architecture"),
    ("generation.adapter", "huggingface_.bundle"),
    ("generation.adapter", "huggingface_.loading"),
    ("generation.adapter", "huggingface_.sentence"),
    ("generation.chat_template", "huggingface_.template_budget"),
    ("generation.chat_template", "huggingface_.template_environment"),
    ("generation.gguf_copies", "huggingface_.loading"),
    ("generation.lora_folder", "huggingface_.bundle"),
    ("generation.loading", "huggingface_.bundle"),
    ("generation.loading", "huggingface_.loading"),
    ("mlflow_.flavors", "registry"),
    ("sentence_transformers_.adapter", "huggingface_"),
    ("sentence_transformers_.adapter", "huggingface_.bundle"),
    ("sentence_transformers_.adapter", "huggingface_.loading"),
    ("sentence_transformers_.adapter", "huggingface_.sentence"),
    ("sentence_transformers_.folder", "huggingface_.architecture"),
    ("sentence_transformers_.folder", "huggingface_.bundle"),
    ("sentence_transformers_.folder", "huggingface_.sentence"),
    ("sentence_transformers_.packed", "huggingface_.loading"),
    ("sentence_transformers_.packed", "huggingface_.packed_rows"),
    ("sklearn_.columns", "xgboost_.format"),
    ("sklearn_.direct.boosters", "lightgbm_.single_rows"),
    ("sklearn_.direct.boosters", "xgboost_.dense_rows"),
    ("spacy_.adapter", "torchserve_.temporary"),
    ("upstream.adapter", "generation.gguf_folder"),
    ("upstream.adapter", "generation.adapter"),
    ("upstream.adapter", "generation.giving_way"),
    ("upstream.adapter", "generation.job"),
    ("upstream.adapter", "generation.refusal"),
    ("upstream.adapter", "generation.tool_calls"),
    ("upstream.adapter", "huggingface_.architecture"),
    ("upstream.adapter", "huggingface_.bundle"),
    ("upstream.json_calls", "generation.refusal"),
    ("upstream.json_calls", "generation.tool_calls"),
    ("upstream.json_calls", "generation.tool_grammar"),
    ("upstream.llama_cpp_program", "generation.grammar"),
    ("upstream.llama_cpp_program", "generation.job"),
    ("upstream.llama_cpp_program", "generation.refusal"),
    ("upstream.llama_cpp_program", "generation.response_form"),
    ("upstream.program", "generation.giving_way"),
    ("upstream.program", "generation.grammar"),
    ("upstream.upstream_parts", "generation.answer_parts"),
    ("upstream.upstream_request", "generation.engine"),
    ("upstream.upstream_request", "generation.job"),
    ("upstream.upstream_request", "generation.refusal"),
    ("upstream.upstream_stream", "generation.refusal"),
    ("upstream.upstream_text", "generation.sequence_text"),
    ("upstream.upstream_text", "generation.tool_calls"),
    ("upstream.upstream_usage", "generation.engine"),
    ("upstream.vllm_program", "generation.grammar"),
    ("spacy_.package", "torchserve_.archive"),
    ("skops_.adapter", "sklearn_"),
    ("skops_.adapter", "sklearn_.parts"),
    ("skops_.adapter", "sklearn_.saved_version"),
}
#: what formats import beside the standard library and numpy: an array that joblib wrote is read by joblib's own class
FORMATS_IMPORT = {("formats.pickles.contents", "joblib"), ("formats.mlmodel", "yaml")}

COMMON_PARTS = {*BELOW, "traits", "datatypes", "real_path"}


@cache
def modules() -> dict[str, Path]:
    """Files by their dotted names below `adapters`; "" is the package itself. `ts` is a package of another's."""
    files = (path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
    names = {path: path.with_suffix("").parts for path in files if "compat" not in path.parts}
    return {".".join(part for part in parts if part != "__init__"): ROOT / path for path, parts in names.items()}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def imports(module: str) -> Iterator[str]:
    """Everything that a file imports, dotted: `adapters.base`, `numpy`, ..."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{module} imports by a relative name"
            assert not node.level, f"{module} imports by a relative name"
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if inner.removeprefix("adapters.") in modules() else node.module


@cache
def arrows() -> set[tuple[str, str]]:
    """(file, file that it imports), both of `adapters`."""
    return {
        (module, name.removeprefix("adapters").lstrip("."))
        for module in modules()
        for name in imports(module)
        if name.partition(".")[0] == "adapters"
    }


def part(module: str) -> str:
    return module.partition(".")[0]


def between_parts() -> set[tuple[str, str]]:
    return {(one, other) for one, other in arrows() if part(one) != part(other)}


def test_frameworks_import_what_is_common_and_each_other_as_listed() -> None:
    of_frameworks = {(one, other) for one, other in between_parts() if part(one) not in COMMON_PARTS}
    assert {(one, other) for one, other in of_frameworks if part(other) not in COMMON} == BETWEEN


@pytest.mark.parametrize("name", BELOW)
def test_common_parts_import_what_lies_below_them(name: str) -> None:
    assert {part(other) for one, other in between_parts() if part(one) == name} == BELOW[name]


@pytest.mark.parametrize("name", ["traits", "datatypes", "real_path"])
def test_the_lowest_parts_import_no_other(name: str) -> None:
    assert not {other for one, other in between_parts() if part(one) == name}


def test_formats_and_shared_import_no_framework() -> None:
    """Formats import a library only to use its own reader, once the bytes are known; nothing else does."""
    foreign = {
        (module, name.partition(".")[0])
        for module in modules()
        if part(module) in COMMON_PARTS
        for name in imports(module)
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "numpy", "adapters"}
    }
    assert foreign == FORMATS_IMPORT


def test_adapters_know_nothing_of_the_server() -> None:
    theirs = {
        module for module in modules() for name in imports(module) if name.partition(".")[0] in ("server", "tests")
    }
    assert not theirs


def test_no_files_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {module: set() for module in modules()}
    for one, other in arrows():
        graph[one].add(other)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_every_adapter_of_the_table_is_a_part() -> None:
    parts = {part(module) for module in modules()} - COMMON_PARTS - {""}
    targets = (*registry.TABLE.values(), *registry.ENGINES.values())
    assert parts == {target.partition(":")[0].removeprefix("adapters.") for target in targets}


def test_no_two_public_classes_have_one_name() -> None:
    names: dict[str, list[str]] = {}
    for module in modules():
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                names.setdefault(node.name, []).append(module)
    assert not {name: where for name, where in names.items() if len(where) > 1}
