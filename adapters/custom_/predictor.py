"""A transformer whose predictor does not answer: nobody's request is wrong, and its own code is not either."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["absence", "hosts_of"]

_UNAVAILABLE, _TIMEOUT = 503, 504


def hosts_of(model: Any) -> tuple[str, ...]:
    """The servers that a `kserve.Model` calls: predictor and explainer."""
    config = getattr(model, "predictor_config", None)  # older releases of KServe keep the host in the model itself
    named = [getattr(each, "predictor_host", None) for each in (config, model)] + [
        getattr(model, "explainer_host", None)
    ]
    return tuple(dict.fromkeys(str(host) for host in named if host))


def absence(error: BaseException, hosts: tuple[str, ...]) -> tuple[int, str] | None:
    """The status and the message of an error that says that one of the hosts cannot be reached, or is too slow."""
    if not hosts:
        return None
    import grpc
    import httpx

    for each in _chain(error):
        if isinstance(each, httpx.TransportError):
            host = _host(each)
            if host not in hosts:
                continue
            if isinstance(each, httpx.TimeoutException) and not isinstance(each, httpx.ConnectTimeout):
                return _TIMEOUT, f"the predictor at {host} does not answer in time ({type(each).__name__})"
            return _UNAVAILABLE, f"the predictor at {host} cannot be reached: {str(each) or type(each).__name__}"
        if isinstance(each, grpc.RpcError) and callable(getattr(each, "code", None)):
            if each.code() is grpc.StatusCode.UNAVAILABLE:
                return _UNAVAILABLE, f"the predictor at {hosts[0]} cannot be reached: {each.details()}"
            if each.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                return _TIMEOUT, f"the predictor at {hosts[0]} does not answer in time"
    return None


def _host(error: Any) -> str:
    try:
        url = error.request.url
    except RuntimeError:  # it knows of no request
        return ""
    return str(url.netloc.decode("ascii"))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes."""
    current: BaseException | None = error
    for _ in range(8):
        if current is None:
            return
        yield current
        current = current.__cause__
