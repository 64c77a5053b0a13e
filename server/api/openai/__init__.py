"""OpenAI's API for language models: chats, completions, and which models there are.

    path ─ endpoints ─ openai_routes ─ request_fields (checked) ─ job ─ the model, in its worker
    answer ─ chat_answers, completion_answers ─ parts (read, or streamed) ─┘          errors: error_object

What a field means for the text is the model's business (`adapters.generation`); here is how it looks to a client.

Source: OpenAI's API reference; KServe's prefix of the routes.
"""
