"""A page in steps: what a reader types, saves and sees. Each fenced block is one of these, or the page is wrong:

    ```console                  lines that begin with `$ ` are typed, those below are the answer
    ```python                   a script, run in the page's folder
    ```LANGUAGE file=PATH       a file to be saved there
    ```json, ```text            directly behind a command or script that shows no answer: its answer
    ```... not-run=REASON       cannot be run here; `marks` says which reasons there are, and checks the block

In an answer `...` stands for anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^( *)(`{3,})(.*)$")
_ANSWERS = ("json", "text")


class PageError(Exception):
    """The page cannot be followed: `PAGE:LINE: why`."""


@dataclass
class Block:
    """A fenced block."""

    language: str
    marks: dict[str, str]
    lines: list[str]
    line: int  #: of its first line, from 1

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)


@dataclass
class Answer:
    """What a page shows as the answer: lines of the page, which may be written anew."""

    lines: list[str]
    line: int  #: of the first of them
    language: str = "text"


@dataclass
class Command:
    """Something to type."""

    text: str
    line: int
    answer: Answer


@dataclass
class Script:
    """Python to run."""

    text: str
    line: int
    answer: Answer


@dataclass
class File:
    """A file to save."""

    path: str
    text: str
    line: int


@dataclass
class NotRun:
    """What cannot be run here, and why."""

    reason: str
    block: Block
    line: int


Step = Command | Script | File | NotRun


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page.

    Raises:
        PageError: one is not closed.
    """
    lines, at = text.splitlines(), 0
    while at < len(lines):
        opened = _FENCE.match(lines[at])
        at += 1
        if not opened:
            continue
        indent, fence, info = opened.groups()
        start = at
        while at < len(lines) and lines[at].strip() != fence:
            at += 1
        if at == len(lines):
            raise PageError(f"{start}: this block is not closed")
        words = info.split()
        marks = dict(word.partition("=")[::2] for word in words[1:])
        inner = [line.removeprefix(indent) for line in lines[start:at]]
        yield Block(words[0] if words else "", marks, inner, start + 1)
        at += 1


def steps(text: str) -> list[Step]:
    """A page's steps in order.

    Raises:
        PageError: a block that nobody would run or compare.
    """
    found: list[Step] = []
    for block in blocks(text):
        last = found[-1] if found else None
        if "not-run" in block.marks:
            found.append(NotRun(block.marks["not-run"], block, block.line))
        elif "file" in block.marks:
            found.append(File(block.marks["file"], block.text, block.line))
        elif block.language == "console":
            found += _commands(block)
        elif block.language == "python":
            found.append(Script(block.text, block.line, Answer([], block.line + len(block.lines))))
        elif block.language in _ANSWERS and isinstance(last, Command | Script) and not last.answer.lines:
            last.answer = Answer(block.lines, block.line, block.language)
        else:
            raise PageError(f"{block.line}: a block of {block.language or 'no language'} that nobody runs or compares")
    return found


def _commands(block: Block) -> list[Command]:
    """
    Raises:
        PageError: it does not begin with a command.
    """
    found: list[Command] = []
    is_open = False
    for number, line in enumerate(block.lines, block.line):
        if is_open:
            found[-1].text += f"\n{line}"
        elif line.startswith("$ "):
            found.append(Command(line[2:], number, Answer([], number + 1)))
        elif found:
            found[-1].answer.lines.append(line)
            continue
        else:
            raise PageError(f"{number}: a console begins with a command, `$ …`")
        is_open = line.endswith("\\") or found[-1].text.count("'") % 2 == 1
        found[-1].answer.line = number + 1
    if not found:
        raise PageError(f"{block.line}: a console without a command")
    return found


def pages(root: Path) -> list[Path]:
    """README.md and all of docs/."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
