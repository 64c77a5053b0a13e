"""spaCy pipelines.

`adapter` is the adapter; `loading` loads a pipeline's folder and notices what is missing, `config` says what the
folder's config.cfg may name, `docs` turns what a pipeline found into JSON and vectors.
"""

from adapters.spacy_.adapter import SpacyAdapter

__all__ = ["SpacyAdapter"]
