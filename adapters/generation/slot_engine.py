"""The engine for decoders: all sequences go on together, each in a slot that others neither wait for nor pad to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, cast

import numpy as np
import torch

from adapters.generation.engine import Generation, TokenEvent
from adapters.generation.engine_thread import EngineThread, Submission
from adapters.generation.giving_way import NICE
from adapters.generation.kv_blocks import CachePool
from adapters.generation.next_tokens import next_events
from adapters.generation.packed_head import packed_head
from adapters.generation.prefix_cache import SHORTEST, ComputedPrefix, PrefixCache
from adapters.generation.slot_support import cache_shape, slots_attention
from adapters.generation.slot_turns import SlotSequence, Turn, compute
from adapters.generation.token_logprobs import event_of, prompt_events

#: times `prefill_chunk`, where nobody is decoding who would wait
_CHUNKS_WHEN_ALONE = 4
#: seconds that are waited for a mask where there is nothing to compute, until others are looked after
_PATIENCE = 0.01
#: tokens of an answer that a sequence holds room for when it begins: most answers take no more
_ROOM_AT_FIRST = 128


class SlotEngine(EngineThread):
    """Runs a transformers `...ForCausalLM`; nobody else may use the model until it is closed.

    A step is one forward of one token for each sequence that decodes, and then of parts of prompts, the oldest first,
    of `prefill_chunk` tokens together: so much is what a newcomer costs the others in each step.

    Args:
        cache_limit: bytes that keys and values of all sequences may take; what is left keeps those of finished ones.
        slots: sequences that run at once.

    Raises:
        NotHeld: slots cannot hold this model; see `supports`.
    """

    def __init__(
        self,
        model: Any,
        *,
        cache_limit: int,
        slots: int = 32,
        prefill_chunk: int = 128,
        max_waiting: int = 256,
        nice: int = NICE,
        threads: int = 0,
    ) -> None:
        super().__init__(slots=slots, cache_limit=cache_limit, max_waiting=max_waiting, nice=nice, threads=threads)
        self._model = model
        self._chunk = prefill_chunk
        self._vocabulary = int(model.get_output_embeddings().weight.shape[0])
        self._pool = CachePool(cache_shape(model), cache_limit)
        self._prefixes = PrefixCache(self._pool)
        self._decoding: list[SlotSequence] = []
        self._reading: list[SlotSequence] = []  #: their prompts, the oldest first
        self._undrawn: list[tuple[SlotSequence, Any]] = []  #: their logits are there, and their masks were not yet
        self._borrowed = ExitStack()
        self._borrowed.enter_context(slots_attention(model))
        self._borrowed.enter_context(packed_head(model))
        self._thread.start()

    def close(self) -> None:
        super().close()
        self._prefixes.clear()
        self._borrowed.close()

    def _need(self, generation: Generation) -> int:
        return self._pool.bytes_for(len(generation.prompt) + generation.max_tokens)

    def _need_at_first(self, generation: Generation) -> int:
        return self._pool.bytes_for(len(generation.prompt) + min(generation.max_tokens, _ROOM_AT_FIRST))

    def _cache_bytes(self) -> int:
        return self._pool.allocated

    def longest(self) -> int:
        return self._pool.longest()

    def _start(self, request: Submission) -> None:
        if not request.generation.max_tokens and not request.generation.prompt_logprobs:
            self._end(request)
            return
        if request.progress is not None:
            self._reading.append(request.progress)
            return
        request.progress = SlotSequence(request, self._vocabulary, self._model.device)
        self._reading.append(request.progress)
        self._prompt_tokens += len(request.generation.prompt)

    def _abandon(self) -> list[Submission]:
        running = [*self._decoding, *self._reading]
        self._decoding.clear()
        self._reading.clear()
        self._undrawn.clear()
        self._pool = CachePool(self._pool.shape, self.cache_limit)  # a new one: who knows what this one is like now
        self._prefixes = PrefixCache(self._pool)
        return [sequence.request for sequence in running]

    def _step(self) -> bool:
        with torch.inference_mode():
            return self._step_of_all()

    def _step_of_all(self) -> bool:
        for sequence in [each for each in (*self._decoding, *self._reading) if each.request.cancelled]:
            self._finish(sequence)
        turns = [*self._decoding_turns(), *self._reading_turns()]
        if turns:
            self._take(turns)
        elif self._undrawn:  # nobody else goes on meanwhile; but somebody may come, or give up
            self._undrawn[0][0].sampler.is_ready(_PATIENCE)
            self._draw([])
        return bool(self._decoding or self._reading)

    def _decoding_turns(self) -> Iterator[Turn]:
        """In the order of rows, so that neighbours share a call of attention."""
        for sequence in sorted(self._decoding, key=lambda each: each.request.number):
            if sequence.block is not None and sequence.length == sequence.block.capacity:
                self._grow(sequence)
        for block in self._pool.shared_blocks():
            for occupant in block.occupants:
                sequence = cast(SlotSequence, occupant)
                if not self._waits_for_mask(sequence):
                    yield Turn(sequence, 1, decodes=True)

    def _waits_for_mask(self, sequence: SlotSequence) -> bool:
        return any(each is sequence for each, _ in self._undrawn)

    def _grow(self, sequence: SlotSequence) -> None:
        """Give it a longer row, if need be for those of younger ones; or put it back, where there are none."""
        try:
            while not self._enlarge(sequence.request, self._pool.bytes_for(sequence.length + 1)):
                youngest = max((*self._decoding, *self._reading), key=lambda each: each.request.number)
                self._free(youngest)
                ids = len(youngest.ids) + min(youngest.left, _ROOM_AT_FIRST)
                youngest.length = 0
                self._put_back(youngest.request, self._pool.bytes_for(ids))
                if youngest is sequence:
                    return
            self._pool.place_among_others(sequence, sequence.length + 1)
        except (RuntimeError, MemoryError) as error:  # there is no memory for it, whatever the limit
            self._finish(sequence, error)

    def _reading_turns(self) -> Iterator[Turn]:
        """Half of a step is the oldest's, and what else there is theirs who have the least left to read: a short prompt
        waits for no long one, and a long one for no number of short ones."""
        left = self._chunk if self._decoding else self._chunk * _CHUNKS_WHEN_ALONE
        reading = [each for each in self._reading if not self._waits_for_mask(each)]
        if not reading:
            return
        oldest, *others = reading
        others.sort(key=lambda each: each.unread)
        beside = min(left // 2, sum(each.unread for each in others))
        for sequence in (oldest, *others):
            if left <= 0:
                break
            if sequence.block is None and not self._begins(sequence):
                continue
            most = left - beside if sequence is oldest else left
            if sequence.tells_prompt:  # the logits of each token take room
                most = min(most, self._chunk)
            count = min(most, sequence.unread)
            left -= count
            yield Turn(sequence, count, decodes=False)

    def _begins(self, sequence: SlotSequence) -> bool:
        try:
            self._begin(sequence)
        except (RuntimeError, MemoryError) as error:
            self._finish(sequence, error)
            return False
        return True

    def _begin(self, sequence: SlotSequence) -> None:
        """Give it a row, with what others have computed of the same beginning."""
        running = () if sequence.tells_prompt else self._running_prefixes()
        found = None if sequence.tells_prompt else self._prefixes.longest(sequence.ids, running)
        self._pool.place_alone(sequence, len(sequence.ids))
        if found is not None:
            assert sequence.block is not None
            source, shared = found
            sequence.block.fill(0, source.block, source.row, shared)
            sequence.length = shared
            if not sequence.made:
                self._prefix_hits += shared
                sequence.request.stream.cached_tokens = shared

    def _running_prefixes(self) -> Iterator[ComputedPrefix]:
        for each in (*self._decoding, *self._reading):
            if each.block is not None and each.length >= SHORTEST:
                yield ComputedPrefix(np.asarray(each.ids[: each.length], np.int64), each.block, each.row)

    def _take(self, turns: Sequence[Turn]) -> None:
        """Compute and go on. What fails is tried one by one, so that only the culprit ends."""
        try:
            logits = compute(self._model, turns)
        except Exception as error:
            if len(turns) == 1:
                self._finish(turns[0].sequence, error)
            for turn in turns if len(turns) > 1 else ():
                self._take([turn])
            return
        read: list[tuple[SlotSequence, Any]] = []
        for turn, wanted in zip(turns, logits, strict=True):
            sequence = turn.sequence
            if sequence.tells_prompt and not turn.decodes:
                self._tell_prompt(sequence, turn.count, wanted)
            sequence.length += turn.count
            if sequence.length == len(sequence.ids):
                read.append((sequence, wanted[-1]))
        self._draw(read)

    def _tell_prompt(self, sequence: SlotSequence, count: int, logits: Any) -> None:
        first, prompt = sequence.length, sequence.generation.prompt
        if not sequence.told:
            self._tell(sequence.request, event_of(None, prompt[0], None, in_prompt=True))
            sequence.told = 1
        begin, end = max(first + 1, sequence.told), min(first + count + 1, len(prompt))
        if begin < end:
            rows = logits[begin - first - 1 : end - first - 1]
            for event in prompt_events(rows, prompt[begin:end], sequence.generation.logprobs):
                self._tell(sequence.request, event)
            sequence.told = end

    def _draw(self, read: Sequence[tuple[SlotSequence, Any]]) -> None:
        """The next token of each, by the logits after all its others, or its end; and of those that waited for masks.

        A mask that is not there yet holds its own sequence only, until one of the next steps.
        """
        drawing: list[tuple[SlotSequence, Any]] = []
        waited, self._undrawn = self._undrawn, []
        for sequence, row in (*waited, *read):
            if not sequence.generation.max_tokens:
                self._finish(sequence)
            elif sequence.sampler.is_ready():
                drawing.append((sequence, row))
            else:
                self._undrawn.append((sequence, row))
        if not drawing:
            return
        events = next_events(torch.stack([row for _, row in drawing]), [sequence for sequence, _ in drawing])
        for (sequence, _), event in zip(drawing, events, strict=True):
            if isinstance(event, Exception):
                self._finish(sequence, event)
            else:
                self._go_on(sequence, event)

    def _go_on(self, sequence: SlotSequence, event: TokenEvent) -> None:
        self._tell(sequence.request, event)
        sequence.ids.append(event.token)
        if event.finish is not None:
            self._finish(sequence)
        elif sequence in self._reading:
            self._reading.remove(sequence)
            self._decoding.append(sequence)
            self._pool.place_among_others(sequence, sequence.length + 1)

    def _finish(self, sequence: SlotSequence, error: Exception | None = None) -> None:
        """Its cache stays for those that begin as it did, unless it has failed."""
        self._free(sequence, keep=error is None)
        self._end(sequence.request, error)

    def _free(self, sequence: SlotSequence, *, keep: bool = False) -> None:
        (self._decoding if sequence in self._decoding else self._reading).remove(sequence)
        self._undrawn = [each for each in self._undrawn if each[0] is not sequence]
        if sequence.block is None:
            return
        if keep and sequence.length >= SHORTEST:
            self._prefixes.keep(sequence.ids[: sequence.length], self._pool.take(sequence))
        else:
            self._pool.leave(sequence)
