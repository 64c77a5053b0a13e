"""Where `--payload_log` sends: read as it is given, so that a mistake ends the start, and not the log."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit


def payload_target(text: str) -> str:
    """The target, if payloads can be sent there.

    Raises:
        ValueError: completes "--payload_log=text: ...".
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        path = Path(text).absolute()
        if path.is_dir() or not path.parent.is_dir():
            raise ValueError("must be the path of a file, in a directory that is there")
        return str(path)
    if scheme in ("http", "https"):
        parts = urlsplit(text)
        if not parts.hostname:
            raise ValueError("must name the host of a collector, such as http://collector:8080/events")
        return text
    if scheme == "s3":
        if not rest.partition("/")[0]:
            raise ValueError("must name a bucket, such as s3://bucket/path")
        return text
    raise ValueError("must be http://, https:// or s3://, or the path of a file")
