"""The process that grammars are tried in: it may die of one or never end, and the next one is tried all the same."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from adapters.generation.grammar import Grammar
from adapters.generation.grammar_trial import GrammarTrial
from tests.patience import wait_for

GOOD = Grammar("regex", "a", "regex").source()
_DEFINITIONS = {f"a{i}": {"$ref": f"#/$defs/a{i + 1}"} for i in range(5000)}
REFERENCES = Grammar("json_schema", {"$ref": "#/$defs/a0", "$defs": {**_DEFINITIONS, "a5000": {}}}, "f").source()
_CHAIN = "\n".join(f"r{i}: r{i + 1}" for i in range(9999))
RULES = Grammar("lark", f'start: r0\n{_CHAIN}\nr9999: "a"', "f").source()
#: longer than any machine takes: what is waited for comes
LONG = 120.0
#: answers the first line, by which it shows that it is up, and no other
_SCRIPT = """
import sys, json, time
for number, line in enumerate(sys.stdin):
    if number:
        time.sleep(1000)
    print(json.dumps({"error": "", "place": []}), flush=True)
"""


@pytest.fixture(scope="module")
def trial() -> Iterator[GrammarTrial]:
    with closing(GrammarTrial()) as trial:
        yield trial


def test_good_and_bad_ones(trial: GrammarTrial) -> None:
    assert trial.problem(GOOD, None, LONG) == ("", [])
    schema = {"items": {"type": "objekt"}}
    source = Grammar("json_schema", schema, "f").source()
    assert trial.problem(source, schema, LONG) == ("Invalid type: objekt", ["items"])


@pytest.mark.parametrize("source", [REFERENCES, RULES], ids=["references", "rules"])
def test_one_that_takes_the_compiler_s_stack_costs_the_process_only(trial: GrammarTrial, source: str) -> None:
    assert trial.problem(source, None, LONG) == ("it is too complex to be compiled", [])
    assert trial.problem(GOOD, None, LONG) == ("", [])


def test_one_that_never_ends_is_given_up() -> None:
    with closing(GrammarTrial([sys.executable, "-c", _SCRIPT])) as trial:
        for _ in range(2):
            problem, _ = trial.problem(GOOD, None, 0.01)
            assert problem == "it takes longer than 0.01 seconds to compile"


def test_a_process_that_cannot_be_had() -> None:
    with closing(GrammarTrial([sys.executable, "-c", "pass"])) as trial:
        assert trial.problem(GOOD, None, LONG) == ("it is too complex to be compiled", [])


def test_closing_waits_for_no_grammar() -> None:
    trial = GrammarTrial([sys.executable, "-c", _SCRIPT])
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(trial.problem(GOOD, None, LONG)[0]))
    thread.start()
    wait_for(lambda: trial._process is not None)
    trial.close()
    thread.join(60)
    assert found
    assert trial.problem(GOOD, None, LONG)[0] == "the model is being closed"
