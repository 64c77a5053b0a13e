"""The process that a grammar is tried in before the model's own compiles it: run as a file, it imports nothing of ours.

Grammars are code of strangers', and there are some that take a compiler's stack, its memory or its time. Here that
costs this process. A line of JSON comes for each: {"grammar": ..., "schema": ...}; a line goes: {"error": ...,
"place": [...]}, with the place in the schema that the error is about.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
from collections.abc import Iterator
from typing import Any

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

_MEMORY = 2 << 30  #: bytes of address space
_STACK = 1 << 20  #: bytes: an eighth of what the model's own process has
_MOST_TRIES = 500  #: of schemas within schemas, to find the place
#: keywords of JSON schemas that hold schemas by names, in a list, or one
_NAMED = ("properties", "patternProperties", "$defs", "definitions")
_LISTED = ("anyOf", "allOf", "oneOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "not", "contains")


def parser_limits() -> LLParserLimits:
    """The same as the model's own process takes."""
    return LLParserLimits(
        initial_lexer_fuel=1_000_000, step_lexer_fuel=200_000, max_lexer_states=50_000, verbose_errors=False
    )


class Trials:
    """Compiles grammars, with the first step of each."""

    def __init__(self) -> None:
        self._tokenizer = LLTokenizer("byte")

    def answer(self, line: str) -> str:
        """The line for a line."""
        asked = json.loads(line)
        error = self.error(asked["grammar"])
        place = self._place(asked["schema"], error) if error and isinstance(asked.get("schema"), dict) else []
        return json.dumps({"error": error, "place": place})

    def error(self, grammar: str) -> str:
        """What is wrong with it; "" if nothing is."""
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0, limits=parser_limits())
        if not matcher.is_error():
            matcher.compute_bitmask()
        return str(matcher.get_error())

    def _place(self, schema: dict[str, Any], error: str) -> list[str]:
        """The way to the innermost schema that has the same error by itself."""
        path: list[str] = []
        shared = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
        tries = iter(range(_MOST_TRIES))
        while True:
            for way, inner in _within(schema):
                if next(tries, None) is None:
                    return path
                if isinstance(inner, dict) and self.error(_of_schema({**shared, **inner})) == error:
                    path += way
                    schema = inner
                    break
            else:
                return path


def _within(schema: dict[str, Any]) -> Iterator[tuple[list[str], Any]]:
    for keyword in _NAMED:
        if isinstance(schema.get(keyword), dict):
            for name, inner in schema[keyword].items():
                yield [keyword, name], inner
    for keyword in _LISTED:
        if isinstance(schema.get(keyword), list):
            for number, inner in enumerate(schema[keyword]):
                yield [keyword, str(number)], inner
    for keyword in _SINGLE:
        if keyword in schema:
            yield [keyword], schema[keyword]


def _of_schema(schema: Any) -> str:
    return json.dumps({"grammars": [{"json_schema": schema}]})


def main() -> None:
    """Answer lines until there are no more."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    trials = Trials()
    for line in sys.stdin:
        print(trials.answer(line), flush=True)


if __name__ == "__main__":
    threading.stack_size(_STACK)
    worker = threading.Thread(target=main)
    worker.start()
    worker.join()
