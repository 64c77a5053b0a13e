"""spaCy pipelines: the folder that `nlp.to_disk` wrote, or a packaged pipeline around such a folder.

One text in, and out what the pipeline was made for: entities, categories, else tokens (`docs`). A batch gives what
single calls give: the labels always, and the numbers bit for bit, because spaCy's own matrix product (BLIS) adds up
each row by itself.

A worker serves a pipeline: its tokenizer strips brackets and quotes one by one, and searches all of the word each time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from adapters.base import (
    Adapter,
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
    Traits,
    Trust,
)
from adapters.formats import json_text
from adapters.spacy_ import loading, package
from adapters.spacy_.docs import PipelineFindings, column
from adapters.spacy_.package import CONFIG, META, PipelinePlace
from adapters.torchserve_.temporary import TemporaryFolder

_LIMIT = 16 * 2**20  #: bytes of meta.json and config.cfg
#: texts that go through the network at once; more of them only take more memory
_BATCH = 64
#: lemmas that a rule lemmatizer may remember; spaCy never forgets one
_LEMMAS = 100_000
#: new words that the vocabulary may learn: some 30 MB
_WORDS = 100_000

#: 20,000 brackets without a space between them took spaCy's own English tokenizer 40 s, and the interpreter with it; so
#: may any pattern in a pipeline's files
HOLDS = "may hold the interpreter for as long as a text makes its patterns search"

_PARAMETERS = (
    Parameter("outputs", str, meaning="what to answer, separated by commas, instead of the default: entities,tokens"),
    Parameter("offsets", bool, meaning="add start and end (in characters), and ids where the pipeline gives some"),
)
_MAX_LENGTH = Parameter(
    "max_length", int, meaning="characters that a text may have; a million take 2 to 10 GB while they are processed"
)


@dataclass(eq=False)
class SpacyAdapter(Adapter):
    """A spaCy pipeline. Not thread-safe: its vocabulary learns, and the memory zone is for one call at a time."""

    nlp: Any
    findings: PipelineFindings
    wanted: tuple[str, ...]  #: the outputs that are answered by default
    offsets: bool
    most_words: int  #: strings that the vocabulary may hold: it would never forget one
    unpacked: TemporaryFolder | None = None  #: where a wheel's files lie

    name = "spacy"
    platform = "spacy"
    requires: ClassVar[tuple[str, ...]] = ("spacy",)
    options: ClassVar[tuple[Parameter, ...]] = (*_PARAMETERS, _MAX_LENGTH)
    traits = Traits(thread_safe=False)

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        place = package.find(model_dir)
        data = model_dir.folder(place.data)
        config = _has_config(data)
        if not config and META not in data.files:
            return _packed(model_dir)
        if META not in data.files:
            problem = f"{CONFIG} is a spaCy pipeline's, but {META} is missing: copy the whole folder of nlp.to_disk"
            return Match(Rank.CONTENT, CONFIG, problem=problem) if config else None
        meta = _read_meta(data)
        if isinstance(meta, dict) and {"lang", "pipeline"} <= meta.keys():
            problem = "" if config else _without_config(meta)
            return _claim(Rank.BUNDLE if config else Rank.CONTENT, place.data, place, problem)
        problem = meta if isinstance(meta, str) else f"{META} does not describe a pipeline: lang or pipeline is missing"
        return Match(Rank.BUNDLE, place.data, problem=problem) if config else None

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        unpacked = TemporaryFolder() if model_dir.has(file) else None
        try:
            if unpacked:
                package.opened(model_dir.file(file)).unpack(unpacked.folder)
                model_dir = ModelDir.of(unpacked.folder)
            return cls._loaded(model_dir, options, unpacked)
        except BaseException:
            if unpacked:
                unpacked.close()
            raise

    @classmethod
    def _loaded(cls, model_dir: ModelDir, options: Parameters, unpacked: TemporaryFolder | None) -> Self:
        place = package.find(model_dir)
        data = model_dir.folder(place.data)
        meta = _read_meta(data)
        if isinstance(meta, str):
            raise LoadError(meta)
        code = package.imported(model_dir.path, place.package or "") if place.code else None
        nlp, findings = loading.load(data, meta, code)
        signature = Signature(
            inputs=(TensorSpec("text", "BYTES", (-1,)),),
            outputs=tuple(findings.outputs.values()),
            keyed=True,
            any_name=True,
            parameters=_PARAMETERS,
        )
        try:
            wanted = _names(options.get("outputs"), findings.outputs) or findings.default
        except InvalidInput as error:
            raise LoadError(f"options.{error}") from error
        nlp.max_length = _max_length(options.get("max_length", nlp.max_length))
        offsets = bool(options.get("offsets", False))
        return cls(signature, nlp, findings, wanted, offsets, len(nlp.vocab.strings) + _WORDS, unpacked)

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        texts = [self._checked(row, text) for row, text in enumerate(inputs["text"].tolist())]
        specs = self.findings.outputs
        wanted = _names(parameters.get("outputs"), specs) or self.wanted
        offsets = bool(parameters.get("offsets", self.offsets))
        with self._zone():
            rows = [[self.findings.of(doc, name, offsets) for name in wanted] for doc in self._run(texts)]
        self._forget()
        return {name: column((row[i] for row in rows), specs[name]) for i, name in enumerate(wanted)}

    def example(self) -> Tensors:
        texts = ["Apple is looking at buying U.K. startup for $1 billion", "It rains."]
        return {"text": np.array(texts, np.object_)}

    def close(self) -> None:
        if self.unpacked:
            self.unpacked.close()

    def _run(self, texts: list[str]) -> Iterator[Any]:
        """The texts' docs, in order. Those without tokens go alone: among others textcat scores them differently."""
        docs = [self.nlp.make_doc(text) for text in texts]
        longest = max(1, *map(len, texts))
        size = max(1, min(_BATCH, self.nlp.max_length // longest))  # as much at once as one text may be long
        piped = self.nlp.pipe([doc for doc in docs if len(doc)], batch_size=size)
        for doc in docs:
            yield next(piped) if len(doc) else self.nlp(doc)

    def _checked(self, row: int, text: str) -> str:
        if len(text) > (limit := self.nlp.max_length):
            raise InvalidInput(f"text[{row}] has {len(text)} characters; this pipeline takes {limit}: split the text")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidInput(f"text[{row}] is not Unicode text: {error.reason} at character {error.start}") from error
        return text

    def _zone(self) -> contextlib.AbstractContextManager[Any]:
        """Where new words go: to the vocabulary, which costs a third less time; once that is full, nowhere for long."""
        if len(self.nlp.vocab.strings) < self.most_words:
            return contextlib.nullcontext()
        return self.nlp.memory_zone()  # type: ignore[no-any-return]

    def _forget(self) -> None:
        for _, component in self.nlp.pipeline:
            cache = getattr(component, "cache", None)
            if isinstance(cache, dict) and len(cache) > _LEMMAS:
                cache.clear()


def _packed(model_dir: ModelDir) -> Match | None:
    """The claim on a wheel."""
    try:
        found = package.in_archive(model_dir)
    except LoadError as error:
        return Match(Rank.SUFFIX, problem=str(error)) if model_dir.named(".whl") else None
    return _claim(Rank.CONTENT, found[0], found[1]) if found else None


def _claim(rank: Rank, file: str, place: PipelinePlace, problem: str = "") -> Match:
    trust = Trust.CODE if place.code else Trust.SAFE
    return Match(rank, file, problem=problem, trust=trust, carries=place.carries or HOLDS)


def _has_config(data: ModelDir) -> bool:
    try:
        return CONFIG in data.files and b"[nlp]" in data.head(CONFIG, _LIMIT)
    except OSError:
        return True  # load says why it cannot be read


def _read_meta(data: ModelDir) -> dict[str, Any] | str:
    """What meta.json holds, or what is wrong with it."""
    try:
        text = data.head(META, _LIMIT + 1)
        meta = json_text.loads(text)
    except OSError as error:
        return f"{META} cannot be read: {error.strerror}"
    except (ValueError, RecursionError) as error:
        return f"{META} is damaged: {error}"
    return meta if isinstance(meta, dict) else f"{META} is not a JSON object"


def _without_config(meta: Mapping[str, Any]) -> str:
    made_by = str(meta.get("spacy_version", ""))
    if made_by.startswith((">=2", "2", "~=2")):
        return f"the pipeline was made by spaCy 2 ({made_by}); train or save it again with spaCy 3"
    return f"{META} is a spaCy pipeline's, but {CONFIG} is missing: copy the whole folder of nlp.to_disk"


def _max_length(limit: int) -> int:
    if limit < 1:
        raise LoadError(f"options.max_length: {limit} must be 1 or more")
    return limit


def _names(outputs: str | None, known: Mapping[str, TensorSpec]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in (outputs or "").split(",") if name.strip()))
    for name in names:
        if name not in known:
            raise InvalidInput(f"outputs: {name!r} is unknown; this pipeline answers {', '.join(known)}")
    return names
