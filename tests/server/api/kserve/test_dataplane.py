"""Events that KServe cannot read are the client's mistake, and answers to events name any model."""

from __future__ import annotations

from typing import Any, cast

import pytest

from server.api.kserve.dataplane import PolyDataPlane
from server.errors import InvalidInput
from server.repository.repository import Repository

EVENT = {"ce-id": "1", "ce-source": "a", "ce-type": "t", "ce-specversion": "1.0", "content-type": "application/json"}


@pytest.fixture
def plane() -> PolyDataPlane:
    return PolyDataPlane(cast(Repository, None))


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", EVENT),
        (None, EVENT),
        (b"{}", {**EVENT, "ce-specversion": "9"}),
        (b"{", {"content-type": "application/cloudevents+json"}),
        (b"", {"content-type": "application/cloudevents+json"}),
    ],
)
def test_an_event_that_cannot_be_read_is_the_clients_mistake(plane: PolyDataPlane, body: Any, headers: Any) -> None:
    with pytest.raises(InvalidInput, match="cannot be read") as caught:
        plane.decode(body, headers)
    assert "NoneType" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_event_without_data_says_so(plane: PolyDataPlane) -> None:
    with pytest.raises(InvalidInput, match="it has no data"):
        plane.decode(b"", EVENT)


def test_a_sound_event_is_read(plane: PolyDataPlane) -> None:
    assert plane.decode(b'{"instances": [1]}', EVENT)[0] == {"instances": [1]}


@pytest.mark.parametrize(
    ("name", "source"),
    [("iris", "iris"), ("模型", "%E6%A8%A1%E5%9E%8B"), ("é", "%C3%A9"), ("two words", "two words"), ("50%", "50%25")],
)
def test_the_source_of_an_answer_names_any_model(plane: PolyDataPlane, name: str, source: str) -> None:
    headers = plane.encode(name, {"predictions": [1]}, EVENT, {})[1]
    assert headers["ce-source"] == f"io.kserve.inference.{source}"
    assert headers["ce-source"].encode("latin-1")
