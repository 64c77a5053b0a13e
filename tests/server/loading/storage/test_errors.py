"""Reasons: what the operator reads of a library's exception, without credentials, and what may pass."""

from __future__ import annotations

import errno
import socket
from typing import Any

import botocore.exceptions
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError, ResourceNotFoundError, ServiceRequestError
from google.api_core.exceptions import Forbidden, NotFound, ServiceUnavailable
from google.auth.exceptions import DefaultCredentialsError

from server.config.model_uri import Address
from server.loading.storage.errors import StorageError, scrubbed, storage_error

S3 = Address.read("s3://bucket/m")


def s3(code: str, status: int) -> Exception:
    response: Any = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return botocore.exceptions.ClientError(response, "GetObject")


def http(status: int) -> Exception:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(f"{status} for url: https://host/x?sig=hush", response=response)


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


PERMANENT = [
    (s3("NoSuchBucket", 404), "the bucket 'bucket' does not exist"),
    (s3("AccessDenied", 403), "access is denied: set AWS_ACCESS_KEY_ID"),
    (s3("403", 403), "access is denied"),
    (s3("InvalidAccessKeyId", 403), "does not know the access key"),
    (s3("SignatureDoesNotMatch", 403), "refuses the credentials"),
    (s3("PermanentRedirect", 301), "another region: set AWS_DEFAULT_REGION"),
    (s3("404", 404), "it does not exist"),
    (botocore.exceptions.NoCredentialsError(), "there are no credentials: set AWS_ACCESS_KEY_ID"),
    (http(404), "it does not exist"),
    (http(401), "access is denied"),
    (http(418), "the store answers 418"),
    (NotFound("x"), "it does not exist"),
    (Forbidden("x"), "access is denied"),
    (DefaultCredentialsError("x"), "there are no credentials"),
    (ResourceNotFoundError("x", response=http(404).response), "it does not exist"),  # type: ignore[attr-defined]
    (ClientAuthenticationError("x"), "access is denied"),
    (requests.exceptions.SSLError("bad certificate"), "the certificate of its host cannot be verified"),
    (OSError(errno.ENOSPC, "No space left on device"), "the disk is full: name another directory with --storage_dir"),
    (PermissionError(errno.EACCES, "Permission denied", "/cache/x"), "/cache/x cannot be written (Permission denied)"),
    (ModuleNotFoundError("No module named 'boto3'", name="boto3"), "boto3 is not installed: pip install"),
    (ValueError("odd"), "ValueError: odd"),
]
TRANSIENT = [
    (s3("SlowDown", 503), "the store answers 503 (SlowDown)"),
    (s3("InternalError", 500), "the store answers 500"),
    (http(429), "the store answers 429"),
    (http(503), "the store answers 503"),
    (ServiceUnavailable("x"), "the store answers 503"),
    (socket.gaierror(-2, "Name or service not known"), "its host cannot be found (DNS)"),
    (caused(requests.ConnectionError("x"), socket.gaierror(-2, "x")), "its host cannot be found (DNS)"),
    (botocore.exceptions.EndpointConnectionError(endpoint_url="http://h"), "the connection broke or timed out"),
    (caused(requests.ConnectionError("x"), ConnectionRefusedError()), "its host refuses the connection"),
    (ConnectionResetError(), "the connection broke or timed out"),
    (requests.ReadTimeout("x"), "the connection broke or timed out"),
    (ServiceRequestError("x", error=TimeoutError()), "the connection broke or timed out"),
]


@pytest.mark.parametrize(("error", "says"), PERMANENT, ids=lambda value: type(value).__name__)
def test_what_does_not_pass(error: Exception, says: str) -> None:
    known = storage_error(error, S3)
    assert says in str(known)
    assert not known.transient


@pytest.mark.parametrize(("error", "says"), TRANSIENT, ids=lambda value: type(value).__name__)
def test_what_may_pass(error: Exception, says: str) -> None:
    known = storage_error(error, S3)
    assert says in str(known)
    assert known.transient


def test_a_change_is_listed_anew() -> None:
    known = storage_error(s3("PreconditionFailed", 412), S3)
    assert known.changed
    assert not known.transient


def test_each_store_has_its_own_way_to_access() -> None:
    for uri, names in {
        "gs://b/m": "GOOGLE_APPLICATION_CREDENTIALS",
        "hf://o/m": "HF_TOKEN",
        "https://a.blob.core.windows.net/c/m": "AZURE_STORAGE_ACCESS_KEY",
        "https://host/m": "<host>-headers",
        "oci://r/i": "KSERVE_OCI_DOCKER_CONFIG",
    }.items():
        assert names in str(storage_error(http(403), Address.read(uri)))


def test_secrets_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret-value")
    text = scrubbed("failed with very-secret-value\n at https://u:p@host/x?sig=hush " + "x" * 500)
    assert text.startswith("failed with *** at https://host/x x")
    assert len(text) <= 301
    assert "hush" not in text


def test_circles_of_causes_end() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert str(storage_error(one, S3)) == "ValueError: one"


def test_ours_stay_as_they_are() -> None:
    error = StorageError("nothing is stored there")
    assert storage_error(error, S3) is error
