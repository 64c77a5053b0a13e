"""Adapters that misbehave on request, for the tests of workers; installed as a third party's would be.

A request's parameter `do` says what happens; `model.txt` in the model's folder, what happens while it loads. What
`waits` waits for files in that folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from adapters.base import (
    Adapter,
    InvalidInput,
    LoadError,
    Match,
    ModelDir,
    Parameter,
    Parameters,
    Reply,
    ReplyStream,
    Request,
    Signature,
    StreamFailed,
    Tensors,
    TensorSpec,
)


def refuse() -> None:
    raise InvalidInput("x is not to its taste")


def fail() -> None:
    raise KeyError("a key")


def fail_unspeakably() -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    raise SilentError


def speak() -> None:
    print("hello from the model")
    os.write(2, b"and from its native code\n")


def flood() -> None:
    for number in range(20_000):
        print(f"line {number}")


def hang_up() -> None:
    os.close(_our_socket())
    time.sleep(1000)


def fork_and_die() -> None:
    subprocess.Popen(["sleep", "1000"])
    os._exit(9)


def eat() -> None:
    ballast = [b"x" * 2**24 for _ in range(40)]
    time.sleep(60)  # or it might be over before anybody looks
    del ballast


ACTIONS: Mapping[str, Callable[[], Any]] = {
    "": lambda: None,
    "long": lambda: None,
    "crash": lambda: ctypes.string_at(0),
    "die": lambda: os._exit(7),
    "exit": lambda: sys.exit(3),
    "refuse": refuse,
    "refuse-load": lambda: (_ for _ in ()).throw(LoadError("not today")),
    "fail": fail,
    "fail-unspeakably": fail_unspeakably,
    "hang": lambda: time.sleep(1000),
    "hang-with-gil": lambda: ctypes.PyDLL(None).usleep(1_000_000_000),
    "pause": lambda: time.sleep(0.2),
    "speak": speak,
    "flood": flood,
    "eat": eat,
    "hang-up": hang_up,
    "babble": lambda: os.write(_our_socket(), b"\xff" * 100),
    "claim": lambda: os.write(_our_socket(), struct.pack("<IQ", 16, 2**30)),
    "claim-fields": lambda: os.write(_our_socket(), struct.pack("<IQ", 2**23, 0)),
    "fork-and-die": fork_and_die,
    "read-stdin": lambda: sys.stdin.readline(),
}


def waits(folder: Path, do: str) -> bool:
    """Whether that is what was asked for; it is done then."""
    if do == "gate":  # until the test opens it, which can tell by the other file that somebody is here
        (folder / "entered").touch()
        until((folder / "open").exists)
    elif do == "meet":  # until another worker does so, too
        (folder / f"{os.getpid()}.met").touch()
        until(lambda: len(list(folder.glob("*.met"))) > 1)
    return do in ("gate", "meet")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("nobody came")
        time.sleep(0.005)


def _our_socket() -> int:
    """The descriptor of the connection to the server."""
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(entry.name))) as copy:
            if struct.unpack("3i", copy.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0] == os.getppid():
                return int(entry.name)
    raise AssertionError


class OddAdapter(Adapter):
    """Doubles its column, after doing what it is told."""

    name: ClassVar[str] = "odd"
    platform: ClassVar[str] = "odd-platform"

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        return Match(40, "model.txt") if model_dir.has("odd.txt") else None  # type: ignore[arg-type]

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        do = model_dir.file(file).read_text(encoding="utf-8").strip()
        if do == "once":  # the first load succeeds, the second does not, also where both come at the same moment
            try:
                model_dir.file(file).with_suffix(".once").touch(exist_ok=False)
            except FileExistsError:
                ACTIONS["refuse-load"]()
        elif not waits(model_dir.path, do) and not do.startswith("rename "):
            ACTIONS[do]()
        model = cls(_signature(do.removeprefix("rename ") if do.startswith("rename ") else "x"))
        model.folder = model_dir.path
        return model

    folder: Path = Path()

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        (x,) = inputs.values()
        do = parameters.get("do", "")
        if do == "tell":
            told = {"pid": os.getpid(), "env": dict(os.environ), "argv": sys.argv, "threads": threading.active_count()}
            return {"y": np.full(len(x), json.dumps(told), dtype=np.object_)}
        if do == "strange":
            return {"y": np.zeros(len(x), dtype=[("a", "i4")])}
        if not waits(self.folder, do):
            ACTIONS[do]()
        if (x == 1313).any():
            raise ValueError("an unlucky number")
        if (x == 666).any():
            os._exit(6)
        return {"y": np.multiply(x, 2), **({"z": np.zeros((len(x), 100_000))} if do == "long" else {})}

    def explain(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        return {"contributions": inputs["x"][:, None]}


def _signature(name: str) -> Signature:
    return Signature(
        (TensorSpec(name, "FP64", (-1,)),),
        (TensorSpec("y", "FP64", (-1,)),),
        parameters=(Parameter("do", str, tuple(ACTIONS), "what to do"), Parameter("n", int)),
        explanations=(TensorSpec("contributions", "FP64", (-1, 1)),),
    )


class WholeAdapter(OddAdapter):
    """Answers the body, upper-case, after doing or waiting for what the body says: `do crash`, `wait 0.1`, `trace it`.

    `count` answers how many requests wait, and how many no longer do since they were cancelled. The verb "usage"
    answers what `usage.json` in its folder says.
    """

    name: ClassVar[str] = "whole"

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        waits(model_dir.path, model_dir.file(file).read_text(encoding="utf-8").strip())
        model = cls(Signature((), (), whole=True))
        model.folder = model_dir.path
        model.waiting = model.cancelled = 0
        return model

    waiting: int
    cancelled: int

    async def answer(self, request: Request) -> Reply:
        if request.verb == "usage":
            return Reply((self.folder / "usage.json").read_bytes(), {})
        verb, _, rest = request.body.decode().partition(" ")
        if verb == "do":
            if not waits(self.folder, rest):
                ACTIONS[rest]()
        elif verb == "wait":
            self.waiting += 1
            try:
                await asyncio.sleep(float(rest))
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            finally:
                self.waiting -= 1
        elif verb == "trace":
            trace = importlib.import_module("opentelemetry.trace")
            with trace.get_tracer("odd").start_as_current_span(rest):
                print("traced", rest)
        elif verb == "count":
            return Reply(b"%d %d" % (self.waiting, self.cancelled), {})
        headers = {"verb": request.verb, "protocol": request.protocol, **request.headers}
        return Reply(request.body.upper(), headers, 418 if verb == "teapot" else 200)


class OwnAdapter(OddAdapter):
    """Imports what the model's folder holds under our packages' names."""

    name: ClassVar[str] = "own"
    own_process: ClassVar[bool] = True

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        sys.path.insert(0, str(model_dir.path))
        found = [importlib.import_module(name) for name in ("server", "adapters", "server.deep")]
        where = {str(getattr(module, "WHO", "nobody")) for module in found}
        if where != {"the model"}:
            raise LoadError(f"the model's code saw {where}")
        try:
            importlib.import_module("server.loading.loader")
        except ModuleNotFoundError:
            return cls(_signature("x"))
        raise LoadError("the model's code saw the server's")


class PartsAdapter(OddAdapter):
    """Answers in parts, as the words of the body say, one after the other; each part is the number of those made.

    `5` makes five parts, `x1000` one of a thousand bytes, `gate:NAME` waits until the test has made that file, `wait`
    for ever; an action is done. The file `made` holds how many parts were made, `closed` says that it is closed.
    """

    name = "parts"

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        waits(model_dir.path, model_dir.file(file).read_text(encoding="utf-8").strip())
        model = cls(Signature((), (), whole=True, streams=True))
        model.folder = model_dir.path
        return model

    async def answer(self, request: Request) -> Reply | ReplyStream:
        verb, _, rest = request.body.decode().partition(" ")
        if verb == "one":
            return Reply(rest.encode(), {})
        if verb == "raw":  # what no worker sends: a message of its own making
            os.write(_our_socket(), rest.encode("latin-1"))
            await asyncio.sleep(1000)
        parts = MadeParts(self.folder / request.headers.get("name", "stream"), request.body.decode().split())
        if request.headers.get("early"):
            await anext(parts)
        return ReplyStream(parts, {"x-verb": request.verb}, 200)


class MadeParts:
    def __init__(self, notes: Path, words: list[str]) -> None:
        notes.mkdir(exist_ok=True)
        self.notes = notes
        self.made = 0
        self.parts = self._make(words)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        part = await anext(self.parts)
        self.made += 1
        (self.notes / "made").write_text(str(self.made))
        return part

    async def aclose(self) -> None:
        await self.parts.aclose()
        (self.notes / "closed").touch()

    async def _make(self, words: list[str]) -> AsyncGenerator[bytes, None]:
        number = 0
        for word in words:
            if word.startswith("gate:"):
                while not (self.notes / word.removeprefix("gate:")).exists():  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            elif word == "wait":
                await asyncio.Event().wait()
            elif word == "stubborn":
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
            elif word == "chosen":
                raise StreamFailed("as it chose")
            elif word.startswith("x"):
                yield b"x" * int(word[1:])
            elif word.isdecimal():
                for _ in range(int(word)):
                    yield b"%d" % number
                    number += 1
            else:
                ACTIONS[word]()
