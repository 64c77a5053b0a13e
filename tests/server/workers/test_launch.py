"""What a worker is started with: an environment without secrets."""

from __future__ import annotations

from adapters.base import ModelDir
from server.runtime.cpu import ONE_THREAD
from server.workers.launch import WorkerSpec, scrubbed
from server.workers.messages import WorkerModel

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
    assert scrubbed(environ, ["ADMIN_TOKEN", "admin_token"]).keys() == ONE_THREAD.keys(), "a folder cannot ask for it"
    assert scrubbed(environ, ["HF_TOKEN", "AWS_PROFILE"]).keys() - ONE_THREAD.keys() == {"HF_TOKEN", "AWS_PROFILE"}


def test_what_the_server_tells_a_worker_is_beside_that() -> None:
    job = WorkerModel("odd", ModelDir.of("."), "model.txt", {})
    assert "TOLD" not in WorkerSpec("m", job).environ()
    assert WorkerSpec("m", job, environment={"TOLD": "this"}).environ()["TOLD"] == "this"
