"""The engine for models that slots cannot hold: one generation at a time, by transformers' own `generate`.

`generate` prepares each architecture's cache (windows, states of recurrent layers, an encoder's output); tokens are
drawn and told where it would process the logits, so that sampling is the same as in slots.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from adapters.generation.engine import EngineClosed, Generation, TokenEvent, TokenStream
from adapters.generation.engine_thread import EngineThread, Submission
from adapters.generation.giving_way import NICE
from adapters.generation.next_tokens import next_events
from adapters.generation.sampler import RowSampler
from adapters.generation.token_logprobs import event_of, prompt_events

#: seconds that a mask is waited for until it is looked whether anybody still wants it
_PATIENCE = 0.1


class SequentialEngine(EngineThread):
    """Runs any transformers model that has `generate`; nobody else may use the model until it is closed.

    An encoder reads the prompt where there is one: its tokens have no logprobs then, and no repetition penalty.

    Args:
        cache_limit: bytes; told in `usage`, as the caches of these models are of sizes that only they know.
    """

    def __init__(
        self, model: Any, *, cache_limit: int = 0, max_waiting: int = 256, nice: int = NICE, threads: int = 0
    ) -> None:
        super().__init__(slots=1, cache_limit=cache_limit, max_waiting=max_waiting, nice=nice, threads=threads)
        self._model = model
        self._vocabulary = int(model.get_output_embeddings().weight.shape[0])
        self._encodes = bool(model.config.is_encoder_decoder)
        self._own_settings = model.generation_config
        model.generation_config = _neutral(model.generation_config)  # `generate` takes from it what it is not told
        self._next: deque[Submission] = deque()
        self._thread.start()

    def submit(self, generation: Generation) -> TokenStream:
        if generation.prompt_logprobs and self._encodes:
            raise ValueError("the prompt is read by an encoder, so its tokens have no logprobs")
        return super().submit(generation)

    def close(self) -> None:
        super().close()
        self._model.generation_config = self._own_settings

    def _need(self, generation: Generation) -> int:
        return 0

    def _cache_bytes(self) -> int:
        return 0

    def longest(self) -> int:
        return 1 << 31  # whatever the context is: what its cache takes is known to nobody

    def _start(self, request: Submission) -> None:
        self._next.append(request)
        self._prompt_tokens += len(request.generation.prompt)

    def _abandon(self) -> list[Submission]:
        left = list(self._next)
        self._next.clear()
        return left

    def _step(self) -> bool:
        """One generation, from its beginning to its end."""
        if self._next:
            request = self._next[0]
            error: Exception | None = None
            try:
                with torch.inference_mode():
                    whole = self._generate(request)
                if self._closed and not whole:
                    error = EngineClosed("the engine has been closed")
            except Exception as raised:  # its own, whatever it is
                error = raised
            self._next.popleft()
            self._end(request, error)
        return bool(self._next)

    def _generate(self, request: Submission) -> bool:
        """Whether it came to its end; if not, it was given up."""
        generation = request.generation
        ids = torch.tensor([list(generation.prompt)], device=self._model.device)
        if generation.prompt_logprobs:
            self._tell_prompt(request, ids)
        if not generation.max_tokens or self._is_over(request):
            return not generation.max_tokens
        steps = _Steps(self, request, RowSampler(generation, self._vocabulary, self._counted(generation), ids.device))
        self._model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=generation.max_tokens,
            logits_processor=LogitsProcessorList([steps]),
            stopping_criteria=StoppingCriteriaList([_Until(steps)]),
        )
        return steps.over

    def _counted(self, generation: Generation) -> Sequence[int]:
        return () if self._encodes else generation.prompt

    def _tell_prompt(self, request: Submission, ids: torch.Tensor) -> None:
        logits = self._model(ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0, :-1].float()
        prompt = list(request.generation.prompt)
        self._tell(request, event_of(None, prompt[0], None, in_prompt=True))
        for event in prompt_events(logits, prompt[1:], request.generation.logprobs):
            self._tell(request, event)
        self._outbox.send()

    def _is_over(self, request: Submission) -> bool:
        return request.cancelled or self._closed

    def _made(self, request: Submission, event: TokenEvent) -> None:
        self._beat()
        self._tell(request, event)
        self._outbox.send()


class _Steps(LogitsProcessor):
    """Stands where `generate` would change logits: it draws the token, tells it, and leaves it as the only choice."""

    def __init__(self, engine: SequentialEngine, request: Submission, sampler: RowSampler) -> None:
        self.engine, self.request, self.sampler = engine, request, sampler
        self.generation = request.generation
        self.made: list[int] = []
        self.over = False

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        while not self.sampler.is_ready(_PATIENCE) and not self.engine._is_over(self.request):
            continue
        if self.engine._is_over(self.request):  # `generate` ends behind the next token, whichever that is
            return scores
        event = next_events(scores.float(), [self])[0]
        if isinstance(event, Exception):
            raise event
        self.engine._made(self.request, event)
        self.over = event.finish is not None
        chosen = torch.full_like(scores, -torch.inf)
        chosen[0, event.token] = 0
        return chosen


class _Until(StoppingCriteria):
    """Ends `generate` with the last token, or when nobody wants more."""

    def __init__(self, steps: _Steps) -> None:
        self._steps = steps

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **others: Any) -> torch.Tensor:
        over = self._steps.over or self._steps.engine._is_over(self._steps.request)
        return torch.full((len(input_ids),), over, dtype=torch.bool, device=input_ids.device)


def _neutral(own: Any) -> Any:
    """Settings of a model without those that change logits or draw: only what tells how an answer begins."""
    settings = GenerationConfig(do_sample=False, num_beams=1, use_cache=True)
    for name in ("bos_token_id", "decoder_start_token_id", "cache_implementation"):
        setattr(settings, name, copy.copy(getattr(own, name, None)))
    pad = own.pad_token_id
    settings.pad_token_id = 0 if pad is None else pad
    return settings
