"""Every message that the product can print, and a test that provokes it, to be read in one go.

    python -m tests.messages [--untested] [WORD ...]      those with all the words; --untested: which no test names

A message is what is raised, given as the problem or the reason of a model, or logged, and every other text of several
words but docstrings and patterns: many are put together elsewhere. What stands in for a value is `{}`. A test provokes
it where one of its texts is a part of it, or it a part of one of them: at least `_TELLING` letters in a row that no
value takes part in.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: letters in a row that tell one message from others
_TELLING = 9
_LOGGED = ("critical", "error", "exception", "warning", "info", "debug")
#: keywords whose texts are shown: `Match(problem=...)`
_SHOWN = ("problem", "reason", "error", "why")
_VALUE = re.compile(r"\{\}")


@dataclass(frozen=True)
class Message:
    """One place that can print one text."""

    kind: str  #: the exception's name, "problem", the level at which it is logged, or "text": used elsewhere
    text: str
    file: str
    line: int

    @property
    def parts(self) -> list[str]:
        """The texts between its values, those that tell something."""
        return [part for part in (each.strip() for each in _VALUE.split(self.text)) if len(part) >= _TELLING]


def messages(root: Path = ROOT) -> list[Message]:
    """All of them, by file and line."""
    files = sorted(path for package in ("server", "adapters") for path in (root / package).rglob("*.py"))
    return [found for path in files for found in _of_file(path, path.relative_to(root).as_posix())]


def _of_file(path: Path, name: str) -> Iterator[Message]:
    tree = ast.parse(path.read_text())
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    seen = {id(part) for node in ast.walk(tree) for part in _unseen(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for kind, argument in _shown_by(node):
                yield from (Message(kind, text, name, node.lineno) for text in _texts(argument, constants))
                seen |= {id(part) for part in ast.walk(argument)}
                named = {part.id for part in ast.walk(argument) if isinstance(part, ast.Name)} & constants.keys()
                seen |= {id(part) for constant in named for part in ast.walk(constants[constant])}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp) and id(node) not in seen:
            texts = list(_texts(node, constants))
            seen |= {id(part) for part in ast.walk(node)} if texts else set()
            yield from (Message("text", text, name, node.lineno) for text in texts)


def _unseen(node: ast.AST) -> Iterator[ast.AST]:
    """What is no message: docstrings, comments in the form of one, patterns, programs, what an option means."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "re":
        yield from (part for argument in node.args for part in ast.walk(argument))
    elif _means(node):
        yield from (part for part in ast.walk(node) if part is not node)


def _means(node: ast.AST) -> bool:
    """Whether it says what an option means, or is a program that another interpreter runs."""
    if isinstance(node, ast.keyword):
        return node.arg == "meaning"
    return isinstance(node, ast.Assign) and [ast.unparse(name) for name in node.targets] == ["_BOOT"]


def _shown_by(call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    """The arguments of a call that somebody reads, and what for."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if isinstance(call.func, ast.Attribute) and name in _LOGGED and call.args:
        yield name, call.args[0]
    elif name[:1].isupper() and call.args:
        yield from ((name, argument) for argument in call.args)
    for keyword in call.keywords:
        if keyword.arg in _SHOWN:
            yield keyword.arg, keyword.value


def _texts(node: ast.expr, constants: Mapping[str, ast.expr]) -> Iterator[str]:
    """What an expression can be: texts of several words, with `{}` for what is put in."""
    return (text for text in _parts(node, constants) if re.search(r"[a-z]{2,}\S* \S", text))


def _parts(node: ast.expr, constants: Mapping[str, ast.expr]) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield re.sub(r"%[-\d.]*[a-z]|\{[a-z_\d]*\}", "{}", node.value)
    elif isinstance(node, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)  # type: ignore[misc]
    elif isinstance(node, ast.BinOp):
        for left in list(_parts(node.left, constants)) or ["{}"]:
            yield from (left + right for right in list(_parts(node.right, constants)) or ["{}"])
    elif isinstance(node, ast.IfExp):
        yield from _parts(node.body, constants)
        yield from _parts(node.orelse, constants)
    elif isinstance(node, ast.Name) and node.id in constants:
        yield from _parts(constants[node.id], {})
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        yield from _parts(node.func.value, constants)


def texts_of_tests(root: Path = ROOT) -> dict[str, list[str]]:
    """Every text of the tests that is long enough to tell a message, and the tests and tables that have it."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((root / "tests").rglob("*.py")):
        name = path.relative_to(root).as_posix()
        for part in ast.parse(path.read_text()).body:
            place = f"{name}::{part.name}" if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) else name
            for node in ast.walk(part):
                for text in _parts(node, {}) if isinstance(node, ast.Constant | ast.JoinedStr) else ():
                    for piece in re.split(r"\{\}|\.\*|\\w\+|\\d\+|\n", text):
                        if len(telling := re.sub(r"\\(.)", r"\1", piece).strip(" ^$")) >= _TELLING:
                            found[telling].append(place)
    for path in sorted((root / "tests" / "corpus").rglob("*.json")):
        for told in re.findall(r'"(?:error|reason)": "((?:[^"\\]|\\.)*)"', path.read_text()):
            found[told].append(path.relative_to(root).as_posix())
    return found


def provoked(message: Message, texts: Mapping[str, list[str]]) -> str:
    """The test that names most of a message; "" where none does."""
    best, place = 0, ""
    for text, places in texts.items():
        if " " not in text and len(message.parts) > 1:
            continue
        common = max(
            (len(min(part, text, key=len)) for part in message.parts if part in text or text in part), default=0
        )
        if common > best:
            best, place = common, places[0]
    return place


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(description="Every message, and a test that provokes it.")
    parser.add_argument("--untested", action="store_true")
    parser.add_argument("words", nargs="*")
    asked = parser.parse_args()
    texts, file = texts_of_tests(), ""
    for message in messages():
        place = provoked(message, texts)
        line = f"  {message.line:4} {message.kind}: {message.text}"
        if (asked.untested and place) or not all(word in f"{message.file} {line}" for word in asked.words):
            continue
        if message.file != file:
            file = message.file
            print(f"\n{file}")
        print(line, f"       <- {place or 'no test names it'}", sep="\n")


if __name__ == "__main__":
    main()
