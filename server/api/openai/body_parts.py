"""How many parts a body of OpenAI's API may hold, counted before anything is made of it.

What reads a body is one call of orjson, and one of pydantic, for which everybody waits: 100,000 tools of a few bytes
each took half a second of a core, and 2.5 million empty lists two. What fits a model is bounded by its context, and is
far less.
"""

from __future__ import annotations

from adapters.formats import json_text
from server.errors import TooLarge

#: lists and objects; values and keys; texts, as which keys count
_MOST_LISTS, _MOST_VALUES, _MOST_TEXTS = 100_000, 3_000_000, 500_000


def check_parts(body: bytes) -> None:
    """
    Raises:
        TooLarge: it holds more than any request would.
    """
    try:
        json_text.check_parts(body, _MOST_LISTS, _MOST_VALUES, _MOST_TEXTS)
    except json_text.TooMuchJson as error:
        raise TooLarge(
            f"the body is too much to read: {error}; send fewer messages, tools or prompts in one request"
        ) from error
