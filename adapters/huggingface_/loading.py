"""A transformers folder to an `Encoder`: from local files only, without foreign code, and with every weight found."""

from __future__ import annotations

import inspect
import math
import os
import re
import threading
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.base import LoadError
from adapters.huggingface_.encoder import Encoder
from adapters.huggingface_.tokenizing import AS_IT_IS, Tokenizing
from adapters.shared.messages import first_line, listed
from adapters.shared.texts import PANIC
from adapters.shared.tokenizer_growth import Growth

if TYPE_CHECKING:
    from adapters.huggingface_.packed_rows import Packing

DTYPES = ("float32", "bfloat16", "float16", "auto")

#: what configurations call the largest number of tokens; the smallest counts, as in KServe
_LIMITS = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length", "max_sequence_length",
    "max_seq_length", "seq_len",
)  # fmt: skip
#: what a tokenizer is made of, any of which may be what is wrong with it
_OF_TOKENIZERS = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt",
    "vocab.json", "merges.txt",
)  # fmt: skip
#: the limit of a model that tells of none (KServe's), and from where on a number means "none"
_DEFAULT_LIMIT, _UNLIMITED = 2048, 1 << 24


def load_encoder(
    path: Path, auto_class: str, output: str, *, safetensors: bool, unused: str = "", dtype: str = "float32",
    device: str = "", max_length: int | None = None, cut_at: int | None = None, tokenizing: Tokenizing = AS_IT_IS,
) -> Encoder:  # fmt: skip
    """Load the model and its tokenizer from the folder `path`.

    `auto_class` is transformers' class for the task, `output` the output of it that counts. Weights that begin with
    `unused` may be missing, since that output does not depend on them. `device` "" takes a GPU where there is one.
    Texts may have `max_length` tokens, else `cut_at` or the model's own limit, whichever is less.

    Raises:
        LoadError: the folder cannot be loaded, or weights are missing: transformers would make them up at random.
    """
    import torch

    one_thread()
    try:
        model, report = load_model(path, auto_class, safetensors, dtype)
        tokenizer = tokenizing.prepare(from_folder("AutoTokenizer", path))
        model = model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()
    except LoadError:
        raise
    except Exception as error:
        raise LoadError(reason_of(error)) from error
    check_loaded(report, unused)
    growth = check_tokenizer(tokenizer)
    if model.main_input_name != "input_ids":
        raise LoadError(f"{type(model).__name__} takes {model.main_input_name}, not text")
    encoder = Encoder(
        model=model,
        tokenizer=tokenizer,
        output=output,
        inputs=tokenizing.inputs(frozenset(inspect.signature(model.forward).parameters)),
        max_length=_length(model, tokenizer, max_length, cut_at),
        vocabulary=_vocabulary(model),
        solo=output == "logits" and _is_solo(model),
        turn=threading.Lock() if _keeps_state(model) else nullcontext(),
        keywords=tokenizing.keywords(),
        growth=growth,
    )
    packing = None if encoder.solo else packing_for(model, output, encoder.inputs, encoder.max_length)
    return replace(encoder, packing=packing)


def packing_for(model: Any, output: str, inputs: frozenset[str], longest: int) -> Packing | None:
    """How the model takes rows of any length in one call, or None; as `packed_rows.packing_of`, which see."""
    from adapters.huggingface_.packed_rows import packing_of

    if _keeps_state(model):
        return None
    padding = _padding_of_positions(model)
    return packing_of(model, output, inputs, vocabulary=_vocabulary(model), longest=longest, padding=padding)


def one_thread() -> None:
    """Several threads are busy already: a thread pool in each call of each model would only make them wait."""
    import torch

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    torch.set_num_threads(1)


def from_folder(auto_class: str, path: Path, **settings: Any) -> Any:
    """What one of transformers' auto classes makes of the folder, without the network and foreign code."""
    import transformers

    loader = getattr(transformers, auto_class)
    try:
        return loader.from_pretrained(str(path), local_files_only=True, trust_remote_code=False, **settings)
    except BaseException as error:
        files = [name for name in _OF_TOKENIZERS if (path / name).exists()]
        of_tokenizer = type(error).__name__ == PANIC or (auto_class == "AutoTokenizer" and isinstance(error, Exception))
        if not files or not of_tokenizer:
            raise
        raise LoadError(f"{listed(files, len(files))}: {reason_of(error)}") from error


def load_model(
    path: Path, auto_class: str, safetensors: bool, dtype: str, **settings: Any
) -> tuple[Any, dict[str, Any]]:
    """The model, and transformers' report on its weights, for `check_loaded`."""
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    if "TRANSFORMERS_VERBOSITY" not in os.environ:
        logging.set_verbosity_error()  # what its report on weights warns of is checked here
    model, report = from_folder(
        auto_class,
        path,
        dtype="auto" if dtype == "auto" else getattr(torch, dtype),
        use_safetensors=safetensors,
        weights_only=True,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
        **settings,
    )
    return model, report


def check_loaded(report: dict[str, Any], unused: str = "") -> None:
    """
    Raises:
        LoadError: weights are missing, but those that begin with `unused`, or do not fit.
    """
    mismatched = [f"{name} ({list(held)}, not {list(wanted)})" for name, held, wanted in report["mismatched_keys"]]
    if mismatched:
        raise LoadError(f"the weights do not fit config.json: {listed(sorted(mismatched), 4)}")
    missing = [name for name in report["missing_keys"] if not (unused and name.startswith(unused))]
    if missing:
        raise LoadError(
            f"the weights lack {listed(sorted(missing), 4)}, which would be made up at random: "
            "the model was saved without the head of this task, or config.json is another model's"
        )
    if report["error_msgs"]:
        raise LoadError(f"the weights do not load: {report['error_msgs'][0]}")


def check_tokenizer(tokenizer: Any) -> Growth:
    """What it may make of texts.

    Raises:
        LoadError: its vocabulary is nearly empty, as where that lies under a name that transformers does not expect; or
            lacks its unknown token; it makes texts far too long, or says with no number how long they may be.
    """
    try:
        special = set(tokenizer.all_special_ids)
    except RecursionError as error:  # looks for the unknown token's id, which is the unknown token's
        raise LoadError(
            f"the tokenizer's unknown token is {tokenizer.unk_token!r:.80}, which is not in its vocabulary: "
            "tokenizer_config.json or special_tokens_map.json names it"
        ) from error
    if len(tokenizer) <= len(special):
        raise LoadError(
            f"{type(tokenizer).__name__} found no vocabulary: it knows its {len(tokenizer)} special tokens only"
        )
    longest = getattr(tokenizer, "model_max_length", _DEFAULT_LIMIT)
    if type(longest) not in (int, float) or math.isnan(longest):
        raise LoadError(f"tokenizer_config.json: model_max_length is {longest!r:.40}, and has to be a number")
    return Growth.of(tokenizer)


def model_limit(model: Any, tokenizer: Any) -> int:
    """The most tokens that the model takes at once."""
    config = model.config.get_text_config()
    named = [getattr(config, name, None) for name in _LIMITS]
    held = [size - _first_position(model) for size in named if isinstance(size, int) and size > 0]
    limit = int(min([*held, tokenizer.model_max_length, _UNLIMITED + 1]))  # which may be infinite
    return _DEFAULT_LIMIT if limit > _UNLIMITED else limit


def _length(model: Any, tokenizer: Any, wanted: int | None, cut_at: int | None) -> int:
    limit = model_limit(model, tokenizer)
    least = tokenizer.num_special_tokens_to_add() + 1
    if wanted is not None and not least <= wanted <= limit:
        raise LoadError(f"max_length is {wanted}, but this model takes from {least} to {limit} tokens")
    return wanted or max(least, min(limit, cut_at or limit))


def _first_position(model: Any) -> int:
    """The table of positions is so much longer than a text may be."""
    padding = _padding_of_positions(model)
    return 0 if padding is None else padding + 1


def _padding_of_positions(model: Any) -> int | None:
    """RoBERTa and its kin count positions from behind the padding token's; None of all others."""
    for module in model.modules():
        padding = getattr(getattr(module, "position_embeddings", None), "padding_idx", None)
        if padding is not None:
            return int(padding)
    return None


def _vocabulary(model: Any) -> int:
    try:
        return int(model.get_input_embeddings().num_embeddings)
    except (NotImplementedError, AttributeError):
        return 0  # characters or bytes are embedded in other ways


def _is_solo(model: Any) -> bool:
    """A head that reads a text's last token finds it by the padding token or by the decoder's end of text.

    Without the first, and where texts hold different numbers of the second, transformers refuses several rows.
    """
    config = model.config.get_text_config()
    return getattr(config, "pad_token_id", None) is None or bool(getattr(config, "is_encoder_decoder", False))


def _keeps_state(model: Any) -> bool:
    """Some rotary embeddings compute their frequencies anew for long texts, and keep them in the module."""
    kinds = {str(getattr(module, "rope_type", "")) for module in model.modules()}
    return any("dynamic" in kind or "longrope" in kind for kind in kinds)


def reason_of(error: BaseException) -> str:
    """The one line of transformers' and torch's long messages that an operator needs."""
    if named := re.search(r"GLOBAL (\S+)", str(error)):
        return (
            f"the pickled weights name {named[1].rstrip('.')}, which no weights need; nothing of it was executed. "
            "Save the weights as safetensors"
        )
    return f"transformers cannot load it: {type(error).__name__}: {first_line(error)}"
