"""Who asks over gRPC: the call's `x-request-id`, and its API key where the server was told to ask for one.

Both come as metadata, as REST has them in headers. The identifier goes back in the initial metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from server.api import request_ids
from server.api.credentials import CARRIERS, KeyGuard, check_model
from server.config.api_keys import ApiKey
from server.errors import InvalidInput
from server.repository.suggestions import show_only
from server.runtime import logs

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]

#: methods that need no key: probes bring none, and `server.api.access` asks who loads and unloads
_OPEN = frozenset({"ServerLive", "ServerReady", "RepositoryModelLoad", "RepositoryModelUnload"})
#: methods that list models -> the member of their answer
_LISTS = {"RepositoryIndex": "models", "ModelStatistics": "model_stats"}
_CARRIERS = frozenset(str(name, "ascii") for name in CARRIERS)


class Callers:
    """The rule of one server."""

    def __init__(self, keys: KeyGuard | None = None, *, make_ids: bool = False) -> None:
        self.keys = keys
        self.makes_ids = make_ids  #: every call has an identifier in the end

    async def attend(self, context: Any) -> Metadata:
        """The call's metadata, its identifier among it, which the caller is told.

        Raises:
            InvalidInput: the identifier is none.
        """
        known, metadata = self.identified(context.invocation_metadata() or ())
        if known:
            logs.request_id.set(known)  # of this task, which gRPC makes for each call
            await context.send_initial_metadata(((request_ids.NAME, known),))
        return metadata

    def identified(self, metadata: Metadata) -> tuple[str, Metadata]:
        """A call's identifier, "" where it has none, and its metadata with it.

        Raises:
            InvalidInput: the identifier is none.
        """
        known = ""
        for name, value in metadata:
            if name == request_ids.NAME:
                if known:
                    raise InvalidInput(f"{request_ids.NAME} is given more than once: send one")
                known = request_ids.checked(value if isinstance(value, str) else str(value, "latin-1"))
        if not known and self.makes_ids:
            known = request_ids.made()
            metadata = (*metadata, (request_ids.NAME, known))
        return known, metadata

    def check(self, metadata: Metadata, model: str) -> None:
        """
        Raises:
            Unauthorized, Forbidden: the call brings no key, or one that is not for the model.
        """
        if self.keys is not None:
            key = self.keys.key_of(metadata)
            check_model(key, model)
            show_only(key.allows)

    def check_method(self, metadata: Metadata, method: str, request: Any) -> None:
        """The same of a method beside inference, whose message may name a model.

        Raises:
            Unauthorized, Forbidden
        """
        if self.keys is None or method in _OPEN:
            return
        key: ApiKey = self.keys.key_of(metadata)
        show_only(key.allows)
        model = getattr(request, "name", "") or getattr(request, "model_name", "")
        if model:
            check_model(key, model)

    def of_the_key(self, metadata: Metadata, method: str, answer: Any) -> Any:
        """The answer of such a method without the models that the call's key is not for."""
        member = _LISTS.get(method)
        if self.keys is None or member is None or (key := self.keys.key_of(metadata)).models is None:
            return answer
        listed = getattr(answer, member)
        kept = [each for each in listed if key.allows(each.name)]
        del listed[:]
        listed.extend(kept)
        return answer

    def shown(self, metadata: Metadata) -> Metadata:
        """The metadata that models may see: keys are none of their business."""
        if self.keys is None:
            return metadata
        return [(name, value) for name, value in metadata if name not in _CARRIERS]
