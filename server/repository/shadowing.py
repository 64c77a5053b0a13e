"""A new version beside the one that serves: it answers the same live requests, and nobody is sent what it says.

    request --> the version that serves --> the client
                                       `--> (a share of them, after the answer) --> the shadow --> compared --> counted

Compared is what clients would have been sent, numbers within a tolerance, and how long it took. It takes over when it
is promoted: by an admin, or by itself after as many answers in a row as its `polyserve.yaml` says. In the process that
holds the models: front processes (`--workers`) send none to it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import random

import orjson

from server.codec.grpc_json import response_json
from server.config.shadow_config import ShadowConfig
from server.errors import ServingError, as_serving_error
from server.inference.answer import Answer, StreamedAnswer
from server.inference.model import ServedModel
from server.inference.request import InferenceRequest
from server.inference.taps import Seen, SeenOutcome, ShadowRequest, tap
from server.loading.recorded_examples import differences
from server.repository.store import ModelStore
from server.telemetry.counters import ModelMetrics, now

log = logging.getLogger("kserve")

_MOST = 4  #: requests that a shadow is at; of others there is nothing to learn but that it is slow
_QUIET = 10.0  #: seconds between two lines about one that answers otherwise


class ShadowTap:
    """A `Tap`. Everything but the comparison happens on the event loop."""

    def __init__(self, store: ModelStore, promote: Callable[[str], object]) -> None:
        """`promote` makes the shadow of a model serve; it may block."""
        self._store = store
        self._promote = promote
        self._compare = ThreadPoolExecutor(1, "shadow")
        self._in_row: dict[tuple[str, str], int] = {}  #: answers that agreed, since the last that did not
        self._attended: weakref.WeakSet[ServedModel] = weakref.WeakSet()
        self._told = -_QUIET
        self._background: set[asyncio.Task[None]] = set()

    def attend(self, name: str) -> None:
        """Look on at the model that serves a name, from now on, if another runs beside it."""
        model = self._store.serving.get(name)
        if name in self._store.shadows and model is not None and model not in self._attended:
            self._attended.add(model)
            tap(model, (self,))

    def __call__(self, model: ServedModel, request: InferenceRequest) -> Seen | None:
        shadow = self._store.shadows.get(model.name)
        if shadow is None or request.verb != "predict" or isinstance(request, ShadowRequest):
            return None
        if self._store.serving.get(model.name) is not model or random() >= shadow.config.share:
            return None

        def answered(outcome: SeenOutcome) -> None:
            if isinstance(outcome, Answer) and outcome.status == 200:
                self._begin(shadow.model, shadow.config, request, outcome, now() - request.received_at)

        return answered

    def _begin(
        self, shadow: ServedModel, config: ShadowConfig, request: InferenceRequest, served: Answer, seconds: float
    ) -> None:
        counts = self._store.metrics.of(shadow.name, shadow.version)
        if shadow.in_flight.count >= _MOST or not shadow.ready:
            counts.shadow_skipped += 1
            return
        task = asyncio.get_running_loop().create_task(self._ask(shadow, config, request, served, seconds, counts))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _ask(
        self,
        shadow: ServedModel,
        config: ShadowConfig,
        request: InferenceRequest,
        served: Answer,
        seconds: float,
        counts: ModelMetrics,
    ) -> None:
        copy = ShadowRequest(
            *(request.protocol, request.verb, request.model, None, request.headers, request.body),
            json_length=request.json_length,
            template=request.template,
        )
        key = (shadow.name, shadow.version)
        try:
            answer = await shadow.handle(copy)
        except Exception as error:
            counts.shadow_failed += 1
            self._in_row[key] = 0
            self._tell(shadow, f"it fails where the other answers: {as_serving_error(error)}")
            return
        counts.shadow_seconds += now() - copy.received_at
        counts.served_seconds += seconds
        loop = asyncio.get_running_loop()
        difference = await loop.run_in_executor(self._compare, difference_of, request, served, answer, config.tolerance)
        if difference:
            counts.shadow_differed += 1
            self._in_row[key] = 0
            self._tell(shadow, difference)
            return
        counts.shadow_agreed += 1
        self._in_row[key] = self._in_row.get(key, 0) + 1
        if config.after is not None and self._in_row[key] == config.after:
            log.info("model %s: %d answers in a row agree: it takes over", _label(shadow), config.after)
            threading.Thread(target=self._promote, args=(shadow.name,), name="promote", daemon=True).start()

    def _tell(self, shadow: ServedModel, difference: str) -> None:
        if (moment := time.monotonic()) >= self._told + _QUIET:
            self._told = moment
            log.warning("model %s answers otherwise than the one that serves: %s", _label(shadow), difference)


def _label(shadow: ServedModel) -> str:
    return f"{shadow.name} version {shadow.version} (shadow)"


def difference_of(
    request: InferenceRequest, served: Answer, answer: Answer | StreamedAnswer | ServingError, tolerance: float
) -> str:
    """The first place where the two answers differ; "" where there is none."""
    if not isinstance(answer, Answer):
        return "it answers in parts"
    if answer.status != served.status:
        return f"status: expected {served.status}, got {answer.status}"
    if answer.body == served.body:
        return ""
    try:
        if request.protocol == "grpc":
            expected, got = orjson.loads(response_json(served.body)), orjson.loads(response_json(answer.body))
        else:
            expected, got = orjson.loads(served.body), orjson.loads(answer.body)
    except (ValueError, ServingError):  # raw tensors, or a body of the model's own
        return "the bodies differ"
    return next(differences(expected, got, tolerance), "")
