"""The paths of OpenAI's API.

GET  /openai/v1/models, /openai/v1/models/{model}
POST /openai/v1/chat/completions, /openai/v1/completions, /openai/v1/responses, /openai/v1/embeddings
POST /openai/v1/rerank, /openai/v1/score          not OpenAI's, but in the same words
POST /openai/v1/audio/transcriptions, /openai/v1/audio/translations
POST /v1/chat/completions, ...                    the same; GET /v1/models is KServe's
"""

from __future__ import annotations

from typing import NamedTuple

CHAT, COMPLETION, MODELS, MODEL = "chat", "completion", "models", "model"
RESPONSE, EMBEDDING, RERANK, SCORE = "response", "embedding", "rerank", "score"
TRANSCRIPTION, TRANSLATION = "transcription", "translation"

#: what is asked by POST, behind the prefix -> its word
POSTED = {
    "chat/completions": CHAT,
    "completions": COMPLETION,
    "responses": RESPONSE,
    "embeddings": EMBEDDING,
    "rerank": RERANK,
    "score": SCORE,
    "audio/transcriptions": TRANSCRIPTION,
    "audio/translations": TRANSLATION,
}
_BARE = "/v1/"


class OpenAIPath(NamedTuple):
    """What a path asks for."""

    action: str  #: one of the words above; "": there is no such route
    model: str = ""  #: of MODEL

    @property
    def verb(self) -> str:
        """The method that it is asked by; "" where there is no route."""
        return ("GET" if self.action in (MODELS, MODEL) else "POST") if self.action else ""


class OpenAIPaths:
    """The grammar, under the prefix that KServe's routes have."""

    def __init__(self, prefix: str) -> None:
        """`prefix` has no slash at its end; "" leaves what is KServe's to KServe."""
        self._base = f"{prefix}/v1/"

    def parse(self, path: str) -> OpenAIPath | None:
        """What the path asks for; None: it is another API's."""
        if self._base != _BARE and path.startswith(self._base):
            rest = path[len(self._base) :]
            if rest == "models":
                return OpenAIPath(MODELS)
            if rest.startswith("models/") and "/" not in (name := rest.removeprefix("models/")) and name:
                return OpenAIPath(MODEL, name)
            return OpenAIPath(POSTED.get(rest, ""))
        action = POSTED.get(path[len(_BARE) :]) if path.startswith(_BARE) else None
        return OpenAIPath(action) if action else None

    def verbs(self, path: str) -> tuple[str, ...]:
        """The methods that a path of this API is asked by; empty for any other."""
        found = self.parse(path)
        return (found.verb,) if found is not None and found.verb else ()

    @property
    def shown(self) -> str:
        """All routes, for messages."""
        return f"GET {self._base}models and POST {', '.join(self._base + rest for rest in POSTED)}"
