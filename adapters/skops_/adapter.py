"""The adapter: reads what a skops file names, has skops load it under the pickle policy, and serves as scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from adapters.base import LoadError, Match, ModelDir, Parameters, Rank, Trust
from adapters.formats import probe
from adapters.formats.pickles import Refused
from adapters.formats.pickles.natives import check_sound
from adapters.formats.pickles.policy import refusal
from adapters.shared.messages import several
from adapters.sklearn_ import SklearnAdapter
from adapters.sklearn_.parts import objects_of
from adapters.sklearn_.saved_version import note_versions
from adapters.skops_.audit import SkopsSchema, read_schema

_ALSO = ("xgboost", "lightgbm", "imblearn")  #: what a model may need beside scikit-learn


@dataclass(eq=False)
class SkopsAdapter(SklearnAdapter):
    """One fitted estimator from a skops file; served in every way as one from a pickle."""

    name = "skops"
    requires: ClassVar[tuple[str, ...]] = ("sklearn", "skops")

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        files = model_dir.named(".skops") or tuple(
            name for name in model_dir.files if "schema.json" in probe.zip_names(model_dir, name)
        )
        if len(files) > 1:
            return Match(Rank.CONTENT, problem=several(files))
        if not files:
            return None
        try:
            schema = read_schema(model_dir.file(files[0]))
        except LoadError as error:
            return Match(Rank.SUFFIX, files[0], problem=str(error))
        if schema.unlisted and not model_dir.trusted:
            return Match(Rank.CONTENT, files[0], problem=f"{files[0]} {refusal(schema.unlisted)}")
        # A trusted file may make any class, with whatever arguments it asks for.
        return Match(
            Rank.CONTENT,
            files[0],
            requires=_requires(schema),
            trust=Trust.CODE if model_dir.trusted else Trust.SAFE,
        )

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        trusted = model_dir.trusted or options.get("trust") == "full"
        with note_versions(file):
            model = _loaded(model_dir, file, trusted=trusted)
        return cls.serving(model, file, options, model_dir)


def _requires(schema: SkopsSchema) -> tuple[str, ...]:
    needed = [library for library in _ALSO if schema.uses(library)]
    return tuple(needed if not schema.names("feature_names_in_") else ["pandas", *needed])


def _loaded(model_dir: ModelDir, file: str, *, trusted: bool) -> Any:
    import skops.io

    path = model_dir.file(file)
    schema = read_schema(path)
    try:
        untrusted = skops.io.get_untrusted_types(file=path)
        if not trusted:
            schema.check(untrusted)
            schema.check_made(untrusted)
        model = skops.io.load(path, trusted=untrusted)
        for part in () if trusted else objects_of(model):
            check_sound(part, None)
        return model
    except Refused as error:
        raise Refused(f"{file} {error}") from error
    except Exception as error:  # whatever skops and the libraries raise on a tree that they do not understand
        raise LoadError(f"{file} cannot be loaded: {type(error).__name__}: {error}") from error
