"""What every served model can do, whatever it is made of: answer a request, wait for the last one, go.

TensorModel        decodes, batches, predicts, encodes         (`tensor_model`)
PassthroughModel   hands whole requests to code of its own     (`passthrough_model`)
GenerationModel    ... but makes jobs of them, for a language model    (`generation_model`)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from adapters.base import Adapter, Signature
from server.inference.answer import Answer, StreamedAnswer
from server.inference.in_flight import InFlight
from server.inference.request import AnswerHandler, InferenceRequest
from server.workers.worker_pool import WorkerPool


class ServedModel(Protocol):
    """One loaded version of a model. Everything but `stop` happens on the event loop."""

    name: str
    version: str
    adapter: Adapter
    signature: Signature
    ready: bool
    in_flight: InFlight
    pool: WorkerPool | None  #: its processes, where it runs in some of its own
    born: float  #: when it came, on the monotonic clock
    made_by: str  #: the library that wrote its files, and its version; "": nobody knows

    #: rows in one call, at most; 0: no dimension of its tensors is known to be rows
    max_rows: int
    #: it refuses its adapter's own example, which is made up
    refuses_example: bool
    #: requests share calls
    merges: bool
    #: `start` answers whole, never in parts
    answers_whole: bool
    #: CloudEvents are its own to read; for other models KServe's data plane reads them
    reads_events: bool

    @property
    def waiting(self) -> int:
        """Requests in its queues."""

    def start(self, request: InferenceRequest, done: AnswerHandler) -> None:
        """Begin to answer; `done` gets the answer or the error once, unless the request is cancelled.

        It may be called before this returns.
        """

    async def handle(self, request: InferenceRequest) -> Answer | StreamedAnswer:
        """The answer to a request. Whoever stops waiting cancels it.

        Raises:
            ServingError: any but `NotFound`.
        """

    def get_input_types(self) -> list[dict[str, Any]]:
        """Name, datatype and shape of each input, for the V2 metadata."""

    def get_output_types(self) -> list[dict[str, Any]]:
        """The same of each output."""

    def retire(self, then: Callable[[], None]) -> None:
        """Let go of the model once all who reached it are answered; call `then` after that."""

    def stop(self) -> None:
        """Refuse requests, also those that wait; what runs runs to its end. From any thread."""
