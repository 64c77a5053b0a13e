"""Token ids to text, one at a time, without ever cutting a character in two.

A character may take several tokens (an emoji is four bytes, and a byte may be a token), and a tokenizer decodes its
first bytes to U+FFFD. Those are held back until the rest has come, or until the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

_REPLACEMENT = "\ufffd"
_LONGEST = 3  #: bytes of an unfinished character, each of which some decoders show as one U+FFFD
_CONTEXT = 6  #: tokens before the first that show its decoder how the text stands: whether a space belongs to it
_MOST = 64  #: tokens that are looked at again while a character is unfinished: such text is none


class Detokenizer:
    """The text of one sequence."""

    def __init__(self, decode: Callable[[Sequence[int]], str], context: Sequence[int] = ()) -> None:
        """`decode` is the tokenizer's, of ids that are not special; `context` are those before the first, if any."""
        self._decode = decode
        self._window = list(context[-_CONTEXT:])
        self._fresh = len(self._window)  #: where the ids of the window begin whose text is not all sent
        self._before = decode(self._window) if self._window else ""  #: the text of those before
        self._sent = len(self._before)  #: characters of the window's text

    def step(self, token: int) -> str:
        """The text that is certain with this token; often that of the token, "" within a character."""
        self._window.append(token)
        text = certain = self._text()
        if text.endswith(_REPLACEMENT):
            tail = len(text) - len(text.rstrip(_REPLACEMENT))
            certain = text[: len(text) - min(tail, _LONGEST)]
        if len(certain) == len(text) or len(self._window) - self._fresh >= _MOST:
            return self._settle(text)
        new, self._sent = certain[self._sent :], max(self._sent, len(certain))
        return new

    def flush(self) -> str:
        """What is left at the end: the beginning of a character whose rest never came."""
        return self._settle(self._text())

    def _text(self) -> str:
        text = self._decode(self._window)
        if text.startswith(self._before):
            return text
        # Some decoders take a run of bytes as one: until it is whole, they show what was sound before as U+FFFD, too.
        return self._before + self._decode(self._window[self._fresh :])

    def _settle(self, text: str) -> str:
        """Send all, and forget but what the next tokens are decoded behind."""
        rest = text[self._sent :]
        self._window = self._window[self._fresh :] or self._window
        self._fresh = len(self._window)
        self._before = self._decode(self._window)
        self._sent = len(self._before)
        return rest
