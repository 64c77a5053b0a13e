"""Who may load and unload models: who gives the token that `ADMIN_TOKEN` holds; without one, who is on this machine.

That a connection comes from a loopback address does not say so: proxies and sidecars on the machine, and pages in a
browser on it, connect from there for others. So a call without a token must look like a call of this machine's own: it
names this machine as the one that it asks (`Host`: a page that had its name rebound to a loopback address names
itself), and it has no header but those that clients themselves send. What proxies add to say for whom they ask is
whatever they like; a list of it would never be whole.

The token comes from the environment alone: a command line can be read by every user of the machine.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from server.api.credentials import API_KEY, KeyFile, KeyGuard
from server.errors import Forbidden, Unauthorized
from server.text import printable

VARIABLE = "ADMIN_TOKEN"
LOOPBACK = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1"})
HOST = "host"
#: what clients send of their own; anything else may be a proxy's, or a browser's
OWN = frozenset(
    (
        *("accept", "accept-charset", "accept-encoding", "accept-language", "authorization", "cache-control"),
        *("connection", "content-encoding", "content-length", "content-type", "expect", HOST, "keep-alive", "pragma"),
        *("te", "transfer-encoding", "user-agent"),
        *("upgrade", "http2-settings"),  # the JDK's client and curl offer HTTP/2
        *("inference-header-content-length", "triton-request-id", API_KEY),
    )
)
#: an address of IPv6 in brackets, or with nothing behind it, or anything else; and a port: no more, and nothing between
_NAME_AND_PORT = re.compile(r"(?:\[([0-9a-f:.]*)\]|([^\[\]:@]*|[0-9a-f:.]*))(?::[0-9]*)?")
_GRPC = "grpc-"  #: begins the metadata of gRPC itself
_BEARER = "bearer "
_ACTS = "loading, unloading, promoting models and reading the log"


@dataclass(frozen=True)
class Access:
    """Guards what changes the server; without a token it is open to this machine only."""

    token: str = field(default="", repr=False)
    keys: KeyGuard | None = None  #: API keys, some of which are for loading and unloading, too
    #: strangers' code runs on this machine and may connect: what comes from it is no more trusted than what does not
    shared_machine: bool = False

    @classmethod
    def of(
        cls,
        environ: Mapping[str, str],
        keys_file: str | None = None,
        *,
        lenient: bool = False,
        shared_machine: bool = False,
    ) -> Self:
        """As the environment says. White space around the token, as the end of a file leaves it, is not part of it.

        `lenient`: a file of keys that cannot be read lets nobody in, until it can.

        Raises:
            KeysError: the file of keys is none.
        """
        token = environ.get(VARIABLE, "").strip()
        keys = KeyGuard(KeyFile(Path(keys_file), lenient=lenient), token) if keys_file else None
        return cls(token, keys, shared_machine)

    @property
    def rule(self) -> str:
        """What holds, for the log."""
        if self.token:
            return f"loading and unloading models over the network needs {VARIABLE}, from this machine as well"
        if self.shared_machine:
            return (
                f"loading and unloading models over the network is open to nobody: set {VARIABLE} (--sandbox_network)"
            )
        return (
            "loading and unloading models is open to this machine (loopback) only, without a token; "
            f"where a proxy on it may pass on calls of others, set {VARIABLE}"
        )

    def check(self, address: str, headers: Mapping[str, str]) -> None:
        """Let the caller through; `address` is where the connection comes from, `headers` have lower-case names.

        A `Host` that is not there is one that nobody can tell; where the caller names none it is "".

        Raises:
            Unauthorized: a token is needed and there is none, or a wrong one.
            Forbidden: no token would do, as the server has none.
        """
        if self.keys is not None and self.keys.is_admin(headers.items()):
            return
        given = headers.get("authorization")
        if self.token:
            if given is None:
                raise Unauthorized(f"{_ACTS} needs `Authorization: Bearer <token>` with the server's {VARIABLE}")
            if not self._fits(given):
                raise Unauthorized(f"this is not the server's {VARIABLE}: send `Authorization: Bearer <token>`")
        elif self.shared_machine:
            raise Forbidden(
                f"{_ACTS} is open to nobody: start the server with {VARIABLE} to allow it "
                "(with --sandbox_network, models' code may call from this machine)"
            )
        elif why := why_not_local(address, headers):
            raise Forbidden(
                f"{_ACTS} is open to this machine (loopback) only: "
                f"start the server with {VARIABLE} to allow it from elsewhere ({why})"
            )

    def _fits(self, given: str) -> bool:
        scheme, token = given[: len(_BEARER)], given[len(_BEARER) :].strip()
        same = hmac.compare_digest(token.encode("utf-8", "replace"), self.token.encode("utf-8", "replace"))
        return scheme.lower() == _BEARER and same


def why_not_local(address: str, headers: Mapping[str, str]) -> str:
    """What says that a call may not be this machine's own: "" where nothing does."""
    if address not in LOOPBACK:
        return f"the call comes from {address}" if address else "nobody knows where the call comes from"
    if (host := headers.get(HOST)) is not None and not _is_loopback(host):
        named = f"its Host, {printable(host)}, is no name of this machine's own" if host else "it names no Host"
        return f"{named}; localhost is one"
    strange = [name for name in headers if name not in OWN and not name.startswith(_GRPC)]
    if strange:
        return f"it has the header {printable(strange[0])}, as somebody else's call that was passed on may have"
    return ""


def _is_loopback(host: str) -> bool:
    """Whether a `Host`, with or without a port, is this machine's name for itself, or such an address."""
    parts = _NAME_AND_PORT.fullmatch(host.strip().lower())
    if parts is None:
        return False
    name = (parts[1] or parts[2]).removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def peer_address(peer: str) -> str:
    """The address in gRPC's name of a peer: `ipv4:127.0.0.1:4711`, `ipv6:[::1]:4711` (or with %5B and %5D)."""
    family, _, rest = peer.replace("%5B", "[").replace("%5D", "]").partition(":")
    if family not in ("ipv4", "ipv6"):
        return ""
    return rest.rpartition(":")[0].strip("[]")
