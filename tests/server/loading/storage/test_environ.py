"""What a download's process is told of the server's secrets."""

from __future__ import annotations

import pytest

from server.loading.storage.environ import download_environ

EVERYTHING = dict.fromkeys(
    (
        *("ADMIN_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ROLE_ARN", "GOOGLE_APPLICATION_CREDENTIALS", "HF_TOKEN"),
        *(
            "AZURE_CLIENT_SECRET",
            "AZ_CLIENT_SECRET",
            "OPENAI_API_KEY",
            "models.example-headers",
            "other.example-headers",
        ),
        *("PATH", "HOME", "S3_VERIFY_SSL", "POLYSERVE_PRIVATE_REDIRECTS"),
    ),
    "x",
) | {"HTTPS_PROXY": "http://user:pass@proxy:8080", "DATABASE_URL": "postgres://me:pass@db/x"}
PLAIN = {"PATH", "HOME", "HTTPS_PROXY", "PYTHONPATH", "HF_HUB_DISABLE_PROGRESS_BARS"}


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        ("s3", {"AWS_SECRET_ACCESS_KEY", "AWS_ROLE_ARN", "S3_VERIFY_SSL"}),
        ("gs", {"GOOGLE_APPLICATION_CREDENTIALS"}),
        ("azure", {"AZURE_CLIENT_SECRET", "AZ_CLIENT_SECRET"}),
        ("hf", {"HF_TOKEN"}),
        ("http", {"models.example-headers"}),
        ("file", set[str]()),
    ],
)
def test_a_store_is_told_its_own_secrets_alone(kind: str, own: set[str]) -> None:
    told = download_environ(kind, "models.example", EVERYTHING, "/modules", private_redirects=False)
    assert told.keys() == PLAIN | own
    assert told["PYTHONPATH"] == "/modules"


def test_rarer_stores_may_want_anything_but_the_servers_own() -> None:
    told = download_environ("other", "git.example", EVERYTHING, "", private_redirects=True)
    assert told.keys() - PLAIN == EVERYTHING.keys() - PLAIN - {"ADMIN_TOKEN"}
    assert told["POLYSERVE_PRIVATE_REDIRECTS"] == "true"
