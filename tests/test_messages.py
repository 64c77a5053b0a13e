"""The list of messages finds them however they are written, and the tests that name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.messages import Message, messages, provoked, texts_of_tests

SOURCE = """
WAY_OUT = "save it with %s or later"
def f(name, error):
    raise InvalidInput(f"{name} holds no rows at all: send at least one")
    raise LoadError("is damaged" if error else WAY_OUT)
    log.warning("%s took %.1f s to be loaded", name, 3)
    return Match(1, problem="cannot be told from {}: keep one".format(name))
    raise KeyError(name)
def why(name):
    'A docstring is none.'
    return f"there is no {name}"
"""
TESTS = """
def test_empty():
    with pytest.raises(InvalidInput, match=r"holds no rows at all: send"):
        f()
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in {"server/a.py": SOURCE, "adapters/b.py": "", "tests/test_a.py": TESTS}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_what_is_raised_logged_or_given_as_a_problem(tree: Path) -> None:
    found = {(each.kind, each.text) for each in messages(tree)}
    assert found == {
        ("InvalidInput", "{} holds no rows at all: send at least one"),
        ("LoadError", "is damaged"),
        ("LoadError", "save it with {} or later"),
        ("warning", "{} took {} s to be loaded"),
        ("text", "there is no {}"),
        ("problem", "cannot be told from {}: keep one"),
    }


def test_a_test_is_known_by_its_texts(tree: Path) -> None:
    texts = texts_of_tests(tree)
    by_text = {each.text: provoked(each, texts) for each in messages(tree)}
    assert by_text["{} holds no rows at all: send at least one"] == "tests/test_a.py::test_empty"
    assert by_text["{} took {} s to be loaded"] == ""


@pytest.mark.slow
def test_the_products_own_are_found() -> None:
    texts = [each for each in messages() if "Traceback" not in each.text and "is not JSON" in each.text]
    assert texts
    assert {each.file.split("/")[0] for each in messages()} == {"server", "adapters"}
    assert all(isinstance(each, Message) and each.line > 0 for each in texts)
