"""From what a job asks to what an engine is given: prompts as ids, checked against vocabulary and context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.generation.chat_size import check_parts
from adapters.generation.chat_template import ChatTemplate
from adapters.generation.control_tokens import Marks
from adapters.generation.engine import Generation
from adapters.generation.job import Chat, Job, Prompt
from adapters.generation.refusal import TOO_LONG, RefusedJob
from adapters.generation.response_form import ResponseForm
from adapters.generation.vocabulary import Vocabulary

_COMPLETION_TOKENS = 16  #: of a completion that does not say how many, as OpenAI has it


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as its template wrote it."""

    text: str
    as_text: Sequence[tuple[int, int]]  #: from where to where special tokens stand that are a client's words


@dataclass(frozen=True, slots=True)
class Prompts:
    """What one model's prompts are made with and held against."""

    vocabulary: Vocabulary
    template: ChatTemplate
    context: int  #: tokens of prompt and answer together
    end_ids: frozenset[int]  #: the model's ends of sequence
    #: what a job has that does not say otherwise: of the model's own generation_config.json
    defaults: Mapping[str, Any] = field(default_factory=dict)
    chat_tokens: int | None = None  #: of a chat that does not say how many; None: what is left of the context
    form: ResponseForm = field(default_factory=ResponseForm)  #: of answers to chats

    def rendered(self, chat: Chat) -> Rendered:
        """The conversation as its template writes it. Takes as long as the template does.

        Raises:
            RefusedJob: there is none, or it does not take this conversation.
        """
        check_parts(chat, self.context)
        marks = Marks(self.vocabulary.special_texts)
        hidden = replace(
            chat,
            messages=marks.hide(chat.messages),
            tools=marks.hide(chat.tools),
            template_values=marks.hide(chat.template_values),
        )
        return Rendered(*marks.reveal(self.template.render(hidden)))

    def generations(self, job: Job, rendered: Rendered | None = None) -> list[Generation]:
        """One generation a prompt. Takes as long as tokenizing does.

        `rendered`: the chat, if it is one, and that has been done before.

        Raises:
            RefusedJob: a prompt cannot be made, or does not fit.
        """
        self._check_ids(job.stop_ids, "stop_token_ids")
        self._check_ids(tuple(job.sampling.logit_bias), "logit_bias")
        if job.max_tokens == 0 and not job.echo:
            raise RefusedJob(
                "max_tokens is 0, so there is nothing to answer: ask for one at least, or for echo", "max_tokens"
            )
        return [self._generation(job, prompt, rendered) for prompt in job.prompts]

    def _generation(self, job: Job, prompt: Prompt, rendered: Rendered | None) -> Generation:
        ids = self._ids(prompt, rendered)
        if not ids:
            raise RefusedJob("the prompt is empty: it must hold at least one token", "prompt")
        return Generation(
            prompt=ids,
            max_tokens=self._budget(job, len(ids), isinstance(prompt, Chat)),
            sampling=job.sampling,
            stop_ids=frozenset(job.stop_ids) if job.ignore_eos else self.end_ids | frozenset(job.stop_ids),
            logprobs=job.logprobs,
            prompt_logprobs=job.echo and job.logprobs is not None,
        )

    def _ids(self, prompt: Prompt, rendered: Rendered | None) -> list[int]:
        if isinstance(prompt, Chat):
            return self._chat_ids(rendered or self.rendered(prompt))
        if isinstance(prompt, str):
            self._check_beginning(prompt, "prompt")
            return self.vocabulary.encode(prompt)
        self._check_ids(prompt, "prompt")
        return list(prompt)

    def _chat_ids(self, chat: Rendered) -> list[int]:
        self._check_beginning(chat.text, "messages")
        try:
            return self.vocabulary.encode_rendered(chat.text, chat.as_text)
        except ValueError as error:
            raise RefusedJob(f"messages contain a control token of the model's, and {error}", "messages") from error

    def _check_beginning(self, text: str, field: str) -> None:
        characters, tokens = self.vocabulary.beginning(text, self.context)
        if characters:
            raise RefusedJob(
                f"This model's maximum context length is {self.context} tokens. However, the first {characters} of "
                f"{len(text)} characters of the {field} are {tokens} tokens already. Please reduce the length of the "
                f"{field}.",
                field,
                TOO_LONG,
            )

    def _check_ids(self, ids: tuple[int, ...], field: str) -> None:
        strange = next((number for number in ids if not 0 <= number < self.vocabulary.size), None)
        if strange is not None:
            raise RefusedJob(f"{field}: {strange} is no token: the model knows 0 to {self.vocabulary.size - 1}", field)

    def _budget(self, job: Job, size: int, chat: bool) -> int:
        """Tokens that may be made."""
        left = self.context - size
        asked = job.max_tokens if job.max_tokens is not None else 1
        if asked > left:
            field = "messages" if chat else "prompt"
            raise RefusedJob(
                f"This model's maximum context length is {self.context} tokens. However, you requested {size + asked} "
                f"tokens ({size} in the {field}, {asked} in the completion). Please reduce the length of the {field} "
                "or completion.",
                field,
                TOO_LONG,
            )
        if job.max_tokens is not None:
            return job.max_tokens
        usual = self.chat_tokens if chat else _COMPLETION_TOKENS
        return left if usual is None else min(left, usual)
