"""Everything that a request can end in, other than an answer.

    bytes --decode--> tensors --submit--> queue --predict--> tensors --encode--> bytes
            |                    |           |        |
        InvalidInput 400     QueueFull 429   |    ModelFailed 500
        TooLarge     413     NotReady  503  DeadlineExceeded 504
        NotFound     404
    before: MethodNotAllowed 405, HeadTooLarge 431, TooSlow 408, UnknownCoding 415, Overloaded 503

Each error is one HTTP status, one gRPC status and one sentence for the person who reads it. `adapters.InvalidInput`
(a model refusing its input) counts as `InvalidInput` here. Bodies are KServe's: `{"error": "…"}`.
"""

from __future__ import annotations

from typing import ClassVar

import orjson

from adapters import base
from adapters.modeldir import legible
from adapters.shared.messages import shortened, without_paths, without_trace

Header = tuple[bytes, bytes]

#: characters of a message that are sent: gRPC carries it in a header, and those are bounded
LONGEST = 1000

JSON_HEADER: Header = (b"content-type", b"application/json")


class ServingError(Exception):
    """The base of all errors that a client is told of."""

    status: int = 500
    grpc: str = "INTERNAL"  #: the name of a `grpc.StatusCode`
    retry_after: ClassVar[int] = 0  #: seconds; 0 sends no `Retry-After`


class InvalidInput(ServingError, base.InvalidInput):
    """The request is malformed or does not fit the model's signature."""

    status = 400
    grpc = "INVALID_ARGUMENT"


class TooLong(InvalidInput):
    """A text has more tokens than the model takes."""

    code = "context_length_exceeded"  #: OpenAI's word


class RefusedByModel(InvalidInput):
    """The model's own code (a handler of TorchServe's) answers with an error of its choice: that status goes out."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status
        self.grpc = nearest_error(status).grpc


class Unauthorized(ServingError):
    """Loading and unloading from elsewhere than loopback without the right token; anything without an API key."""

    status = 401
    grpc = "UNAUTHENTICATED"


class Forbidden(ServingError):
    """Loading and unloading from elsewhere than loopback; a model that an API key is not for."""

    status = 403
    grpc = "PERMISSION_DENIED"


class NotFound(ServingError):
    """No such model or version."""

    status = 404
    grpc = "NOT_FOUND"


class MethodNotAllowed(ServingError):
    """The path is not asked in this way."""

    status = 405
    grpc = "UNIMPLEMENTED"


class TooLarge(ServingError):
    """The body is over the limit."""

    status = 413
    grpc = "RESOURCE_EXHAUSTED"


class HeadTooLarge(ServingError):
    """The first line and the headers are over the limit."""

    status = 431
    grpc = "RESOURCE_EXHAUSTED"


class UnknownCoding(ServingError):
    """The body is compressed in a way that is not known here."""

    status = 415
    grpc = "INVALID_ARGUMENT"


class UnsupportedMediaType(ServingError):
    """The body is of a kind that is not read here."""

    status = 415
    grpc = "INVALID_ARGUMENT"


class TooSlow(ServingError):
    """The client has not sent its request within the time there is for that."""

    status = 408
    grpc = "DEADLINE_EXCEEDED"


class QueueFull(ServingError):
    """The model has too many requests waiting."""

    status = 429
    grpc = "RESOURCE_EXHAUSTED"
    retry_after = 1


class ClientGone(ServingError):
    """The client hung up while its request waited; counted, never sent."""

    status = 499  # nginx's word for it
    grpc = "CANCELLED"


class ModelFailed(ServingError):
    """The model itself failed; the message is its own, without a stack trace."""


class NotSupported(ServingError):
    """The model, or the server, does not do this."""

    status = 501
    grpc = "UNIMPLEMENTED"


class NotReady(ServingError):
    """The model is not ready; the message holds the reason."""

    status = 503
    grpc = "UNAVAILABLE"


class Overloaded(ServingError):
    """The server has no room for the request, whatever it is for."""

    status = 503
    grpc = "RESOURCE_EXHAUSTED"
    retry_after = 1


class DeadlineExceeded(ServingError):
    """The request waited longer than its deadline."""

    status = 504
    grpc = "DEADLINE_EXCEEDED"


#: HTTP status -> the error of ours that has its gRPC status; other 4xx are the client's fault
_RELATIVES: dict[int, type[ServingError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    408: DeadlineExceeded,
    413: TooLarge,
    429: QueueFull,
    501: NotSupported,
    502: NotReady,
    503: NotReady,
    504: DeadlineExceeded,
}


def nearest_error(status: int) -> type[ServingError]:
    """The error of ours that is closest to an HTTP status."""
    return _RELATIVES.get(status, InvalidInput if status < 500 else ModelFailed)


def as_serving_error(error: BaseException) -> ServingError:
    """The error that the client is told, for any exception."""
    if isinstance(error, ServingError):
        return error
    told = without_paths(without_trace(str(error)))
    if isinstance(error, base.TooLong):
        return TooLong(told)
    if isinstance(error, base.RefusedAs):
        return RefusedByModel(told, error.status)
    if isinstance(error, base.InvalidInput):
        return InvalidInput(told)
    return ModelFailed(f"{type(error).__name__}: {told}" if told else type(error).__name__)


def message(error: ServingError) -> str:
    """The sentence as it is sent; from then on the error holds nothing else."""
    forget_frames(error)
    return sendable(str(error))


def forget_frames(error: BaseException) -> None:
    """Let go of what the code that failed had in its hands: a request's body, and gigabytes of objects made of it.

    Whoever raises an error that he has a name for makes a circle of it, its trace and himself; all that would stay in
    memory until it is searched for circles, which is rare. Who wants a trace in the log has written it by now.
    """
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            waiting += [each.__cause__, each.__context__]


def sendable(text: str) -> str:
    """The text bounded, and without what UTF-8 or a terminal cannot carry (in names of files, for one)."""
    return "\n".join(map(legible, shortened(text, LONGEST).split("\n")))


def respond(error: ServingError) -> tuple[int, list[Header], bytes]:
    """The HTTP status, headers and body of an error."""
    headers = [JSON_HEADER]
    if error.retry_after:
        headers.append((b"retry-after", b"%d" % error.retry_after))
    if isinstance(error, UnknownCoding):
        headers.append((b"accept-encoding", b"gzip, deflate"))
    if isinstance(error, Unauthorized):
        headers.append((b"www-authenticate", b"Bearer"))
    return error.status, headers, orjson.dumps({"error": message(error)})
