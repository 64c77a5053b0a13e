"""What one front process is asked to hold and to answer for, request by request; who answers is the test."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any, cast

import pytest

from adapters.base import ModelDir
from server.frontends.control_client import ControlAnswer, ControlClient, FrontendEnded
from server.frontends.frontend_copies import FrontendCopies
from server.loading.files import NO_FILES
from server.loading.load_spec import LoadSpec
from server.telemetry.metrics import CounterSnapshot
from server.workers.messages import WorkerModel


class Control:
    """The connection to a process that does nothing by itself."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Any]] = []
        self.answers: list[ControlAnswer] = []

    def request(self, do: str, **fields: Any) -> ControlAnswer:
        about = {"load": lambda: fields["spec"]["number"], "routes": lambda: dict(fields["routes"])}
        self.requests.append((do, about.get(do, lambda: fields["number"])()))
        self.answers.append(Future())
        return self.answers[-1]

    def answer(self, error: str = "") -> None:
        """To the oldest request that has none."""
        next(each for each in self.answers if not each.done()).set_result({"error": error})

    def taken(self) -> list[tuple[str, Any]]:
        """What was requested since the last look."""
        requests, self.requests = self.requests, []
        return requests


class Owner:
    """Says what should be held."""

    def __init__(self) -> None:
        self.lock, self.stopping = threading.RLock(), threading.Event()
        self.specs: dict[str | None, LoadSpec] = {}
        self.withdrawn = False
        self.incoming: set[int] = set()

    def names(self) -> Iterable[str]:
        return ["a"]

    def wanted(self, name: str) -> Mapping[str | None, LoadSpec]:
        return {} if self.withdrawn else self.specs

    def is_withdrawn(self, name: str) -> bool:
        return self.withdrawn

    def is_incoming(self, number: int) -> bool:
        return number in self.incoming

    def keep_counts(self, counts: CounterSnapshot) -> None: ...


@pytest.fixture
def spec(tmp_path: Any) -> LoadSpec:
    return _spec(tmp_path)


def _spec(path: Any) -> LoadSpec:
    model = WorkerModel("echo", ModelDir.of(path), "model.echo", {})
    return LoadSpec("a", "", model, NO_FILES, batchable=True, batching=True, max_batch_rows=None, lanes=None)


def made(**specs: LoadSpec) -> tuple[FrontendCopies, Control, Owner]:
    control, owner = Control(), Owner()
    owner.specs = {version or None: spec for version, spec in specs.items()}
    return FrontendCopies(2, cast(ControlClient, control), owner), control, owner


def test_a_copy_is_routed_to_once_it_is_there(spec: LoadSpec) -> None:
    copies, control, owner = made()
    owner.specs = {None: spec}
    assert copies.reconcile("a") is None
    assert control.taken() == [("load", spec.number)]
    copies.reconcile("a")
    assert control.taken() == []  # it is at it
    assert not copies.answers_for("a")
    control.answer()
    assert control.taken() == [("routes", {None: spec.number})]
    assert copies.answers_for("a")


def test_one_that_cannot_be_loaded_answers_nobody_and_is_not_tried_again(
    spec: LoadSpec, caplog: pytest.LogCaptureFixture
) -> None:
    copies, control, owner = made()
    owner.specs = {None: spec}
    copies.reconcile("a")
    control.answer("its files have changed")
    copies.reconcile("a")
    assert control.taken() == [("load", spec.number)]
    assert not copies.answers_for("a")
    assert "model a has no copy in process 2: its files have changed" in caplog.text


def test_a_name_that_is_withdrawn_keeps_its_copy_and_has_no_routes(spec: LoadSpec) -> None:
    copies, control, owner = made()
    owner.specs = {None: spec}
    copies.reconcile("a")
    control.answer()
    control.taken()
    owner.withdrawn = True
    routed = copies.reconcile("a")
    assert routed is control.answers[-1]
    assert control.taken() == [("routes", {})]
    assert not copies.answers_for("a")
    owner.withdrawn = False
    copies.reconcile("a")
    assert control.taken() == [("routes", {None: spec.number})]  # and nothing was loaded again


def test_one_that_nobody_wants_is_dropped_and_closed_when_that_is_answered(spec: LoadSpec, tmp_path: Any) -> None:
    copies, control, owner = made()
    owner.specs = {None: spec}
    copies.reconcile("a")
    control.answer()
    control.answer()  # to the routes
    control.taken()
    later = _spec(tmp_path)
    owner.incoming = {later.number}
    copies.load(later)
    control.answer()
    assert control.taken() == [("load", later.number)]  # it takes over any moment: it is not dropped
    owner.specs, owner.incoming = {None: later}, set()
    copies.reconcile("a")
    assert control.taken() == [("routes", {None: later.number}), ("drop", spec.number)]
    assert list(copies.closing("a")) == [control.answers[-1]]
    control.answer()
    control.answer()
    assert list(copies.closing("a")) == []


def test_one_that_nobody_wants_any_more_while_it_is_loaded_is_dropped_when_it_is_there(spec: LoadSpec) -> None:
    copies, control, owner = made()
    owner.specs = {None: spec}
    copies.reconcile("a")
    owner.specs = {}
    copies.reconcile("a")
    assert control.taken() == [("load", spec.number)]
    control.answer()
    assert control.taken() == [("drop", spec.number)]


def test_when_the_process_ends_nothing_more_is_asked_of_it(spec: LoadSpec) -> None:
    copies, control, owner = made()
    owner.specs = {None: spec}
    copies.reconcile("a")
    control.answers[0].set_exception(FrontendEnded())
    assert control.taken() == [("load", spec.number)]
    assert not copies.answers_for("a")
