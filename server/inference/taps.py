"""Whoever looks on while models answer: traces, logs of payloads, a new version beside the old one.

    request --> every tap is shown it --> the model --> the client has the answer --> the taps that wanted it see it

A model that nobody looks at is not touched: there is nothing on a request's way that asks whether somebody does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias

from server.errors import ClientGone, ServingError
from server.inference.answer import Answer, StreamedAnswer
from server.inference.model import ServedModel
from server.inference.request import AnswerHandler, InferenceRequest
from server.inference.stream_parts import CountedParts, ShownParts
from server.inference.tensor_model import TensorModel

log = logging.getLogger("kserve")

#: what became of a request; of an answer in parts, the answer once it has ended, with its status
SeenOutcome: TypeAlias = "Answer | ServingError | Streamed"
#: is shown what became of a request
Seen: TypeAlias = Callable[[SeenOutcome], None]


class Streamed:
    """An answer in parts that has ended."""

    def __init__(self, status: int) -> None:
        self.status = status


class SeenParts:
    """A `Seen` that is shown the parts of a stream, too, as they are sent."""

    def part(self, part: bytes) -> None:
        """One of them."""
        raise NotImplementedError

    def __call__(self, outcome: SeenOutcome) -> None:
        raise NotImplementedError


class ShadowRequest(InferenceRequest):
    """A request that was answered already, sent to another model, too."""

    __slots__ = ()


class JobRequest(InferenceRequest):
    """A request of OpenAI's API as the job for a language model that was made of it; its client knows neither that nor
    the job's parts. Who wants to see what clients sent, and what they were sent, finds it here."""

    __slots__ = ("sent", "watchers")

    def __init__(self, *arguments: Any, sent: bytes) -> None:
        """`sent`: the client's own body."""
        super().__init__(*arguments)
        self.sent = sent
        self.watchers: list[Seen] = []  #: that are shown what the client is sent (`shown`)

    def shown(self, answer: Answer | StreamedAnswer) -> Answer | StreamedAnswer:
        """What the client is sent, once the watchers have been shown it; of a stream, while it is sent."""
        if not self.watchers:
            return answer
        if isinstance(answer, StreamedAnswer):
            return _streamed(answer, self.watchers)
        _tell(self.watchers, answer)
        return answer


class Tap(Protocol):
    """Looks on, on the event loop. What it raises is logged, and nobody's request fails by it."""

    def __call__(self, model: ServedModel, request: InferenceRequest) -> Seen | None:
        """A request is about to reach a model; None: its outcome is of no interest."""


def tap(model: ServedModel, taps: Sequence[Tap]) -> None:
    """Have these look on at whatever the model answers from now on. Nothing happens where there are none."""
    if not taps:
        return
    watch = _Watch(model, taps)
    entry = "start" if isinstance(model, TensorModel) else "handle"  # the one that all requests come through
    inner = getattr(model, entry)
    setattr(model, entry, partial(watch.start if entry == "start" else watch.handle, inner))


class _Watch:
    """The taps of one model."""

    def __init__(self, model: ServedModel, taps: Sequence[Tap]) -> None:
        self._model = model
        self._taps = taps

    def start(
        self, inner: Callable[[InferenceRequest, AnswerHandler], None], request: InferenceRequest, done: AnswerHandler
    ) -> None:
        """`ServedModel.start`"""
        seen = self._shown(request)
        if not seen:
            inner(request, done)
            return

        def answered(answer: Answer | StreamedAnswer | ServingError) -> None:
            if isinstance(answer, StreamedAnswer):
                done(_streamed(answer, seen))
            else:
                done(answer)  # nobody waits for those who look on
                _tell(seen, answer)

        inner(request, answered)

    async def handle(self, inner: Any, request: InferenceRequest) -> Answer | StreamedAnswer:
        """`ServedModel.handle`"""
        seen = self._shown(request)
        try:
            answer: Answer | StreamedAnswer = await inner(request)
        except ServingError as error:
            _tell(seen, error)
            raise
        except BaseException:
            _tell(seen, ClientGone("the client has gone"))
            raise
        if isinstance(answer, StreamedAnswer):
            return _streamed(answer, seen) if seen else answer
        _tell(seen, answer)
        return answer

    def _shown(self, request: InferenceRequest) -> list[Seen]:
        found = []
        for each in self._taps:
            try:
                if (seen := each(self._model, request)) is not None:
                    found.append(seen)
            except Exception:
                log.exception("model %s: who looks on failed", self._model.name)
        return found


def _tell(seen: Sequence[Seen], outcome: SeenOutcome) -> None:
    for each in seen:
        try:
            each(outcome)
        except Exception:
            log.exception("who looks on failed")


def _streamed(answer: StreamedAnswer, seen: Sequence[Seen]) -> StreamedAnswer:
    wanted = [each.part for each in seen if isinstance(each, SeenParts)]
    parts = ShownParts(answer.parts, wanted) if wanted else answer.parts
    return StreamedAnswer(answer.headers, CountedParts(parts, lambda status: _tell(seen, Streamed(status))))
