"""Special tokens that stand in what a client says: they are read as text, and control nothing.

A chat template writes the model's control tokens around messages, and the tokenizer reads them in the text that comes
of it. It would read those of a message's own as well, by which a user could end a turn and speak as the system. So they
are marked while the template is at work, and their tokens become those of their letters.
"""

from __future__ import annotations

import re
import secrets
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

#: of a mark: characters for private use, around what nobody can guess
_BEGIN, _END = "\ue000", "\ue001"


class Marks:
    """Takes the special tokens out of one chat, and tells where in the prompt they are."""

    def __init__(self, special: Iterable[str]) -> None:
        """`special`: the texts of the tokens."""
        texts = sorted({text for text in special if text}, key=len, reverse=True)
        self._token = re.compile("|".join(map(re.escape, texts))) if texts else None
        nonce = secrets.token_hex(8)
        self._mark = re.compile(f"{_BEGIN}{nonce}\\.([0-9]+){_END}")
        self._write = f"{_BEGIN}{nonce}.{{}}{_END}"
        self._found: list[str] = []

    def hide(self, value: Any) -> Any:
        """A value of JSON with marks for special tokens, in all of its texts."""
        if isinstance(value, str):
            return value if self._token is None else self._token.sub(self._marked, value)
        if isinstance(value, list | tuple):
            return [self.hide(each) for each in value]
        if isinstance(value, dict):
            return {self.hide(name): self.hide(each) for name, each in value.items()}
        return value

    def reveal(self, text: str) -> tuple[str, list[tuple[int, int]]]:
        """The prompt without marks, and from where to where a special token stands that is text."""
        pieces: list[str] = []
        places: list[tuple[int, int]] = []
        length = end = 0
        for match in self._mark.finditer(text):
            token = self._found[int(match[1])]
            pieces += [text[end : match.start()], token]
            length += match.start() - end
            places.append((length, length + len(token)))
            length += len(token)
            end = match.end()
        return "".join([*pieces, text[end:]]), places

    def _marked(self, match: re.Match[str]) -> str:
        self._found.append(match[0])
        return self._write.format(len(self._found) - 1)


def lies_in(places: Sequence[tuple[int, int]], span: tuple[int, int]) -> bool:
    """Whether a token from here to there is in one of those places: in their order, for there may be thousands."""
    before = bisect_right(places, span[0], key=itemgetter(0))
    return before > 0 and span[1] <= places[before - 1][1]
