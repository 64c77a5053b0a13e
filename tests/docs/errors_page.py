"""docs/errors.md: every message that the product can print (`make messages`), by what is to be done about it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping

from server import errors
from tests.messages import Message, messages

_HEAD = """\
# Errors by message

Search this page for the words of a message that stand between its values; `…` is a value. Over REST a message comes as
`{"error": "…"}`, a model's reason is in `POST /v2/repository/index`, in the log and in `polyserve inspect`.
"""

#: a heading, what to do, and which messages
Rule = tuple[str, str, Callable[[Message], bool]]


def _in(*places: str, kinds: tuple[str, ...] = ()) -> Callable[[Message], bool]:
    return lambda each: each.file.startswith(places) and (not kinds or each.kind in kinds)


def _kinds(*kinds: str) -> Callable[[Message], bool]:
    return lambda each: each.kind in kinds


def _reasons(*places: str) -> Callable[[Message], bool]:
    """Texts of these places that are put into errors elsewhere: those that say what is wrong, or what to do."""
    return lambda each: (
        each.kind == "text"
        and each.file.startswith(places)
        and _WRONG.search(each.text) is not None
        and "\n" not in each.text
        and (each.text[:1].islower() or each.text[:1] == "{")
        and len(each.text) >= _SHORTEST
    )


def _any(*rules: Callable[[Message], bool]) -> Callable[[Message], bool]:
    return lambda each: any(fits(each) for fits in rules)


_WRONG = re.compile(
    r"\b(not|no|none|cannot|unknown|missing|damaged|cut|longer|larger|more than|did you mean|must|lacks|two)\b"
    r"|\b(twice|only|names)\b|: [a-z]+ (it|the|a|them|one)\b"
)
_REQUEST = (
    *(
        "InvalidInput",
        "FieldRefused",
        "RefusedJob",
        "NotFound",
        "NotSupported",
        "MethodNotAllowed",
        "TooLarge",
        "TooLong",
    ),
    *("HeadTooLarge", "UnknownCoding", "UnsupportedMediaType", "ModelUnknown", "Malformed", "Refused"),
)
_LATER = ("QueueFull", "NotReady", "Overloaded", "DeadlineExceeded", "TooSlow", "NoRoom", "WorkerDied")
_DAMAGED = ("Damaged", "MalformedGguf", "Unreadable")
_SHORTEST = 16  #: characters of a text that can be searched for
_BROKEN = ("damaged", "cut ", "empty")
#: of a sound file that is not served: no copy of it would be
_NOT_SERVED = re.compile(
    r"\bserved\b|applied|never run|passed on|auto_map|keep one object|timm|merge it|code from the hub|no activation"
    r"|another method|rename|put the model beside|changes the base"
)
_USAGE = ("UsageError", "Failure", "SettingsError", "ValueError")
_LOGGED = ("warning", "error", "exception", "critical")

#: what to do, in a heading and a sentence; which messages: the first rule that fits counts
RULES: tuple[Rule, ...] = (
    (
        "A flag, a variable or a command is written otherwise",
        "Nothing was started. `polyserve serve --help` and `polyserve COMMAND --help` list what there is; "
        "[settings](settings.md) has it as a table.",
        _any(
            _in("server/config/flags", "server/config/settings", "server/cli", kinds=_USAGE),
            _reasons("server/config/flags", "server/config/settings", "server/config/memory", "server/cli/folders"),
            _reasons("server/config/model_uri", "server/cli/server_client", "server/cli/main"),
        ),
    ),
    (
        "`polyserve.yaml` says something that there is not",
        "The model is UNAVAILABLE until the file is mended; it is loaded again by itself.",
        _any(
            _in("server/config/model_config", "server/config/version_policy", kinds=("LoadError", "ValueError")),
            _reasons("server/config/model_config", "server/config/version_policy"),
        ),
    ),
    (
        "A key or a token is missing or wrong",
        "See [API keys](security.md#api-keys).",
        _any(_kinds("KeysError", "Unauthorized", "Forbidden"), _reasons("server/config/api_keys")),
    ),
    (
        "Send another request",
        "The request does not fit the model or the protocol; the message names the field. `GET /v2/models/NAME` and "
        "`polyserve curl NAME` say what the model takes.",
        _any(_kinds(*_REQUEST), _reasons("server/codec", "server/api/rest", "server/api/openai", "server/api/grpc")),
    ),
    (
        "Try again later, or give the server more",
        "The server is well, and has no room or no time for this request now.",
        _kinds(*_LATER),
    ),
    (
        "Look into the model's code",
        "The model itself has failed at this request.",
        _kinds("ModelFailed"),
    ),
    (
        "Fetch the model again, or give the server the right to",
        "A store did not give what was asked for.",
        _kinds("StorageError"),
    ),
    (
        "Mend the model's requirements",
        "Its environment was not built; the model is UNAVAILABLE.",
        _in("server/loading/environments", "adapters/formats/requirements", kinds=("LoadError", "OSError", "problem")),
    ),
    (
        "Copy the file again",
        "The file is not whole, or is not what its name says. Compare sizes or checksums with where it came from.",
        lambda each: (
            (each.kind in _DAMAGED and not _NOT_SERVED.search(each.text))
            or (each.kind in ("LoadError", "problem") and any(word in each.text for word in _BROKEN))
        ),
    ),
    (
        "Decide whether you trust the model",
        "It could run code when it is loaded, or is not signed. [Trust](security.md#trust) says what each level lets "
        "in; save the model in a format without code, or let it in.",
        _any(
            _in("server/loading/trust", "server/loading/signatures", kinds=("LoadError", "text", "problem")),
            _reasons("adapters/formats/pickles", "adapters/torch_/script", "adapters/torch_/exported"),
            _reasons("adapters/tensorflow_/scan", "adapters/tensorflow_/keras", "adapters/onnx_/audit"),
        ),
    ),
    (
        "Save the model in another way, or say more in `polyserve.yaml`",
        "The model is UNAVAILABLE: it cannot be served as it lies there. The message says what can.",
        _any(
            _kinds("LoadError", "problem", "Match", "Verdict", "UnreadableDescription", "Foreign", "Origin"),
            _kinds(*_DAMAGED),
            _reasons("adapters/", "server/loading/", "server/repository/", "server/workers/"),
        ),
    ),
    (
        "Lines of the log",
        "Nothing stops; they say what is worth knowing.",
        _any(_kinds(*_LOGGED), _reasons("server/runtime/certificate_faults")),
    ),
)


def grouped() -> Mapping[str, list[Message]]:
    """The messages by the heading under which they stand, each once."""
    found: dict[str, list[Message]] = defaultdict(list)
    seen = set()
    for message in messages():
        heading = next((heading for heading, _, fits in RULES if fits(message)), "")
        if heading and (heading, message.text) not in seen:
            seen.add((heading, message.text))
            found[heading].append(message)
    return found


def page() -> str:
    """The whole page."""
    found, parts = grouped(), [_HEAD]
    for heading, advice, _ in RULES:
        lines = sorted({_line(each) for each in found[heading]}, key=str.lower)
        parts.append(f"## {heading}\n\n{advice}\n\n" + "".join(lines))
    return "\n".join(parts)


def _line(message: Message) -> str:
    kind = getattr(errors, message.kind, None)
    status = f" ({kind.status})" if isinstance(kind, type) and issubclass(kind, errors.ServingError) else ""
    text = " ".join(message.text.replace("{}", "…").replace("`", "'").split())
    return f"- `{text}`{status}\n"
