"""From the logits after several sequences to the event of the next token of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from adapters.generation.engine import Finish, Generation, TokenEvent
from adapters.generation.sampler import RowSampler, draw
from adapters.generation.token_logprobs import event_of


class Unfinished(Protocol):
    """A sequence that goes on."""

    @property
    def generation(self) -> Generation: ...

    sampler: RowSampler
    made: list[int]  #: its answer so far


def next_events(logits: Any, sequences: Sequence[Unfinished]) -> list[TokenEvent | Exception]:
    """One for each row of float32 [sequences, vocabulary]: its token, which is noted, or why there is none.

    Logprobs are of the rows as they are given; penalties, bias and mask change a copy.
    """
    rows, failed = _changed(logits, sequences)
    drawing = [number for number in range(len(sequences)) if number not in failed]
    if failed:
        rows = rows[drawing]
    drawn = dict(zip(drawing, _drawn(rows, [sequences[number].sampler for number in drawing]), strict=True))
    found: list[TokenEvent | Exception] = []
    for number, sequence in enumerate(sequences):
        token = failed.get(number) or drawn[number]
        found.append(token if isinstance(token, Exception) else _noted(logits[number], sequence, token))
    return found


def _changed(logits: Any, sequences: Sequence[Unfinished]) -> tuple[Any, dict[int, Exception]]:
    failed: dict[int, Exception] = {}
    if not any(each.sampler.changes_rows for each in sequences):
        return logits, failed
    rows = logits.clone()
    for number, sequence in enumerate(sequences):
        try:
            sequence.sampler.change(rows[number])
        except Exception as error:  # a mask is code of others
            failed[number] = error
    return rows, failed


def _drawn(rows: Any, samplers: Sequence[RowSampler]) -> list[int | Exception]:
    """A token for each row; where one cannot be drawn from, the others are."""
    if not samplers:
        return []
    try:
        return list(draw(rows, samplers))
    except (ValueError, RuntimeError) as error:
        if len(samplers) == 1:
            return [error]
        return [_drawn(row[None], [sampler])[0] for row, sampler in zip(rows, samplers, strict=True)]


def _noted(logits: Any, sequence: Unfinished, token: int) -> TokenEvent:
    generation = sequence.generation
    sequence.made.append(token)
    sequence.sampler.note(token)
    finish = None
    if token in generation.stop_ids:
        finish = Finish.STOP
    elif len(sequence.made) == generation.max_tokens:
        finish = Finish.LENGTH
    return event_of(logits, token, generation.logprobs, finish=finish)
