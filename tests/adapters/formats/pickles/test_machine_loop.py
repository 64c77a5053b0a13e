"""What the machine's loop does itself is what its methods do: any pickle ends alike both ways, sound or damaged."""

from __future__ import annotations

import io
import pickle
import random
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from adapters.formats.pickles.loading import Loading
from adapters.formats.pickles.machine import _CHECK, _INLINE, _PLAIN, Machine, Taken
from adapters.formats.pickles.records import Found
from adapters.formats.pickles.scan import Scan
from tests.adapters.formats.pickles.kit import X, Y
from tests.fuzz.pickles import Composer

_ADDRESS = re.compile(" at 0x[0-9a-f]+")


class _ByMethods(Machine):
    """The loop as the standard library has it."""

    def _run(self) -> None:
        due = 0
        while True:
            if self.taken.steps >= due:
                due = self._look(self.taken.steps)
            self.taken.steps += 1
            self.dispatch[self.frames.read(1)[0]](self)


class _ScanByMethods(Scan, _ByMethods):
    _run = _ByMethods._run


class _LoadingByMethods(Loading, _ByMethods):
    _run = _ByMethods._run


def _ended(machine: Machine, stream: io.BufferedReader) -> tuple[str, Any]:
    """How a machine ends: what it returns and where, or its complaint, and all that it has noted."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn's, of estimators of no version
            told = f"{machine.load()!r} at {stream.tell()}, left {machine.frames.data[machine.frames.at :]!r}"
    except Exception as error:
        told, machine.taken.steps = f"{type(error).__name__}: {error}", 0  # whose steps nobody needs
    return _ADDRESS.sub("", told), (machine.taken, len(machine.memo), machine.proto)


def _stream(data: bytes, path: Path) -> io.BufferedReader:
    path.write_bytes(data)
    return path.open("rb")


def _both_agree(data: bytes, path: Path) -> str:
    ends = []
    for kind in (Scan, _ScanByMethods):
        with _stream(data, path) as stream:
            ends.append(_ended(kind(stream, Found(limit=100_000)), stream))
    assert ends[0] == ends[1], data
    loads = []
    for make in (Loading, _LoadingByMethods):
        with _stream(data, path) as stream:
            loads.append(_ended(make(stream), stream))
    assert loads[0] == loads[1], data
    return ends[0][0]


def _framed(body: bytes, random_: random.Random) -> bytes:
    """Cut into frames anywhere, which may be within an argument, some bytes of it outside of any."""
    parts = []
    while body:
        size = random_.choice([3, 10, 40, 200, len(body)])
        part, body = body[:size], body[size:]
        parts.append(part if random_.random() < 0.2 else b"\x95" + len(part).to_bytes(8, "little") + part)
    return b"\x80\x04" + b"".join(parts)


def _damaged(content: bytes, random_: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(random_.randint(1, 3)):
        damaged[random_.randrange(2, len(damaged))] = random_.randrange(256)
    return bytes(damaged)


def _models() -> Iterator[bytes]:
    for model in (
        LogisticRegression().fit(X, Y),
        make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y),
        RandomForestClassifier(n_estimators=3).fit(X, Y),
        {
            "objects": np.array([("a", 1), None], object),
            "empty": np.zeros((0, 3)),
            "columns": np.eye(3, order="F"),
        },
    ):
        for write in (joblib.dump, pickle.dump):
            file = io.BytesIO()
            write(model, file)
            yield file.getvalue()


def _soup(random_: random.Random) -> bytes:
    """Opcodes that the loop knows, in no order that makes sense, with arguments that mostly are none."""
    arguments: dict[int, Callable[[], bytes]] = {
        pickle.BINGET[0]: lambda: bytes([random_.randrange(12)]),
        pickle.BININT1[0]: lambda: random_.randbytes(1),
        pickle.BININT[0]: lambda: random_.randbytes(4),
        pickle.BINFLOAT[0]: lambda: random_.randbytes(8),
        pickle.SHORT_BINUNICODE[0]: lambda: random_.choice([b"\0", b"\x05steps", b"\x01\xff", b"\x03\xed\xa0\x80"]),
    }
    codes = [random_.choice((*_INLINE, *_PLAIN, *_INLINE, pickle.BUILD[0])) for _ in range(random_.randint(3, 60))]
    return b"N" * random_.choice([0, 5]) + b"".join(bytes([code]) + arguments.get(code, bytes)() for code in codes)


@pytest.mark.parametrize("seed", range(8))
def test_composed_pickles_end_alike(seed: int, tmp_path: Path) -> None:
    random_ = random.Random(seed)
    for _ in range(40):
        content = Composer(random_, hostile=random_.random() < 0.3).pickle()
        for data in (content, _framed(content[2:], random_), _damaged(content, random_)):
            _both_agree(data, tmp_path / "a.pkl")


@pytest.mark.parametrize("seed", range(8))
def test_opcodes_in_no_order_end_alike(seed: int, tmp_path: Path) -> None:
    random_ = random.Random(seed)
    for _ in range(150):
        _both_agree(_framed(_soup(random_) + random_.choice([b".", b"N.", b"", b"q\x50"]), random_), tmp_path / "a.pkl")


def test_models_end_alike_whole_and_damaged(tmp_path: Path) -> None:
    random_ = random.Random(0)
    for content in _models():
        assert _both_agree(content, tmp_path / "a.pkl").startswith(("Made", "{"))
        for _ in range(40):
            _both_agree(_damaged(content, random_), tmp_path / "a.pkl")
            _both_agree(content[: random_.randrange(2, len(content))], tmp_path / "a.pkl")


def test_steps_are_limited_to_one_through_all_pickles_of_a_file(tmp_path: Path) -> None:
    file = io.BytesIO()
    joblib.dump([np.array([("a", 1), None], object)] * 3, file)
    found = Found()
    with _stream(file.getvalue(), tmp_path / "a.pkl") as stream:
        Scan(stream, found).load()
    for limit, passes in ((found.steps, True), (found.steps - 1, False)):
        with _stream(file.getvalue(), tmp_path / "a.pkl") as stream:
            told = _ended(Scan(stream, Found(limit=limit)), stream)[0]
        assert told.startswith(f"Unreadable: takes more than {limit:,} steps") is not passes


@pytest.mark.parametrize("code", [b"N", b"K\x01", b"\x8c\x01a", b"]", b"("])
def test_what_is_held_is_looked_at_within_a_frame(code: bytes, tmp_path: Path) -> None:
    """A frame may have 16 million opcodes, all of which the loop does by itself."""

    looks = []

    class Looked(Machine):
        def _look(self, steps: int) -> int:
            looks.append(steps)
            return super()._look(steps)

    body = code * (3 * _CHECK) + b"."
    with _stream(b"\x80\x04\x95" + len(body).to_bytes(8, "little") + body, tmp_path / "a.pkl") as stream:
        _ended(Looked(stream, Taken()), stream)
    assert looks == [0, _CHECK, 2 * _CHECK, 3 * _CHECK]


def test_what_the_loop_does_itself_is_not_overridden() -> None:
    for code in _INLINE:
        name = Machine.dispatch[code].__name__
        with pytest.raises(TypeError, match=f"overrides {name}, which the loop of the machine does itself"):
            type("Other", (Machine,), {name: lambda self: None})
