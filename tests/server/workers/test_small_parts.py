"""The environment, the output, the contract: what needs no process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgpack
import pytest

from adapters.base import LoadError, Parameter, Signature, TensorSpec
from server.runtime.cpu import ONE_THREAD
from server.workers import output
from server.workers.launch import scrubbed
from server.workers.messages import Hello, signature_of, signature_to_fields
from server.workers.output import OutputLog

# --- the environment --------------------------------------------------------------------------------------------------

SECRETS = (
    *("ADMIN_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_PROFILE"),
    *("AZURE_CLIENT_SECRET", "AZURE_STORAGE_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "GCS_KEY", "STORAGE_CONFIG"),
    *("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "OPENAI_APIKEY", "API_KEY", "STRIPE_KEY", "SIGNING_KEY"),
    *("GITHUB_TOKEN", "NPM_AUTH", "MY_SECRET", "POSTGRES_PASSWORD", "db_password", "SMTP_PWD", "KEY_PASSPHRASE"),
)
HARMLESS = (
    *("PATH", "HOME", "LANG", "KEYBOARD_LAYOUT", "MONKEY", "PWD", "MODEL_NAME", "XAUTHORITY", "LD_LIBRARY_PATH"),
    *("TOKENIZERS_PARALLELISM", "OMP_NUM_THREADS", "HF_HOME", "HF_HUB_OFFLINE", "KSERVE_TLS_KEY_FILE", "HTTPS_PROXY"),
)


def test_secrets_are_left_out() -> None:
    kept = scrubbed(dict.fromkeys((*SECRETS, *HARMLESS), "x"))
    assert kept.keys() == {*HARMLESS, *ONE_THREAD}
    assert kept["OMP_NUM_THREADS"] == "1"


def test_addresses_with_passwords_are_left_out() -> None:
    environ = {
        "DATABASE_URL": "postgresql+psycopg://me:pass@db:5432/x",
        "HTTPS_PROXY": "http://user:pass@proxy:8080",
        "PIP_INDEX_URL": "https://me@index/simple",
        "OTHER": "see http://host:80/a@b",
    }
    assert scrubbed(environ).keys() - ONE_THREAD.keys() == {"PIP_INDEX_URL", "OTHER"}


def test_what_is_named_is_passed_on() -> None:
    environ = {"HF_TOKEN": "a", "AWS_PROFILE": "b", "ADMIN_TOKEN": "c"}
    assert scrubbed(environ, ["HF_TOKEN", "AWS_PROFILE"]).keys() - ONE_THREAD.keys() == {"HF_TOKEN", "AWS_PROFILE"}


# --- the output -------------------------------------------------------------------------------------------------------


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, "kserve")
    return lambda: [line.removeprefix("model m | ") for line in caplog.messages]


def test_lines_however_they_come(lines: Callable[[], list[str]]) -> None:
    log = OutputLog("m")
    for part in (b"a", b"b\nc", b"\n\n  \n\xc3", b"\xa9 \x1b[31mred\tx\n", b"10%\r50%\r100%\n", b"the end"):
        log.take(part)
    log.close()
    assert lines() == ["ab", "c", "é  [31mred x", "100%", "the end"]


def test_long_lines_are_cut(lines: Callable[[], list[str]]) -> None:
    log = OutputLog("m")
    for _ in range(100):
        log.take(b"x" * 1000)
    log.take(b"\nshort\n" + b"y" * 5000 + b"\n")
    log.close()
    assert lines() == ["x" * output.MAX_LINE + "...", "short", "y" * output.MAX_LINE + "..."]


def test_too_many_lines_are_counted(lines: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    log = OutputLog("m", _clock=0.0)
    log.take(b"line\n" * (output.BURST + 70))
    assert len(lines()) == output.BURST
    clock[0] = 0.5  # a pause of a second, and not a line and a warning in turns
    log.take(b"lost\n" * 60)
    assert len(lines()) == output.BURST
    clock[0] = 1.0
    log.take(b"next\n" * 2)
    assert lines()[output.BURST :] == ["model m printed too much: 130 lines were left out", "next", "next"]


# --- the contract -----------------------------------------------------------------------------------------------------

SIGNATURE = Signature(
    (TensorSpec("a", "FP32", (-1, 3), nullable=True), TensorSpec("b", "BYTES", (-1,), optional=True, binary=True)),
    (TensorSpec("y", "BYTES", (-1,), json=True),),
    columns=("p", "q", "r"),
    keyed=True,
    parameters=(Parameter("method", str, ("x", "y"), "which"), Parameter("n", int), Parameter("t", float, (0.5,))),
    explanations=(TensorSpec("contributions", "FP64", (-1, 4)),),
)
HELLO = Hello(SIGNATURE, "odd", True, 1.5, 1000, {}, "no")


def travelled(fields: Any) -> Any:
    return msgpack.unpackb(msgpack.packb(fields))


def test_a_signature_survives_the_way() -> None:
    assert signature_of(travelled(signature_to_fields(SIGNATURE))) == SIGNATURE
    assert signature_of(travelled(signature_to_fields(Signature((), (), whole=True)))) == Signature((), (), whole=True)


def test_a_hello_survives_the_way() -> None:
    assert Hello.of(travelled(HELLO.to_fields()), {}) == HELLO
    assert Hello.of(travelled(replace(HELLO, example_error="").to_fields()), {}).example_error == ""


def changed(fields: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The fields with one value replaced (or removed: None)."""
    if not path:
        return value
    copy = list(fields) if isinstance(fields, list) else dict(fields)
    copy[path[0]] = changed(copy[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("platform",), 3),
        (("batchable",), "yes"),
        (("seconds",), None),
        (("memory_bytes",), 1.5),
        (("signature",), []),
        (("signature", "inputs"), {}),
        (("signature", "inputs", 0), None),
        (("signature", "inputs", 0), {"shape": []}),
        (("signature", "inputs", 0, "name"), 7),
        (("signature", "inputs", 0, "datatype"), "FP128"),
        (("signature", "inputs", 0, "shape"), [-2]),
        (("signature", "inputs", 0, "shape"), ["1"]),
        (("signature", "inputs", 0, "nullable"), 1),
        (("signature", "columns"), [1]),
        (("signature", "whole"), "no"),
        (("signature", "parameters", 0, "kind"), "eval"),
        (("signature", "parameters", 0, "choices"), 3),
        (("signature", "parameters", 0, "name"), None),
    ],
)
def test_a_malformed_hello_is_a_reason(path: tuple[Any, ...], value: Any) -> None:
    with pytest.raises(LoadError, match="the worker sent"):
        Hello.of(changed(travelled(HELLO.to_fields()), path, value), {})


def test_fields_of_a_newer_or_older_side_do_no_harm() -> None:
    told = travelled(HELLO.to_fields())
    told["signature"]["inputs"][0]["invented"] = 1
    told["signature"]["invented"] = 1
    del told["signature"]["inputs"][0]["finite"]
    assert Hello.of(told, {}) == HELLO
