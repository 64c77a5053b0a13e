"""What the log says once the server listens: where, and who may change it."""

from __future__ import annotations

from server import __version__
from server.config.settings import Settings

_ANY = "0.0.0.0"  #: every address of the machine
_HERE = "localhost"  #: what a browser on it is sent to: terminals make a link of it


def banner(settings: Settings, rest_port: int, grpc_port: int, rule: str) -> str:
    """A line for each address, with the ports that were taken; `rule` says who may load and unload models."""
    secured = settings.ssl_certfile is not None
    scheme, place = "https" if secured else "http", f":{rest_port}{settings.root_path}"
    lines = {"REST": f"{scheme}://{_ANY}{place}"}
    if settings.enable_grpc:
        lines["gRPC"] = f"{_ANY}:{grpc_port}{' (TLS)' if secured else ''}"
    if settings.uds is not None:
        lines["socket"] = str(settings.uds)
    if settings.enable_console:
        lines["console"] = f"{scheme}://{_HERE}{place}/console"
    if settings.enable_docs_url:
        lines["API"] = f"{scheme}://{_HERE}{place}/docs"
    lines["admin"] = rule
    head = f"PolyServe {__version__} listens" + (f", in {settings.workers} processes" if settings.workers > 1 else "")
    return "\n".join([head, *(f"    {name:<7} {value}" for name, value in lines.items())])
