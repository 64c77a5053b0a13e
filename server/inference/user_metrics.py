"""Metrics of users' own code, from the processes that it runs in: asked for before somebody scrapes, shown among ours.

Each has labels of ours beside its own, `model` and `worker`; what has our names, or is about the process, is left out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from adapters.base import Reply, Request
from server.inference.model import ServedModel
from server.workers.own_metrics import PROTOCOL, VERB

log = logging.getLogger("kserve")

MOST_BYTES, MOST_SAMPLES = 2**20, 10_000  #: of one worker
_TIMEOUT = 1.0  #: seconds that a scrape waits for them; who is late is shown as it was
_OURS = ("polyserve_", "request_", "python_", "process_", "vllm:")
_ASKED = Request(VERB, PROTOCOL, b"", {})


class UserMetrics:
    """Those of the models of one process. On the event loop, but for `families`."""

    def __init__(self, models: Callable[[], Iterable[ServedModel]]) -> None:
        self._models = models
        self._known: dict[str, list[Metric]] = {}

    async def refresh(self) -> None:
        """Ask every worker that reads whole requests."""
        asked = [model for model in self._models() if model.pool is not None and model.signature.whole]
        found = await asyncio.gather(*map(self._ask, asked))
        self._known = {model.name: families for model, families in zip(asked, found, strict=True)}

    async def _ask(self, model: ServedModel) -> list[Metric]:
        assert model.pool is not None
        try:
            async with asyncio.timeout(_TIMEOUT):
                replies = await model.pool.answer_each(_ASKED)
        except TimeoutError:
            return self._known.get(model.name, [])
        found: list[Metric] = []
        for number, reply in enumerate(replies.values()):
            if isinstance(reply, Reply) and reply.status == 200 and len(reply.body) <= MOST_BYTES:
                try:
                    found += labelled(reply.body.decode(), {"model": model.name, "worker": str(number)})
                except (ValueError, KeyError, IndexError) as error:  # it is none of Prometheus' text
                    log.debug("model %s: its metrics cannot be read: %s", model.name, error)
        return found

    def families(self) -> Iterator[Metric]:
        """Families of one name together; of two kinds under one name the first."""
        merged: dict[str, Metric] = {}
        for each in (family for families in list(self._known.values()) for family in families):
            known = merged.setdefault(each.name, Metric(each.name, each.documentation, each.type))
            if known.type == each.type:
                known.samples.extend(each.samples)
        yield from merged.values()


def labelled(text: str, labels: dict[str, str]) -> Sequence[Metric]:
    """The families of a text, but those of ours, with these labels beside their own."""
    found, left = [], MOST_SAMPLES
    for family in text_string_to_metric_families(text):
        if family.name.startswith(_OURS) or left < len(family.samples):
            continue
        left -= len(family.samples)
        shown = Metric(family.name, family.documentation, family.type)
        shown.samples = [sample._replace(labels={**sample.labels, **labels}) for sample in family.samples]
        found.append(shown)
    return found
