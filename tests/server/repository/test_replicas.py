"""Where there is one process, nobody else has to know."""

from __future__ import annotations

from server.repository.replicas import NoReplicas


def test_there_is_nobody_to_wait_for_or_to_count() -> None:
    replicas = NoReplicas()
    with replicas.change("m"):
        replicas.settle("m")
    assert replicas.waiting("m") == 0
    assert list(replicas.counts()) == []
