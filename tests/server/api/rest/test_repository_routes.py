"""Loading and unloading over REST: done, or refused by name."""

from __future__ import annotations

import pytest

from server.api.rest.repository_routes import RepositoryRoutes, check_served
from server.errors import NotSupported
from server.repository.repository import Repository
from tests.server.api.rest.test_facts import run


def ask(models: Repository, verb: str, name: str = "plain", body: bytes = b"") -> tuple[int, object]:
    return run(RepositoryRoutes(models).handler(f"/v2/repository/models/{name}/{verb}"), body)


def test_a_model_goes_and_comes(models: Repository) -> None:
    assert ask(models, "unload", body=b'{"parameters": {"unload_dependents": false}}') == (
        200,
        {"name": "plain", "unload": True},
    )
    assert not models.is_ready("plain")
    assert ask(models, "load") == (200, {"name": "plain", "load": True})
    assert models.is_ready("plain")


@pytest.mark.parametrize(
    ("verb", "name", "body", "status"),
    [
        ("load", "nobody", b"", 404),
        ("unload", "nobody", b"", 404),
        ("load", "bad", b"", 503),
        ("load", "plain", b'{"parameters": {"config": "{}"}}', 501),
        ("load", "plain", b'{"parameters": {"speed": 1}}', 400),
        ("load", "plain", b'{"parameters": [1]}', 400),
        ("load", "plain", b"[", 400),
        ("load", "plain", b'{"config": "{}"}', 400),
        ("unload", "plain", b'{"parameter": {}}', 400),
    ],
)
def test_what_is_refused(models: Repository, verb: str, name: str, body: bytes, status: int) -> None:
    assert ask(models, verb, name, body)[0] == status
    assert models.is_ready("plain")


@pytest.mark.parametrize("path", ["m", "m/", "m/other", "a/b/load", "/load", ""])
def test_other_paths_are_others(models: Repository, path: str) -> None:
    assert RepositoryRoutes(models).handler(f"/v2/repository/models/{path}") is None


@pytest.mark.parametrize("kind", ["system", "cuda"])
def test_shared_memory_is_refused(kind: str) -> None:
    check_served("/v2/models/m")
    for path in ("status", "region/r/register", "region/r/status", "unregister"):
        with pytest.raises(NotSupported, match="shared memory is not served"):
            check_served(f"/v2/{kind}sharedmemory/{path}")
