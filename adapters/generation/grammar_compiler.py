"""Grammars to masks, for one model: tried in a process of its own, compiled, and kept for the next request."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from adapters.generation.engine import TokenMask
from adapters.generation.grammar import Grammar, GrammarLimits
from adapters.generation.grammar_trial import GrammarTrial
from adapters.generation.refusal import RefusedJob
from adapters.generation.vocabulary import Vocabulary

#: compiled grammars, the last used; fewer of large ones: together they are no longer than one may be (a choice
#: of one text of 100 kB comes to 32 MB, and thirty-two of them to a gigabyte that no budget knows of)
_KEPT = 32
_THREADS = 4  #: that compute masks
_MOST_TOLD = 300  #: characters of what llguidance says
#: where in a grammar that nobody else has seen, and its lines
_PLACE = re.compile(r"^(?:at )?\d+\(\d+\): (?:failed to compile JSON schema: )?")
_EXCERPT = re.compile(r"^\s*\d+ \| .*$", re.MULTILINE)
_NOTHING_FITS = "NoExtension"  #: llguidance's word, of a grammar that has just begun

NOT_INSTALLED = "grammars need the package llguidance beside transformers: install it, or leave the field out"


class GrammarCompiler:
    """What compiles for one vocabulary. `compile` may be called from any thread, and blocks."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        end_ids: frozenset[int],
        limits: GrammarLimits | None = None,
        trial: GrammarTrial | None = None,
    ) -> None:
        """`end_ids` are the tokens that a text may end with once its grammar is complete."""
        self.limits = limits or GrammarLimits()
        self._vocabulary = vocabulary
        self._end_ids = end_ids
        self._trial = trial or GrammarTrial()
        self._tokenizer: Any = None
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_THREADS, "mask")

    def compile(self, grammar: Grammar) -> Callable[[], TokenMask]:
        """What makes the mask of each sequence.

        Raises:
            RefusedJob: it is no grammar, or more of one than is taken.
        """
        return self.kept(grammar) or self._masks(grammar, self._compiled(grammar))

    def kept(self, grammar: Grammar) -> Callable[[], TokenMask] | None:
        """The same where it is compiled already, and at once: None where it is not.

        Raises:
            RefusedJob: it is more than is taken.
        """
        grammar.check(self.limits)
        source = grammar.source()
        with self._lock:
            if source not in self._kept:
                return None
            self._kept.move_to_end(source)
            return self._masks(grammar, self._kept[source])

    def _masks(self, grammar: Grammar, matcher: Any) -> Callable[[], TokenMask]:
        from adapters.generation.token_mask import GrammarMask

        return lambda: GrammarMask(matcher.deep_copy(), self._pool, grammar.field)

    def close(self) -> None:
        self._trial.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _compiled(self, grammar: Grammar) -> Any:
        try:
            from llguidance import LLMatcher
        except ImportError as error:
            raise RefusedJob(NOT_INSTALLED, grammar.field.partition(".")[0], "unsupported_parameter") from error
        from adapters.generation.grammar_trial_process import parser_limits

        source = grammar.source()
        schema = grammar.value if grammar.kind == "json_schema" else None
        problem, place = self._trial.problem(source, schema, self.limits.seconds)
        if problem:
            raise grammar.refused(_brief(problem, grammar), "".join(f".{each}" for each in place))
        matcher = LLMatcher(self._ids(grammar), source, log_level=0, limits=parser_limits())
        if matcher.is_error():
            raise grammar.refused(_brief(matcher.get_error(), grammar))
        with self._lock:
            self._kept[source] = matcher
            while len(self._kept) > _KEPT or (len(self._kept) > 1 and sum(map(len, self._kept)) > self.limits.size):
                self._kept.popitem(last=False)
        return matcher

    def _ids(self, grammar: Grammar) -> Any:
        """The tokenizer as llguidance has it; a second's work for a large one."""
        from llguidance import LLTokenizer

        if self._tokenizer is not None:
            return self._tokenizer
        written = self._vocabulary.written()
        if not self._end_ids:
            raise grammar.refused("the model has no end of sequence, which a text of a grammar ends with")
        if written is None:
            raise grammar.refused("the model's tokenizer is not one of the tokenizers library, which grammars need")
        try:
            self._tokenizer = LLTokenizer(written, n_vocab=self._vocabulary.size, eos_token=sorted(self._end_ids))
        except Exception as error:  # llguidance's own, of a tokenizer that it does not know
            raise grammar.refused(f"llguidance does not take the model's tokenizer: {_brief(str(error))}") from error
        return self._tokenizer


def _brief(told: str, grammar: Grammar | None = None) -> str:
    """What is wrong, without the state of the parser and the text of the grammar: it is the client's own at most."""
    if grammar is not None and not grammar.is_clients:
        told = _PLACE.sub("", _EXCERPT.sub("", told))
    lines = [line.strip() for line in told.partition("<state>")[0].partition("<non-verbose/>")[0].splitlines()]
    text = " ".join(line for line in lines if line and set(line) - set("^ "))
    if text.startswith(_NOTHING_FITS):
        return "there is no text that would fit it"
    return text if len(text) <= _MOST_TOLD else text[:_MOST_TOLD] + " ..."
