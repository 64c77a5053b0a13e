"""Who may load and unload models: who is on this machine, and who gives the token that `ADMIN_TOKEN` holds.

The token comes from the environment alone: a command line can be read by every user of the machine.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Self

from server.errors import Forbidden, Unauthorized

VARIABLE = "ADMIN_TOKEN"
LOOPBACK = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1"})
#: headers of a request that somebody else sent through this machine: a proxy, or a web page open in its browser
FORWARDED = frozenset({"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"})
ORIGIN = "origin"
_BEARER = "bearer "


@dataclass(frozen=True)
class Access:
    """Guards what changes the server; without a token it is open to this machine only."""

    token: str = field(default="", repr=False)

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """As the environment says. White space around the token, as the end of a file leaves it, is not part of it."""
        return cls(environ.get(VARIABLE, "").strip())

    def check(self, address: str, headers: Mapping[str, str]) -> None:
        """Let the caller through; `address` is where the connection comes from, `headers` have lower-case names.

        Raises:
            Unauthorized: a token is needed and there is none, or a wrong one.
            Forbidden: no token would do, as the server has none.
        """
        given = headers.get("authorization")
        if self.token and given is not None:
            if not self._fits(given):
                raise Unauthorized(f"this is not the server's {VARIABLE}: send `Authorization: Bearer <token>`")
        elif not is_local(address, headers):
            if self.token:
                raise Unauthorized(
                    f"loading and unloading models from elsewhere than this machine (loopback) needs "
                    f"`Authorization: Bearer <token>` with the server's {VARIABLE}"
                )
            raise Forbidden(
                "loading and unloading models is open to this machine (loopback) only: "
                f"start the server with {VARIABLE} to allow it from elsewhere"
            )

    def _fits(self, given: str) -> bool:
        scheme, token = given[: len(_BEARER)], given[len(_BEARER) :].strip()
        same = hmac.compare_digest(token.encode("utf-8", "replace"), self.token.encode("utf-8", "replace"))
        return scheme.lower() == _BEARER and same


def is_local(address: str, headers: Collection[str]) -> bool:
    """From this machine, and not through a proxy (a sidecar, an ingress) or a page in a browser on it."""
    return address in LOOPBACK and ORIGIN not in headers and not FORWARDED.intersection(headers)


def peer_address(peer: str) -> str:
    """The address in gRPC's name of a peer: `ipv4:127.0.0.1:4711`, `ipv6:[::1]:4711` (or with %5B and %5D)."""
    family, _, rest = peer.replace("%5B", "[").replace("%5D", "]").partition(":")
    if family not in ("ipv4", "ipv6"):
        return ""
    return rest.rpartition(":")[0].strip("[]")
