"""The whole contract of an adapter on one page.

An adapter is one framework. It says whether a model directory is its own (`match`, by content, importing and
executing nothing), loads it (`load`), describes it (`signature`) and predicts on named numpy arrays (`predict`).
It knows nothing of batching or settings, and the server knows nothing of the framework.

Of HTTP it knows this much, and no more. `Signature` and `TensorSpec` hold a few words on how V1 shows a model's values
(`keyed`, `table`, `any_name`, `tf_serving`, `base64`, `json`): frameworks have conventions of their own there, which
only their adapters know. And a model that takes whole requests (`Signature.whole`: users' code, TorchServe's handlers)
sees protocol, headers and status, for such code was written against them (`Request`, `Reply`).

A new framework is one new file that defines an `Adapter`, and one line in `registry.TABLE`: see WRITING.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar, Protocol, Self, TypeAlias

import numpy as np

from adapters.datatypes import NUMPY_OF
from adapters.modeldir import ModelDir
from adapters.traits import PARTS, Traits

__all__ = [
    "TOKEN_COUNTS",
    "Adapter",
    "InvalidInput",
    "LoadError",
    "Match",
    "ModelDir",
    "Origin",
    "Parameter",
    "Parts",
    "Rank",
    "RefusedAs",
    "Reply",
    "ReplyStream",
    "Request",
    "Signature",
    "StreamFailed",
    "TensorSpec",
    "Traits",
    "Trust",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
#: Input or output tensors by name. BYTES tensors are object arrays, of `str` unless their spec says `binary`.
Tensors: TypeAlias = dict[str, Array]
Parameters: TypeAlias = Mapping[str, Any]


class LoadError(Exception):
    """A model directory cannot be served; the message is the reason that the operator reads."""


class InvalidInput(ValueError):
    """A request does not fit the model: the client's fault. The message names the field and the way out."""


class TooLong(InvalidInput):
    """A text of a request has more tokens than the model takes: OpenAI's clients know that by a code of its own."""


class RefusedAs(InvalidInput):
    """The model's own code answers with an error of its choice: a status of HTTP, 400 to 599, and a message."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class StreamFailed(Exception):
    """A stream that has begun ends with an error of the model's own choice; its message is sent as it is."""


class Rank(IntEnum):
    """How sure a claim is. The highest rank wins; two claims of one rank are an error that names both."""

    SUFFIX = 10  #: only the file's name says so (a damaged file, for one)
    CONTENT = 30  #: the bytes of one file say so
    BUNDLE = 40  #: a directory layout of several files that describe each other (spaCy, transformers, SavedModel)
    CODE = 50  #: the user's own model.py, which wins over any data beside it


class Trust(IntEnum):
    """What a model's files may do to the process that loads them; `--trust` allows up to one of these."""

    SAFE = 0  #: data only
    PICKLE = 1  #: a pickle, which could call what it names: it is scanned, and names known libraries only
    CODE = 2  #: runs Python that came with the model


@dataclass(frozen=True, slots=True)
class Origin:
    """A model's file was made by other versions of its libraries than are installed, which promise nothing for it."""

    made_by: str  #: "scikit-learn 1.5.2"
    installed: str  #: the version that is installed instead
    requirements: str = ""  #: pip requirements of an environment in which the file works; "": there is none
    problem: str = ""  #: why there is none, to follow `made_by`: "for which no build for Python 3.11 exists: ..."


@dataclass(frozen=True, slots=True)
class Match:
    """A claim on a model directory: "mine", and how sure.

    `problem` makes it "mine, but": a framework that is not installed, two candidate files, a damaged header. The
    directory then gets that text as its reason, and no other adapter of a lower rank is asked.
    """

    rank: Rank
    file: str = ""  #: the file to load, relative to the model directory; "" for the directory as a whole
    problem: str = ""
    requires: tuple[str, ...] = ()  #: modules that this very model needs beside the adapter's own
    trust: Trust = Trust.SAFE
    #: what its files do that the server's own process must not do, in words ("has operations that touch files: ..."); a
    #: worker serves it, whatever level of trust it needs
    carries: str = ""
    #: pip requirements (the text of a requirements file) that came with the model: it gets an environment of its own
    requirements: str = ""
    #: set where the installed versions may fail at the file; beside a `problem`, its `requirements` are the way out
    origin: Origin | None = None
    #: what the files call their own version, which clients of their framework ask for
    version: str = ""
    #: the library that wrote the file, with its version, where the look at it has told that anyway
    made_by: str = ""
    #: another adapter's name and the subfolder ("" for this one) that holds the model itself: the rest describes it
    delegate: tuple[str, str] | None = None
    #: the name of another folder of the mount that is loaded with this one, as it is what this one changes: it is
    #: verified, and has to stay the same, as this one
    beside: str = ""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output tensor of a signature.

    `shape` includes the batch dimension first (-1) when the signature is `batched`; -1 stands for any size.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    nullable: bool = False  #: a missing value is welcome: NaN in float tensors, None in BYTES tensors
    finite: bool = False  #: NaN (unless nullable) and infinities are refused before the model sees them
    optional: bool = False  #: the input may be left out
    unused: bool = False  #: the model never looks at it: any value will do, whatever the datatype says
    binary: bool = False  #: BYTES elements are `bytes`; otherwise they are `str`
    category: bool = False  #: BYTES inputs only: whole numbers are welcome too, and become their text
    json: bool = False  #: elements are JSON values (dict, list, ...), or bytes; V2 carries them as JSON text
    base64: bool = False  #: outputs only: V1 writes elements as {"b64": ...}, whether or not they are UTF-8
    any_rank: bool = False  #: the model does not say how many dimensions there are: one or more; `shape` is (-1,)
    #: inputs only: the model does not say what it takes. Numbers, texts and missing values come as they are sent, in
    #: the array that holds them exactly (`datatype` is but what its example has); it refuses itself what does not fit
    any_type: bool = False
    labels: tuple[str, ...] = ()  #: outputs only: what the values of a row are called, by their place
    #: inputs only: the columns (by their place; 0 where there is one) that hold whole numbers, though the model takes
    #: any: others are refused before it sees them
    whole: tuple[int, ...] = ()
    note: str = (
        ""  #: inputs only: what a client has to know beside the datatype; in the metadata, and where a text comes
    )

    @property
    def dtype(self) -> np.dtype[Any]:
        return NUMPY_OF[self.datatype]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter that a request's `parameters`, or a model's `options`, may carry."""

    name: str
    kind: type = str  #: str, bool, int or float
    choices: tuple[Any, ...] = ()
    meaning: str = ""


#: asks for a second output of that name, INT64 [-1]: how many tokens of each row the model read
TOKEN_COUNTS = Parameter("token_counts", bool, meaning="a second output: how many tokens of each row the model read")
#: of "text2text": each answer has `tokens_read`, `tokens_written` and `finish_reason` ("stop" or "length"), too
TEXT_COUNTS = Parameter("text_counts", bool, meaning="how many tokens were read and written, and why the text ended")


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives; derived from the model, shown in the metadata, checked on every request.

    `keyed`, `any_name`, `table`, `ignores_unknown` and `tf_serving` say how its values look over HTTP; no prediction
    depends on them.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    #: Names of the columns of a single [-1, n] input: rows may then be objects, by name, in any order.
    columns: tuple[str, ...] = ()
    #: The inputs are the columns (each of shape [-1]) of one table: V1 rows may be lists in this order.
    table: bool = False
    #: Inputs that the model does not know are left out; else they are refused.
    ignores_unknown: bool = False
    #: V1 answers an object keyed by output name even when there is one output.
    keyed: bool = False
    #: The name of the single input, or of the only one that is not optional, was made up by the adapter (the model has
    #: none): V2 takes any name for it, and in V1 a value by itself is it, also where rows may be lists (`table`).
    any_name: bool = False
    #: Every tensor's first dimension is the batch. False: one request is one call with the whole tensors.
    batched: bool = True
    parameters: tuple[Parameter, ...] = ()
    #: What `explain` answers, one row an instance as in `outputs`; empty: the model does not explain. `contributions`
    #: has the columns of the input as its second dimension (`adapters.shared.explanations`).
    explanations: tuple[TensorSpec, ...] = ()
    #: V1 follows TensorFlow Serving's REST API: `inputs` are whole tensors, answered as `outputs`; NaN and Infinity.
    tf_serving: bool = False
    #: Every signature of the model by name, this one among them; a request's `signature_name` picks one.
    variants: Mapping[str, Signature] = field(default_factory=dict)
    #: The adapter reads whole requests itself (`answer`): there are no tensors to check or merge.
    whole: bool = False
    #: ... and gains when they overlap: it waits for other things than the processor.
    overlaps: bool = False
    #: ... and answers in parts (`ReplyStream`), as far as that is known before it is asked: its `predict` is a
    #: generator. False: it may do so all the same.
    streams: bool = False
    #: ... and what it reads are jobs (protocol "generation"): it is a language model. `inputs` (one text), `outputs`
    #: and `parameters` are how the other protocols ask it.
    generates: bool = False
    #: What is known of the one output beyond its spec, for models of language: "embedding", a vector for the text
    #: of a row; "score", how well the texts of a row's first two inputs go together; "transcription", what is said in
    #: the sound of a row, as transformers' pipelines answer; "text2text", a text for the text of a row (TEXT_COUNTS);
    #: "": nothing. The first two take TOKEN_COUNTS. "chat", of a model that generates: it takes conversations, too.
    task: str = ""
    #: What the model calls its classes, in the order of their probabilities; (): it has none, or tells none.
    labels: tuple[str, ...] = ()

    @property
    def of_language(self) -> bool:
        """Clients of OpenAI's API can ask it."""
        return self.generates or bool(self.task)


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request as it came, for an adapter whose signature says `whole`; the one that must know its protocol.

    | protocol | verb            | body                        | a `Reply`, or one part of a `ReplyStream`     |
    |----------|-----------------|-----------------------------|-----------------------------------------------|
    | v1       | predict         | JSON                        | a document; a stream if the model yields      |
    | v1       | explain         | JSON                        | the same                                      |
    | v2       | predict         | JSON, or JSON and tensors   | a V2 response; never a stream                 |
    | v2       | explain         | the same                    | the same                                      |
    | v2       | generate        | Triton's generate extension | its flat JSON document; never a stream        |
    | v2       | generate_stream | the same                    | its flat JSON document                        |
    | grpc     | predict         | a ModelInferRequest         | a ModelInferResponse; never a stream          |
    | grpc     | stream          | the same, of a stream       | a ModelInferResponse                          |

    One that `generates` is asked in the protocol "generation" alone, which no client speaks: the body is a job
    (`adapters.generation.job`), answered by a stream of its parts (`adapters.generation.answer_parts`). The verb
    "usage" asks for what the engine holds (`adapters.generation.engine.EngineUsage`), as JSON.

    Messages of gRPC are serialized. A client that asked for a stream takes a `Reply` for a stream of one part; one that
    did not is never given a stream, with the exception of V1, which has but one verb for both.
    """

    verb: str
    protocol: str
    body: bytes
    headers: Mapping[str, str]  #: HTTP headers or gRPC metadata, names in lower case


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a `Request`, in its protocol; with a `status` of 400 or more it is an error that the model chose.

    Such a body is JSON that goes to the client as it is (V1, V2), or the message of a status (gRPC).
    """

    body: bytes
    headers: Mapping[str, str]
    status: int = 200  #: an HTTP status; over gRPC its nearest relative is sent


class Parts(Protocol):
    """The parts of a stream, each one document in the request's protocol (see `Request`), without any framing.

    A part is made when it is asked for. It may hold newlines only if the model encoded it itself. Iterating raises
    `InvalidInput` (the client's fault), `StreamFailed`, or whatever the model failed with; nothing comes after that.
    An async generator is one, if it has been started.
    """

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None:
        """End the work, at the latest when the part that is being made is. To be called in any case, at the end too."""


@dataclass(frozen=True, slots=True)
class ReplyStream:
    """An answer in parts. There was no error up to and with the first part: `answer` has it already.

    What can go wrong before (with a status of its own) is a `Reply`, or an exception of `answer`.
    """

    parts: Parts
    headers: Mapping[str, str]  #: known before the first part; the content type is that of one part
    status: int = 200


@dataclass(eq=False)
class Adapter(ABC):
    """One loaded model. Subclasses are one framework each; `load` makes an instance.

    `predict` is called from worker threads with any number of rows (never zero), one call at a time unless
    `traits.thread_safe`. It may raise `InvalidInput` for the client's fault; anything else is the model's own failure.
    """

    signature: Signature

    #: the adapter's name, as `polyserve.yaml` spells it. Every class gives one, and a platform: only the stand-in for a
    #: model in a worker has those of its model
    name: str = field(default="", init=False, repr=False)
    #: `platform` in the V2 metadata
    platform: str = field(default="", init=False, repr=False)
    #: found out as it was loaded: why the server's own process must not serve it, as `Match.carries` says before
    carries: str = field(default="", init=False, repr=False)
    #: what may be done with its calls: the class's, or this one model's
    traits: Traits = field(default=Traits(), init=False, repr=False)
    #: memory that it may come to take beyond what it has once it is loaded
    reserve_bytes: int = field(default=0, init=False, repr=False)
    #: modules that `load` imports; the registry tells the operator what to install when one is absent
    requires: ClassVar[tuple[str, ...]] = ()
    #: options that `polyserve.yaml` may set for this adapter
    options: ClassVar[tuple[Parameter, ...]] = ()
    #: how to save such a model so that it cannot carry code ("as safetensors"), for those whose files can
    safe_form: ClassVar[str] = ""
    #: runs code that came with the model: never in the server's process, always in a worker
    own_process: ClassVar[bool] = False
    #: runs no such code, but takes the processor and the memory for long: always in a worker, too
    own_worker: ClassVar[bool] = False
    #: its worker keeps converted copies of files, in the folder that `POLYSERVE_CONVERTED_DIR` names
    converts: ClassVar[bool] = False
    #: `match` says itself what a requirements.txt beside the model means, also by giving no requirements
    reads_requirements: ClassVar[bool] = False

    def __init_subclass__(cls, **arguments: Any) -> None:
        """
        Raises:
            TypeError: the class sets a trait by itself, as adapters once did: the server would not see it.
        """
        super().__init_subclass__(**arguments)
        for part in PARTS.values():
            part.check(cls)

    @classmethod
    @abstractmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        """Claim the directory, or None. By content; imports no framework and executes nothing from the directory."""

    @classmethod
    @abstractmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        """Import the framework and load. `file` is the match's; `options` are checked against `cls.options`.

        Raises:
            LoadError: the model cannot be served; the message becomes the directory's reason.
        """

    @abstractmethod
    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        """Run the model. `inputs` fit `signature.inputs`: names, dtypes, shapes, one common number of rows."""

    def explain(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        """What made each prediction, as `signature.explanations` says.

        Takes what `predict` takes and raises what it raises. One call at a time, in a worker thread, but beside calls
        of `predict`: what both would write to needs a copy of its own.
        """
        raise NotImplementedError(f"{self.name} declares no explanations")

    async def answer(self, request: Request) -> Reply | ReplyStream:
        """Answer a whole request (`signature.whole`); any number at a time, on one event loop.

        Each request is a task of its own, in the context in which `load` ran; it also takes and closes the parts of a
        stream. To cancel it is to cancel the work.

        Raises:
            InvalidInput: the client's fault.
        """
        raise NotImplementedError(f"{self.name} takes tensors")

    def example(self) -> Tensors:
        """Two valid rows (or one call's tensors when not batched), for the self-test, warm-up and documentation.

        {} for a model that takes inputs of which nobody can say what is valid.
        """
        return example_of(self.signature)

    def evidence(self) -> Parameters:
        """What `load` found out at some cost, as JSON values, for another process that loads the very same files.

        There it is `ModelDir.evidence`. A `load` must do without, and bear anything: it comes from a process that a
        damaged file may have damaged.
        """
        return {}

    def close(self) -> None:
        """Let go of what the model holds beyond its memory (sessions, files, threads)."""

    def release(self) -> None:
        """Let go of that memory, too: the last call that an adapter gets, after `close`, in some thread.

        Whoever still knows it then, in a cycle of callbacks, say, knows an empty one, and the model is freed without a
        collection of everything, which would stop every request. One that needs its attributes for longer overrides
        this.
        """
        vars(self).clear()


for _name, _part in PARTS.items():
    setattr(Adapter, _name, _part)


def example_of(signature: Signature) -> Tensors:
    """Tensors that fit the signature: two rows, or one call's tensors when it is not batched."""
    return {spec.name: _example_of(spec) for spec in signature.inputs if not spec.optional}


def _example_of(spec: TensorSpec) -> Array:
    shape = [2 if axis == 0 and size == -1 else max(size, 1) for axis, size in enumerate(spec.shape)]
    if spec.datatype == "BYTES":
        return np.full(shape, b"example" if spec.binary else "example", dtype=np.object_)
    ramp = np.arange(int(np.prod(shape)), dtype=np.float64) % 2
    return ramp.reshape(shape).astype(spec.dtype)
