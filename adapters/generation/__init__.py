"""Decoder language models: from chat or prompt to token ids, through an engine, and back to text."""
