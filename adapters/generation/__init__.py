"""Decoder language models: from chat or prompt to token ids, through an engine, and back to text.

    job ─ prompts (chat_template, vocabulary) ─ Generation ─ engine ─ TokenEvent
    parts ─ answer_parts ─ sequence_text (detokenizer, stop_strings) ─┘    refused: refusal
                             └ reasoning and calls, by response_form: reasoning_text, template_reader, tool_calls

`adapter` is the adapter, `loading` makes its `generator`. Everything but `engine` and what implements it knows texts;
that knows ids only.
"""

from adapters.generation.adapter import GenerationAdapter

__all__ = ["GenerationAdapter"]
