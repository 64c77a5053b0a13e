"""The adapter: claims what the Hugging Face adapter leaves to the library, and loads it from local files alone."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from adapters.base import (
    TOKEN_COUNTS,
    Adapter,
    Array,
    InvalidInput,
    LoadError,
    Match,
    ModelDir,
    Parameter,
    Parameters,
    Rank,
    Signature,
    Tensors,
    TensorSpec,
    Trust,
)
from adapters.huggingface_ import HuggingFaceAdapter
from adapters.huggingface_.bundle import Damaged, read_config
from adapters.huggingface_.loading import DTYPES
from adapters.huggingface_.sentence import is_cross_encoder
from adapters.sentence_transformers_.folder import ModelFolder, read_folder
from adapters.sentence_transformers_.kinds import KINDS, OUTPUT, Kind
from adapters.sentence_transformers_.packed import packed_modules
from adapters.shared.messages import first_line
from adapters.shared.tokenizer_growth import Growth

_PARAMETERS = {parameter.name: parameter for kind in KINDS.values() for parameter in kind.parameters}


@dataclass(eq=False)
class SentenceTransformersAdapter(Adapter):
    """One model of sentence-transformers: texts (or pairs of texts) in, one answer a row out.

    Texts that are too long are refused, with the number of their tokens, unless `truncation` has them cut, as the
    library does.
    """

    kind: Kind
    defaults: Parameters  #: what the options say of the request parameters
    texts: Tensors  #: an example; {} where the model takes texts of next to no tokens

    name = "sentence_transformers"
    platform = "sentence_transformers"
    requires: ClassVar[tuple[str, ...]] = ("sentence_transformers", "torch")
    safe_form: ClassVar[str] = "as safetensors"
    options: ClassVar[tuple[Parameter, ...]] = (
        Parameter("dtype", choices=DTYPES, meaning="the weights' type in memory; as they were saved unless set"),
        Parameter("device", meaning="cpu, cuda, cuda:1, ...; a GPU where there is one unless set"),
        Parameter("max_length", int, meaning="tokens of a text that count; the model's own limit unless set"),
        *_PARAMETERS.values(),
    )

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        """The library's own folders; less surely, for those who name this adapter, whatever else it loads."""
        others = HuggingFaceAdapter.match(model_dir)
        if others is None and not model_dir.has("modules.json") and not _is_marked(model_dir):
            return None
        rank = Rank.BUNDLE if others is None else Rank.SUFFIX
        try:
            folder = read_folder(model_dir)
        except Damaged as error:
            return Match(rank, problem=str(error)) if others is None else None
        trust = Trust.PICKLE if folder.pickled else Trust.SAFE
        requires = ("sentencepiece",) if folder.sentencepiece else ()
        return Match(rank, requires=requires, trust=trust, carries=folder.carries)

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        folder = read_folder(model_dir)
        model = _loaded(model_dir, folder, options)
        kind = KINDS[folder.kind](model, packed_modules(model), Growth.of(getattr(model, "tokenizer", None)))
        known = {parameter.name for parameter in kind.parameters}
        defaults = {name: value for name, value in options.items() if name in _PARAMETERS}
        if unknown := defaults.keys() - known:
            raise LoadError(f"the option {min(unknown)} means nothing to a {folder.kind}")
        try:
            texts, answer = _first_answer(kind, defaults)
        except Exception as error:
            raise LoadError(f"the model loads but does not answer: {type(error).__name__}: {error}") from error
        output = kind.spec(answer)
        meaning = kind.meaning(output)
        signature = Signature(
            inputs=tuple(TensorSpec(name, "BYTES", (-1,)) for name in kind.inputs),
            outputs=(output,),
            table=len(kind.inputs) > 1,
            any_name=len(kind.inputs) == 1,
            parameters=(*kind.parameters, *([TOKEN_COUNTS] if meaning else [])),
            task=meaning,
        )
        return cls(signature, kind, defaults, texts)

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        return self.kind.outputs(inputs, {**self.defaults, **parameters})

    def example(self) -> Tensors:
        return self.texts


def _first_answer(kind: Kind, defaults: Parameters) -> tuple[Tensors, Array]:
    """Two rows that the model takes, and what it answers; {} where it takes none of ours whole."""
    for texts in kind.examples():
        with contextlib.suppress(InvalidInput):
            return texts, kind.outputs(texts, defaults)[OUTPUT]
    return {}, kind.outputs(texts, {**defaults, "truncation": True})[OUTPUT]


def _loaded(model_dir: ModelDir, folder: ModelFolder, options: Parameters) -> Any:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import sentence_transformers
    import torch
    from transformers.utils import logging

    torch.set_num_threads(1)
    logging.disable_progress_bar()
    # These settings go before whatever the folder's own say.
    settings: dict[str, Any] = {"weights_only": True, "use_safetensors": folder.safetensors}
    if dtype := options.get("dtype"):
        settings["dtype"] = "auto" if dtype == "auto" else getattr(torch, dtype)
    try:
        model = getattr(sentence_transformers, folder.kind)(
            str(model_dir.path),
            device=options.get("device") or None,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs=settings,
        ).eval()
        if length := options.get("max_length"):
            model.max_seq_length = _checked(length, model.max_seq_length)
    except LoadError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise LoadError(f"sentence-transformers cannot load it: {reason}") from error
    return model


def _is_marked(model_dir: ModelDir) -> bool:
    try:
        config = read_config(model_dir)
        return config is not None and is_cross_encoder(model_dir, config)
    except Damaged:
        return False


def _checked(length: int, limit: int | None) -> int:
    if not 3 <= length <= (limit or length):
        raise LoadError(f"max_length is {length}, but this model takes from 3 to {limit} tokens")
    return length
