"""Why a download failed, in a sentence for the operator: without credentials, and whether trying again may help.

The stores' libraries raise hundreds of kinds of exceptions. They are told apart by what they carry (a status, a code)
and by the names of their classes, through the whole chain of causes, so that no library has to be imported.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

from server.config.model_uri import Address, without_secrets

#: what brings the stores' libraries
WAY_TO_STORAGE = (
    "pip install kserve-storage (of the image: --build-arg FRAMEWORKS=...,storage; of a checkout: make install)"
)
#: per kind of address, what gives access
_ACCESS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or awsAnonymousCredential=true for a public bucket",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS; without credentials, the bucket must be public",
    "azure": "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or AZURE_STORAGE_ACCESS_KEY",
    "http": "set the environment variable <host>-headers to a JSON object of headers, Authorization for one",
    "hf": "set HF_TOKEN, and ask for access where the repository is gated",
    "oci": "set KSERVE_OCI_DOCKER_CONFIG to a docker config.json that knows the registry",
}
#: S3's code -> what it means
_S3 = {
    "NoSuchBucket": "the bucket {host!r} does not exist",
    "InvalidAccessKeyId": "the store does not know the access key: {access}",
    "SignatureDoesNotMatch": "the store refuses the credentials: {access}",
    "ExpiredToken": "the credentials have expired: {access}",
    "InvalidToken": "the store refuses the credentials: {access}",
    "PermanentRedirect": "the bucket is in another region: set AWS_DEFAULT_REGION",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set AWS_DEFAULT_REGION",
}
_STATUS = {
    401: "access is denied: {access}",
    403: "access is denied: {access}",
    404: "it does not exist",
    407: "the proxy asks for credentials",
    410: "it does not exist any more",
    412: "it changed during the download",
}
_MISSING_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "DefaultCredentialsError",
    "CredentialUnavailableError",
)
_REFUSED_CREDENTIALS = ("ClientAuthenticationError", "RefreshError", "GatedRepoError", "InvalidConfigError")
_CERTIFICATE = ("SSLError", "SSLCertVerificationError")
_CONNECTION = (
    "ConnectionError", "ConnectTimeout", "ConnectTimeoutError", "ConnectError", "EndpointConnectionError",
    "NewConnectionError", "ReadTimeout", "ReadTimeoutError", "ConnectionClosedError", "ChunkedEncodingError",
    "ProtocolError", "IncompleteRead", "IncompleteReadError", "ResponseStreamingError", "ServiceRequestError",
    "ServiceResponseError", "TransportError", "ProxyConnectionError", "ProxyError", "Timeout", "TimeoutError",
    "TimeoutException", "RemoteDisconnected", "HTTPClientError", "RemoteProtocolError", "ReadError", "RetryError",
    "DataCorruption", "FlexibleChecksumError", "MaxRetryError",
)  # fmt: skip


class StorageError(Exception):
    """A model cannot be had from its store; the message is a clause, shown after the URI.

    `transient`: the same may work in a moment. `offline`: the store could not even be asked. `changed`: what was listed
    is there no more, and has to be listed anew.
    """

    def __init__(self, message: str, *, transient: bool = False, offline: bool = False, changed: bool = False) -> None:
        super().__init__(message)
        self.transient = transient
        self.offline = offline
        self.changed = changed


def storage_error(error: BaseException, address: Address) -> StorageError:
    """What the operator is told, for any exception of a store's library."""
    if isinstance(error, StorageError):
        return error
    chain = list(_chain(error))
    return (
        _of_this_machine(chain)
        or _of_credentials(chain, address)
        or _of_status(chain, address)
        or _of_connection(chain)
        or StorageError(scrubbed(f"{type(error).__name__}: {error}"))
    )


def scrubbed(text: str) -> str:
    """One line of bounded length, without what may be secret."""
    line = " ".join(without_secrets(text).split())
    for name, value in os.environ.items():
        secret = any(word in name.upper() for word in ("SECRET", "TOKEN", "PASSWORD", "KEY", "-HEADERS"))
        if secret and len(value) >= 8:
            line = line.replace(value, "***")
    return line if len(line) <= 300 else f"{line[:300]}…"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and its causes, also those that libraries keep among the arguments."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            inner = [getattr(one, name, None) for name in ("reason", "error", "inner_exception")]
            waiting += [one.__cause__, one.__context__, *one.args, *inner]


def _of_this_machine(chain: list[BaseException]) -> StorageError | None:
    for error in chain:
        if isinstance(error, ImportError):
            return StorageError(f"{error.name or error} is not installed: {WAY_TO_STORAGE}")
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StorageError("the disk is full: name another directory with --storage_dir")
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM) and error.filename:
            return StorageError(f"{error.filename} cannot be written ({error.strerror}): see --storage_dir")
    return None


def _of_credentials(chain: list[BaseException], address: Address) -> StorageError | None:
    names = {type(error).__name__ for error in chain}
    if names & {*_MISSING_CREDENTIALS}:
        return StorageError(f"there are no credentials: {_ACCESS.get(address.kind, 'set them')}")
    if names & {*_REFUSED_CREDENTIALS}:
        return StorageError(f"access is denied: {_ACCESS.get(address.kind, 'check the credentials')}")
    return None


def _of_status(chain: list[BaseException], address: Address) -> StorageError | None:
    words = {"host": address.host, "access": _ACCESS.get(address.kind, "check the credentials")}
    for error in chain:
        response = getattr(error, "response", None)
        code = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
        if code in _S3:
            return StorageError(_S3[code].format(**words))
        status = _status(error, response)
        if status in _STATUS:
            return StorageError(_STATUS[status].format(**words), changed=status == 412)
        if status >= 400:
            busy = status >= 500 or status in (408, 425, 429)
            said = f" ({code})" if code and not code.isdecimal() else ""
            return StorageError(f"the store answers {status}{said}", transient=busy, offline=status >= 500)
    return None


def _status(error: BaseException, response: object) -> int:
    """The HTTP status that an exception carries, or 0."""
    if isinstance(response, dict):
        found = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    else:
        found = getattr(response, "status_code", None) or getattr(error, "status_code", None)
        found = found or getattr(error, "code", None)
    return found if isinstance(found, int) else 0


def _of_connection(chain: list[BaseException]) -> StorageError | None:
    names = {type(error).__name__ for error in chain}
    text = " ".join(str(error) for error in chain)
    if names & {"gaierror", "NameResolutionError"} or "Name or service not known" in text:
        return StorageError("its host cannot be found (DNS)", transient=True, offline=True)
    if names & {*_CERTIFICATE}:
        return StorageError("the certificate of its host cannot be verified: see AWS_CA_BUNDLE and REQUESTS_CA_BUNDLE")
    if names & {"ConnectionRefusedError"} or "Connection refused" in text:
        return StorageError("its host refuses the connection", transient=True, offline=True)
    broken = any(isinstance(error, (ConnectionError, TimeoutError, socket.timeout)) for error in chain)
    if broken or names & {*_CONNECTION}:
        return StorageError("the connection broke or timed out", transient=True, offline=True)
    return None
