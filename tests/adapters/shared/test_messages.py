"""Messages in one line."""

from __future__ import annotations

import re

import pytest

from adapters.base import InvalidInput
from adapters.shared.messages import (
    XGBOOST_PLACE,
    brief,
    fault,
    first_line,
    listed,
    several,
    shortened,
    without_paths,
    without_trace,
)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("as it is", "as it is"),
        ("  two\n\tlines \n", "two lines"),
        ("x" * 300, "x" * 300),
        ("x" * 301, "x" * 150 + " ... " + "x" * 145),
        ("a" * 400 + " because of this", "a" * 150 + " ... " + "a" * 129 + " because of this"),
        ("no\nStack trace:\n  [bt] (0) /lib/libxgboost.so(+0x1)", "no"),
        ("", "ValueError"),
        (" \n", "ValueError"),
    ],
)
def test_brief(text: str, line: str) -> None:
    assert brief(text, "ValueError") == line


def test_brief_keeps_the_end_which_names_the_cause() -> None:
    text = f"Error when deserializing class 'DepthwiseConv2D' using config={'x' * 900}.\nUnrecognized arguments: groups"
    assert brief(text).startswith("Error when deserializing class 'DepthwiseConv2D'")
    assert brief(text).endswith("Unrecognized arguments: groups")
    assert len(brief(text)) == 300


@pytest.mark.parametrize(
    "stack",
    [
        "\nStack trace:\n  [bt] (0) lib/libxgboost.so(+0x1) [0x7f]\n",
        "\nException raised from f at x.cpp:3 (most recent call first):\nframe #0: c10::Error\n",
        "\n======= Backtrace: =========\n/lib/libc.so.6",
    ],
)
def test_a_native_stack_is_no_part_of_a_message(stack: str) -> None:
    assert without_trace(f"Check failed: 2 features\nsecond line{stack}") == "Check failed: 2 features\nsecond line"
    assert without_trace("a Stack trace: in a sentence") == "a Stack trace: in a sentence"


def test_brief_of_nothing() -> None:
    assert brief("") == ""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one", "one"),
        ("\n  one \nStack trace:\n  two", "one"),
        ("[12:00:01] /src/learner.cc:33: Check failed: x\nStack trace:\n", "Check failed: x"),
        ("not [12:00:01] /src/learner.cc:33: x", "not [12:00:01] /src/learner.cc:33: x"),
        ("", ""),
    ],
)
def test_first_line(text: str, line: str) -> None:
    assert first_line(ValueError(text), XGBOOST_PLACE) == line


def test_only_the_beginning_that_is_named_is_cut() -> None:
    error = ValueError("[12:00:01] /src/learner.cc:33: x")
    assert first_line(error) == str(error)
    assert first_line(error, re.compile(r"\S+ ")) == "/src/learner.cc:33: x"


def test_whose_fault_it_is() -> None:
    client, own = fault("no", client=True), fault("no", client=False)
    assert (type(client), str(client)) == (InvalidInput, "the model refuses the input: no")
    assert (type(own), str(own)) == (RuntimeError, "no")


def test_several_models_are_named() -> None:
    assert several(["a", "b"]) == "two candidate models: a and b; keep one"
    assert several((name for name in "ab"), ", or go") == "two candidate models: a and b; keep one, or go"


@pytest.mark.parametrize(
    ("names", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a, b"), (["a", "b", "c", "d"], "a, b and 2 more")]
)
def test_a_list_has_an_end(names: list[str], text: str) -> None:
    assert listed(names, 2) == text


TRACES = [
    "[12:00:01] /workspace/src/x.cc:33: Check failed: a == b\nStack trace:\n  [bt] (0) /lib/libxgboost.so(+0x1) [0x7f]",
    "expected 3 channels\nException raised from check at /pytorch/aten/x.cpp:42 (most recent call first):\nframe",
    "expected 3 channels\nC++ CapturedTraceback:\n#4 c10::Error::Error() from ??:0",
    "bad value\n\nOriginal stack trace for 'a':\n  File x",
    "bad value\n======= Backtrace: =========\n/lib/x86_64-linux-gnu/libc.so.6(+0x7)",
    "bad value\n    @     0x7f0000000000  (unknown)",
    "bad value\n#0 0x00007f in raise ()",
]


@pytest.mark.parametrize("text", TRACES)
def test_stack_traces_of_native_libraries_are_cut(text: str) -> None:
    assert without_trace(text) == text.split("\n")[0]


def test_what_tensorflow_puts_before_the_cause_is_cut() -> None:
    cause = "Matrix size-incompatible: In[0]: [1,3], In[1]: [4,2]"
    begin = "Graph execution error:\n\nDetected at node 'dense/MatMul' defined at (most recent call last):\n"
    trace = "    File \"/srv/train.py\", line 3, in <module>\n      model.fit()\nNode: 'dense/MatMul'\n"
    keras = '  File "/srv/train.py", line 3, in <module>\n\n  File "/lib/layer.py", line 1002, in __call__\n\n'
    for between in (trace, keras, "<stack traces unavailable>\n"):
        assert without_trace(f"{begin}{between}{cause}") == f"Graph execution error:\n\n{cause}"


def test_files_are_named_without_their_folders() -> None:
    assert without_paths("no '/models/x/1/vocab.txt' and /lib/a.so(+0x1)") == "no 'vocab.txt' and a.so(+0x1)"
    for same in ("see https://example.org/a/b", "application/json", "01/02/2024", "a/b", "1 / 2", "x:/a/b"):
        assert without_paths(same) == same


def test_long_texts_lose_their_middle() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("a" * 50 + "b" * 50, 30) == "a" * 15 + " ... " + "b" * 10


@pytest.mark.parametrize(
    ("told", "plain"),
    [
        ("y contains previously unseen labels: np.str_('q')", "y contains previously unseen labels: 'q'"),
        ("unknown categories [np.float64(1.5), np.int64(3)] in column 0", "unknown categories [1.5, 3] in column 0"),
        ("np.array(3) and np.float64 stay", "np.array(3) and np.float64 stay"),
    ],
)
def test_numpys_names_for_values_are_left_out(told: str, plain: str) -> None:
    assert brief(told) == plain


@pytest.mark.parametrize(
    "piece", ["\n", " \n", "Detected at node", "Detected at node\n", "np.str_(", "/a", "/a/", "@ ", "#0", "="]
)
def test_a_message_that_repeats_a_clients_text_takes_no_more_time_the_longer_that_is(piece: str) -> None:
    text = f"cannot convert {piece * (10**6 // len(piece))}!"
    assert len(without_paths(without_trace(text))) <= 20_000
    assert len(brief(text)) <= 300
