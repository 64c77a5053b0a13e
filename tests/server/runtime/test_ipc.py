"""Messages: what goes through a socket comes out the same; what is no message is refused, whatever it is."""

from __future__ import annotations

import asyncio
import datetime
import random
import socket
import threading
import tracemalloc
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from adapters.base import Array, Tensors
from server.runtime import ipc
from server.runtime.receiving import ReceiveBudget, ReceiveLimits


def joined(fields: dict[str, Any], tensors: Tensors | None = None) -> bytes:
    return b"".join(ipc.pack(fields, tensors))


def through(fields: dict[str, Any], tensors: Tensors | None = None) -> ipc.Message:
    """The message after a real socket, sent by another thread: a large one does not fit its buffer."""
    one, other = socket.socketpair()
    with one, other:
        parts = ipc.pack(fields, tensors)
        thread = threading.Thread(target=ipc.Connection(one).send, args=(parts,))
        thread.start()
        message = ipc.Connection(other).receive()
        thread.join()
    assert message is not None
    return message


def objects(*values: Any) -> Array:
    return np.fromiter(values, np.object_, len(values))


def same(one: Array, other: Array) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


DTYPES = [*"?bBhHiIlLefdFD", "M8[ns]", "m8[s]", "S3", "U5", ">i4", ">f8"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3), (70_001,)])
def test_arrays_come_out_the_same(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).integers(0, 2, shape).astype(dtype)
    sent = {"a": array, "b": np.asfortranarray(array), "c": np.arange(3)}
    got = through({}, sent).tensors
    assert list(got) == ["a", "b", "c"]
    assert all(same(np.ascontiguousarray(sent[name]).reshape(sent[name].shape), got[name]) for name in sent)
    assert all(array.flags.aligned and array.flags.writeable for array in got.values())


def test_views_come_out_the_same() -> None:
    whole = np.arange(24.0).reshape(2, 3, 4)
    for view in (whole[:, ::2], whole.T, whole[::-1], np.broadcast_to(np.float32(3), (2, 2))):
        assert np.array_equal(through({}, {"x": view}).tensors["x"], view)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(st.sampled_from([np.float32, np.float64, np.int8, np.bool_]), hnp.array_shapes(min_dims=0)))
def test_any_array(array: Array) -> None:
    assert same(through({}, {"x": array}).tensors["x"], array)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(JSON, max_size=5))
@pytest.mark.slow
def test_any_objects(values: list[Any]) -> None:
    assert through({}, {"x": objects(*values)}).tensors["x"].tolist() == values


def test_objects_of_equal_lengths_stay_objects() -> None:
    array = through({}, {"x": objects([1, 2], [3, 4])}).tensors["x"]
    assert array.shape == (2,)
    assert array.tolist() == [[1, 2], [3, 4]]
    square = objects("a", None, b"b", {"c": 1}).reshape(2, 2)
    assert through({}, {"x": square}).tensors["x"].tolist() == square.tolist()


def test_numpys_values_inside_objects() -> None:
    inner = {"score": np.float32(0.1), "many": np.arange(4, dtype=np.int16).reshape(2, 2), 7: np.bool_(True)}
    (got,) = through({}, {"x": objects(inner)}).tensors["x"]
    assert (got["score"], got["score"].dtype) == (np.float32(0.1), np.float32)
    assert same(got["many"], inner["many"])  # type: ignore[arg-type]
    assert got[7] is np.True_ or got[7] == np.bool_(True)


def test_other_values_become_text_as_in_json() -> None:
    day = datetime.date(2020, 1, 2)
    assert through({}, {"x": objects(day, 2**70, 1j)}).tensors["x"].tolist() == ["2020-01-02", str(2**70), "1j"]


def test_odd_texts() -> None:
    assert through({"name": "\udcff"}, {"\udcff": objects("\ud800")}).tensors["\udcff"].tolist() == ["\ud800"]


def test_fields() -> None:
    fields = {"none": None, "deep": {"list": [1, 2.5, True, "x"]}}
    assert through(fields).fields == fields


def test_messages_one_after_the_other() -> None:
    one, other = socket.socketpair()
    with one, other:
        one.sendall(joined({"n": 1}) + joined({"n": 2}, {"x": np.ones(3)}) + joined({"n": 3})[:-1])
        connection = ipc.Connection(other)
        assert [connection.receive().fields["n"] for _ in range(2)] == [1, 2]  # type: ignore[union-attr]
        assert connection.pending
        one.sendall(joined({"n": 3})[-1:])
        assert connection.receive() == ({"n": 3}, {})
        assert not connection.pending
        one.shutdown(socket.SHUT_RDWR)
        assert connection.receive() is None


def test_many_tensors() -> None:
    tensors = {f"column {number}": np.full(3, number) for number in range(3000)}
    assert all(np.array_equal(array, tensors[name]) for name, array in through({}, tensors).tensors.items())


@pytest.mark.parametrize(
    "array", [np.zeros(2, dtype=[("a", "i4")]), np.zeros(2, dtype="V3"), objects([[]] * 3).repeat(1)], ids=str
)
def test_what_cannot_travel(array: Array) -> None:
    if array.dtype.kind == "O":
        nested: Any = []
        for _ in range(2000):
            nested = [nested]
        array = objects(nested)
    with pytest.raises(ipc.IpcError, match="cannot be passed between processes"):
        ipc.pack({}, {"x": array})


@pytest.mark.slow
def test_too_long() -> None:
    narrow = ReceiveLimits(head=1000, body=1000)
    with pytest.raises(ipc.IpcError, match=r"tensors of 2048 bytes are too much.*limit is 1000 \(--max_answer_bytes\)"):
        ipc.pack({}, {"x": np.zeros(256)}, narrow)
    with pytest.raises(ipc.IpcError, match=r"fields of .* bytes are too much"):
        ipc.pack({"x": "y" * 2000}, limits=narrow)
    with pytest.raises(ipc.IpcError, match=r"limit is 1073741824$"):
        ipc.pack({}, {"x": np.broadcast_to(np.zeros(1, np.uint8), 2**30 + 1)})


# --- what a hostile worker may send -----------------------------------------------------------------------------------


def received(data: bytes, limits: ReceiveLimits = ipc.WIDEST) -> ipc.Message | None:
    one, other = socket.socketpair()
    with one, other:
        other.settimeout(5)
        one.sendall(data)
        one.shutdown(socket.SHUT_WR)
        return ipc.Connection(other, limits).receive()


async def streamed(data: bytes, limits: ReceiveLimits = ipc.WIDEST) -> ipc.Message | None:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return await ipc.read(reader, limits)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ((1001).to_bytes(4, "little") + bytes(8), "fields of 1001 bytes"),
        (bytes(4) + (10_001).to_bytes(8, "little"), "tensors of 10001 bytes"),
    ],
)
def test_a_claim_beyond_the_limits_is_refused_at_once(data: bytes, problem: str) -> None:
    limits = ReceiveLimits(head=1000, body=10_000)
    with pytest.raises(ipc.IpcError, match=problem):
        received(data, limits)
    with pytest.raises(ipc.IpcError, match=problem):
        asyncio.run(streamed(data, limits))


def test_objects_that_unfold_to_too_much_are_not_unfolded() -> None:
    values = msgpack.packb([[[]] * 1000])
    data = framed({"": [["x", "|O", [1], len(values)]]}, values + bytes(-len(values) % 64))
    assert received(data) is not None
    limits = ReceiveLimits(unfolded=20_000)
    with pytest.raises(ipc.IpcError, match=r"objects of .* bytes take more than 20000 once they are unpacked"):
        received(data, limits)
    with pytest.raises(ipc.IpcError, match="objects of"):
        asyncio.run(streamed(data, limits))


@pytest.mark.parametrize("sent", [0, 1_000_000, 32_000_000])
def test_a_long_message_takes_its_own_memory_once(sent: int) -> None:
    """Of a claim that is not kept, too. numpy tells of all that it allocates, though it is not touched."""
    claimed = 32_000_000

    async def talk() -> int:
        one, other = socket.socketpair()
        one.setblocking(False)
        other.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=other)
        head = msgpack.packb({"": [["x", "|u1", [claimed], claimed]]})
        prefix = len(head).to_bytes(4, "little") + claimed.to_bytes(8, "little") + head
        prefix += bytes(-len(prefix) % 64)

        async def send() -> None:
            await asyncio.get_running_loop().sock_sendall(one, prefix)
            part = bytes(100_000)
            for _ in range(sent // len(part)):
                await asyncio.get_running_loop().sock_sendall(one, part)
            one.close()

        tracemalloc.start()
        try:
            sending = asyncio.create_task(send())
            if sent == claimed:
                message = await ipc.read(reader)
                assert message is not None
                assert message.tensors["x"].nbytes == claimed
            else:
                with pytest.raises(ipc.IpcError, match="cut off"):
                    await ipc.read(reader)
            await sending
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            writer.close()

    assert asyncio.run(talk()) < claimed * 1.1


def test_messages_of_all_workers_wait_for_room() -> None:
    budget = ReceiveBudget(3 * 2**20)
    limits = ReceiveLimits(budget=budget)
    data = joined({"n": 1}, {"x": np.zeros(2 * 2**20, np.uint8)})

    async def talk() -> None:
        first = await streamed(data, limits)
        second = asyncio.create_task(streamed(data, limits))
        assert (await streamed(joined({"n": 2}), limits)) is not None  # small ones pass
        assert not second.done()
        assert budget.used == limits_used(first)
        del first
        assert await second is not None

    asyncio.run(talk())
    assert budget.used == 0


def limits_used(message: ipc.Message | None) -> int:
    assert message is not None
    return len(b"".join(ipc.pack(message.fields, message.tensors)))


def framed(head: Any, body: bytes = b"") -> bytes:
    packed = head if isinstance(head, bytes) else msgpack.packb(head)
    start = len(packed).to_bytes(4, "little") + len(body).to_bytes(8, "little") + packed
    return start + bytes(-len(start) % 64 if body else 0) + body


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 12,
        b"\xff" * 3,
        (2**32 - 1).to_bytes(4, "little") + bytes(8),
        bytes(4) + (2**63).to_bytes(8, "little"),
        framed({}),
        framed([1, 2]),
        framed(b"\xc1"),
        framed(b"\x91" * 5000),
        framed({"": [["x", "<f8", [2], 16]]}, bytes(8)),
        framed({"": [["x", "<f8", [-1], 8]]}, bytes(8)),
        framed({"": [["x", "<f8", [2**62, 4], 8]]}, bytes(8)),
        framed({"": [["x", "<f8", [True], 8]]}, bytes(8)),
        framed({"": [["x", "<f8", ["1"], 8]]}, bytes(8)),
        framed({"": [["x", "|V8", [1], 8]]}, bytes(8)),
        framed({"": [["x", "|S0", [2**40], 0]]}, bytes(8)),
        framed({"": [["x", "nonsense", [1], 8]]}, bytes(8)),
        framed({"": [["x", [["a", "O"]], [1], 8]]}, bytes(8)),
        framed({"": [["x", "|O", [1], 8]]}, b"\x01" * 8),
        framed({"": [["x", "|O", [3], 2]]}, msgpack.packb([1])),
        framed({"": [["x", "<f8", [0, 2**62], 0]]}),
        framed({"": 3}),
        framed({"": [["x"]]}),
        framed({"": [["x", "|O", [1], 3]]}, msgpack.packb([msgpack.ExtType(1, b"\x93")])),
        framed({"": [["x", "|O", [1], 3]]}, msgpack.packb([msgpack.ExtType(9, b"")])),
    ],
)
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(ipc.IpcError):
        received(data)


def test_no_damage_is_worse_than_an_error() -> None:
    """Bytes of a real message changed at random: another message, or a IpcError, and nothing else."""
    tensors = {"x": np.arange(6.0).reshape(2, 3), "s": objects("a", None, {"k": 1})}
    whole = joined({"parameters": {"a": [1, "b"]}}, tensors)
    dice = random.Random(7)
    refused = 0
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            data[dice.randrange(12, len(data))] = dice.randrange(256)
        try:
            received(bytes(data))
        except ipc.IpcError:
            refused += 1
    assert 500 < refused < 3000


def test_streams_read_the_same() -> None:
    async def read(data: bytes) -> list[ipc.Message]:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        messages = []
        while (message := await ipc.read(reader)) is not None:
            messages.append(message)
        return messages

    first, second = joined({"n": 1}, {"x": np.arange(3)}), joined({"n": 2})
    messages = asyncio.run(read(first + second))
    assert [message.fields["n"] for message in messages] == [1, 2]
    assert messages[0].tensors["x"].tolist() == [0, 1, 2]
    for cut in (3, 14, len(first) - 1):
        with pytest.raises(ipc.IpcError, match="cut off"):
            asyncio.run(read(first[:cut]))
