"""Where payloads go: a collector of CloudEvents, a file of JSON lines, or such files in a bucket (`buckets`).

Only to the address that the operator has given: a collector's redirects are not followed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import httpx

from server.config.model_uri import Address
from server.config.payload_target import bucket_of
from server.loading.storage.errors import storage_error
from server.repository.payloads.buckets import PutObject, new_name, put_into
from server.repository.payloads.payload import Payload, Sender, cloud_event, json_line

#: sends some; blocks, and raises an OSError where it fails
SendPayloads: TypeAlias = Callable[[Sequence[Payload]], None]

_TIMEOUT = 10.0  #: seconds that a collector may take for one


class SinkFailed(OSError):
    """It has not taken all; the message says why, without the address's secrets."""

    def __init__(self, why: str, lost: Sequence[Payload] | None = None) -> None:
        """`lost`: those that it has not taken; None: any of them."""
        super().__init__(why)
        self.lost = lost


def sink(target: str, sender: Sender) -> SendPayloads:
    """What sends to this address: a collector's, a bucket's, or the path of a file."""
    if (address := bucket_of(target)) is not None:
        return Bucket(address, sender).send
    if target.startswith(("http://", "https://")):
        return Collector(target, sender).send
    return LinesFile(Path(target), sender).send


class Collector:
    """Takes CloudEvents over HTTP."""

    def __init__(self, url: str, sender: Sender) -> None:
        self._url = url
        self._sender = sender
        self._client = httpx.Client(timeout=_TIMEOUT, follow_redirects=False)

    def send(self, payloads: Sequence[Payload]) -> None:
        """
        Raises:
            SinkFailed: the collector has not taken all of them. One that it refuses is nothing to the others (else a
                client could keep others' from being logged); those left when it is in trouble are not tried.
        """
        refused: list[Payload] = []
        status = 0
        for number, payload in enumerate(payloads):
            headers, body = cloud_event(payload, self._sender)
            try:
                answer = self._client.post(self._url, content=body, headers=headers)
            except httpx.HTTPError as error:
                lost = [*refused, *payloads[number:]]
                raise SinkFailed(f"the collector cannot be reached: {type(error).__name__}", lost) from error
            if not answer.is_success:
                refused.append(payload)
                status = answer.status_code
            if answer.is_server_error:
                refused += payloads[number + 1 :]
                break
        if refused:
            raise SinkFailed(f"the collector answered {status}", refused)


class LinesFile:
    """A file that grows; it is opened anew each time, so that it may be rotated."""

    def __init__(self, path: Path, sender: Sender) -> None:
        self._path = path
        self._sender = sender

    def send(self, payloads: Sequence[Payload]) -> None:
        """
        Raises:
            OSError
        """
        with self._path.open("ab") as file:
            file.write(_lines(payloads, self._sender))


class Bucket:
    """Objects of JSON lines below a prefix, by the hour: `prefix/2026/01/31/12/<unique>.jsonl`."""

    def __init__(self, address: Address, sender: Sender) -> None:
        self._address = address
        self._sender = sender
        self._put: PutObject | None = None

    def send(self, payloads: Sequence[Payload]) -> None:
        """
        Raises:
            SinkFailed
        """
        try:
            self._put = self._put or put_into(self._address)
            self._put(new_name(), _lines(payloads, self._sender))
        except Exception as error:  # the stores' libraries have hundreds of them
            why = storage_error(error, self._address)
            raise SinkFailed(f"{self._address.shown} takes nothing: {why}") from error


def _lines(payloads: Sequence[Payload], sender: Sender) -> bytes:
    return b"".join(json_line(payload, sender) + b"\n" for payload in payloads)
