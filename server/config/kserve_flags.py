"""Flags of KServe's Hugging Face server that are said elsewhere here, since one server has many models: and where."""

from __future__ import annotations

from collections.abc import Mapping

#: flags whose words are options of a model -> a value to show
_OPTIONS = {
    "task": "fill_mask",
    "max_length": "512",
    "dtype": "float32",
    "disable_lower_case": "true",
    "disable_special_tokens": "true",
    "tensor_input_names": '"input_ids,attention_mask"',
    "return_token_type_ids": "true",
    "return_offsets_mapping": "true",
    "return_probabilities": "true",
    "return_raw_logits": "true",
}
_STORE = "name the model and its revision by --model NAME=hf://owner/model:revision"
_OTHERS = {
    "max_model_len": "say options: {max_context: N} in a language model's polyserve.yaml, {max_length: N} in others",
    "model_id": _STORE,
    "model_revision": _STORE,
    "tokenizer_revision": "a model's tokenizer comes with it, in one revision",
    "backend": "language models have an adapter of their own, which is chosen by what is in the folder",
    "trust_remote_code": "code that comes with a model is never run by transformers here: serve it by a model.py",
    "disable_log_requests": "requests are not logged unless --access_log is set, and never their texts",
    "max_log_len": "the texts of requests are never logged",
}

#: flag -> what to do instead
SAID_ELSEWHERE: Mapping[str, str] = {
    **{
        f"--{name}": f"say options: {{{name}: {value}}} in the polyserve.yaml of the model that it is for"
        for name, value in _OPTIONS.items()
    },
    **{f"--{name}": way_out for name, way_out in _OTHERS.items()},
}
