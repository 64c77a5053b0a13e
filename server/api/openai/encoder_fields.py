"""The bodies that models of texts are asked by: embeddings, rerank and score. Unknown fields are refused by their name.

Sources: OpenAI's and Cohere's API references; Jina's and vLLM's rerank, vLLM's score.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from server.api.openai.error_object import FieldRefused
from server.api.openai.request_fields import OpenAIRequest
from server.codec.error_text import described

MOST_TEXTS = 2048  #: of one request, as OpenAI has it
_AS_THE_MODEL_TAKES = -1
_TOKEN_IDS = (
    "input: token ids are not taken, as those of the client's tokenizer may mean other tokens to the model: send texts "
    "(LangChain's OpenAIEmbeddings does with check_embedding_ctx_length=False)"
)


class EncoderRequest(OpenAIRequest):
    """What they have in common: parameters of the model's own, which must know them."""

    parameters: ClassVar[tuple[str, ...]] = ("prompt_name", "prompt", "truncation")
    #: tasks of a model that can answer (`Signature.task`)
    tasks: ClassVar[tuple[str, ...]] = ("score", "embedding")
    #: the one field that a text may be in that is too long; None: it may be in several
    texts_field: ClassVar[str | None] = None

    prompt_name: str | None = None
    prompt: str | None = None
    truncation: bool | None = None
    truncate_prompt_tokens: int | None = None  #: vLLM's word for it: -1 cuts at what the model takes

    def model_parameters(self) -> dict[str, Any]:
        """Those that are set."""
        asked = {name: value for name in self.parameters if (value := getattr(self, name)) is not None}
        return asked if self.truncate_prompt_tokens is None else {**asked, "truncation": True}

    def check(self) -> None:
        name = "truncate_prompt_tokens"
        if self.truncate_prompt_tokens not in (None, _AS_THE_MODEL_TAKES):
            told = f"{name} is {self.truncate_prompt_tokens}: texts are cut to what the model takes, or not at all"
            raise FieldRefused(f"{told}: send {_AS_THE_MODEL_TAKES}, or truncation: true", name)
        if self.truncate_prompt_tokens is not None and self.truncation is False:
            raise FieldRefused(f"{name} has texts cut, and truncation: false has them refused: send one of them", name)


class EmbeddingRequest(EncoderRequest):
    """`POST embeddings`."""

    tasks = ("embedding",)
    texts_field = "input"

    input: Any  #: a text, or texts
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1)

    def check(self) -> None:
        super().check()
        first = self.input[0] if isinstance(self.input, list) and self.input else None
        if type(first) is int or isinstance(first, list):
            raise FieldRefused(_TOKEN_IDS, "input", "invalid_type")
        texts_of(self.input, "input")

    @property
    def texts(self) -> list[str]:
        """What is to be embedded, one vector each."""
        return texts_of(self.input, "input")


class RerankRequest(EncoderRequest):
    """`POST rerank`."""

    query: str
    documents: list[Any]  #: texts, or objects with a text
    top_n: int | None = Field(None, ge=1)
    return_documents: bool | None = None  #: they come back unless this is false

    def check(self) -> None:
        super().check()
        self.texts  # noqa: B018  they are what is checked

    @property
    def texts(self) -> list[str]:
        """The documents."""
        texts = [_document(each, index) for index, each in enumerate(self.documents)]
        return texts_of(texts, "documents")


class ScoreRequest(EncoderRequest):
    """`POST score`: one text with each of the others, or each with its counterpart."""

    text_1: Any
    text_2: Any

    def check(self) -> None:
        super().check()
        first, second = texts_of(self.text_1, "text_1"), texts_of(self.text_2, "text_2")
        if len(first) not in (1, len(second)):
            counts = f"text_1 has {len(first)} texts and text_2 {len(second)}"
            raise FieldRefused(f"{counts}: send one text_1, or as many as text_2", "text_1")

    @property
    def pairs(self) -> tuple[list[str], list[str]]:
        """The first texts, one or as many as the second ones."""
        return texts_of(self.text_1, "text_1"), texts_of(self.text_2, "text_2")


def texts_of(value: Any, field: str) -> list[str]:
    """A text or a list of texts, as a list.

    Raises:
        FieldRefused: it is neither, empty, or too long.
    """
    texts = value if isinstance(value, list) else [value]
    if not texts:
        raise FieldRefused(f"{field} is empty: send at least one text", field)
    if len(texts) > MOST_TEXTS:
        raise FieldRefused(f"{field} has {len(texts)} texts, and a request may have {MOST_TEXTS}: send several", field)
    for index, each in enumerate(texts):
        if isinstance(each, str):
            continue
        where = f"{field}[{index}]" if texts is value else field
        raise FieldRefused(f"{where} must be a text, not {described(each)}", field, "invalid_type")
    return texts


def _document(value: Any, index: int) -> Any:
    if isinstance(value, dict):
        if value.keys() != {"text"}:
            raise FieldRefused(f'documents[{index}] must be a text or {{"text": ...}}', "documents", "invalid_type")
        return value["text"]
    return value
