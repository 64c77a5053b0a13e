"""OpenAI's API for models of language: chats, completions, responses, embeddings, rerank, speech, and which there are.

    path ─ endpoints ─ openai_routes ─ request_fields (checked) ─ job ─ the model, in its worker
    answer ─ chat_answers, completion_answers ─ parts (read, or streamed) ─┘          errors: error_object
             response_answers, response_stream
    path ─ endpoints ─ openai_routes ─ encoder_fields (checked) ─ encoder_answers, encoder_calls ─ any model of tensors

    path ─ endpoints ─ openai_routes ─ transcription_form (checked) ─ transcription_answers ─ any model that hears

What a field means for the text is the model's business (`adapters.generation`); here is how it looks to a client.

Source: OpenAI's API reference; KServe's prefix of the routes.
"""
