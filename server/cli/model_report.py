"""What there is to say of a model before it is loaded: who claims it and why, who made it, what it lacks.

Of files that hold data, or pickles that name known classes alone, the signature is found by loading them in a child
process; nothing is predicted there. Whatever brings code, requirements or programs of its own is only looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from adapters import registry
from adapters.base import LoadError, ModelDir, Rank, Signature, TensorSpec, Trust
from adapters.formats.made_by import made_by
from adapters.registry import Choice, NotInstalled
from server.cli.own_imports import missing_imports
from server.loading import compatibility, trust
from server.loading.advice import advice_on
from server.loading.catalog import Found, look_again, older_versions
from server.loading.files import stamp_of
from server.loading.loader import Loader
from server.loading.recognition import Recognised
from server.loading.trial.pool import TrialPool

_LEVELS = {Trust.SAFE: "safe", Trust.PICKLE: "pickle", Trust.CODE: "code"}
_REASONS = {
    Rank.CODE: "model.py defines a class of its own",
    Rank.BUNDLE: "the folder's files describe each other",
    Rank.CONTENT: "by its content",
    Rank.SUFFIX: "by its name alone",
}


@dataclass(frozen=True)
class ModelReport:
    """What was found out about one model."""

    name: str
    version: str = ""
    folder: str = ""
    adapter: str = ""  #: "": nobody claims it
    file: str = ""  #: "": the folder as a whole
    why: str = ""  #: it is that adapter's
    made_by: str = ""
    size: int = 0  #: bytes of all files
    trust: str = ""  #: the level of --trust that it needs
    problem: str = ""  #: why it would not load
    advice: str = ""  #: what to do about that, where the reason does not say it
    missing: tuple[str, ...] = ()  #: what `pip install` needs
    note: str = ""  #: what the operator should know, though it would load
    signature: Signature | None = None  #: None: not known without running it
    memory: int = 0  #: bytes that loading it took

    @property
    def fails(self) -> bool:
        return bool(self.problem)

    def to_fields(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "version": self.version,
            "folder": self.folder,
            "adapter": self.adapter,
            "file": self.file,
            "why": self.why,
            "made_by": self.made_by,
            "size_bytes": self.size,
            "trust": self.trust,
            "loads": False if self.problem else None if self.signature is None else True,
            "reason": self.problem,
            "advice": self.advice,
            "missing": list(self.missing),
            "note": self.note,
            "memory_bytes": self.memory,
            "signature": None if self.signature is None else signature_fields(self.signature),
        }


def report_of(found: Found, loader: Loader, trials: TrialPool | None) -> ModelReport:
    """The report on one model; `trials` are where its signature is found, None: nothing is loaded."""
    report = _looked_at(found, loader, trials)
    if not report.problem:
        return report
    advice = advice_on(report.problem, found.directory), _instead(found, loader, trials)
    return replace(report, advice="; ".join(filter(None, advice)))


def _instead(found: Found, loader: Loader, trials: TrialPool | None) -> str:
    """Which older version serves where this one does not load."""
    for older in older_versions(found) if found.shadow is None else ():
        if not _looked_at(older, loader, trials).fails:
            return f"version {older.version} is served in its place"
    return ""


def _looked_at(found: Found, loader: Loader, trials: TrialPool | None) -> ModelReport:
    report = ModelReport(found.name, found.version, str(found.directory.path))
    try:
        found = look_again(found)
        if found.problem:
            return replace(report, problem=found.problem)
        report = replace(report, size=stamp_of(found.directory).size)
        recognised = loader.recogniser.recognise(found)
    except LoadError as error:
        return _with_claims(replace(report, problem=str(error), missing=_missing(error)), found.directory)
    except Exception as error:  # whatever an adapter's look at hostile bytes raises: the loader says it in these words
        return replace(report, problem=f"{type(error).__name__}: {error}")
    report = _with_choice(report, recognised.choice, recognised.directory)
    report = replace(report, note=_note(recognised.choice) or _lacking(recognised))
    if carried := _carries(recognised):
        return replace(report, note="; ".join(filter(None, (report.note, carried))))
    return report if trials is None else _described(report, recognised, trials)


def _described(report: ModelReport, recognised: Recognised, trials: TrialPool) -> ModelReport:
    directory, choice, options, _ = recognised
    where = (directory.path, directory.root, choice.match.file)
    try:
        trial = trials.try_load(choice.adapter.name, *where, options, describe=True)
    except LoadError as error:
        return replace(report, problem=compatibility.reason(choice, error))
    return replace(report, signature=trial.signature, memory=trial.memory_bytes)


def _carries(recognised: Recognised) -> str:
    """Why a model is not loaded to look at it; "": it may be."""
    choice = recognised.choice
    if choice.match.requirements:
        return "not loaded: it brings requirements of its own"
    if trust.needed(choice) is Trust.CODE or choice.adapter.own_process:
        return f"not loaded: it {choice.match.carries or 'brings code of its own'}"
    return f"not loaded: it {choice.match.carries}" if choice.match.carries else ""


def _note(choice: Choice) -> str:
    origin = choice.match.origin
    if origin is None or choice.match.requirements:
        return ""
    return f"made by {origin.made_by}; {origin.installed} is installed: {compatibility.hint(origin)}"


def _lacking(recognised: Recognised) -> str:
    """What code of the folder's own imports, and is not installed; with requirements of its own it brings that."""
    choice = recognised.choice
    if choice.adapter.name != "custom" or choice.match.requirements:
        return ""
    absent = missing_imports(recognised.directory)
    if not absent:
        return ""
    told = "which is" if len(absent) == 1 else "which are"
    return f"model.py imports {', '.join(absent)}, {told} not installed: list what it needs in requirements.txt"


def _with_claims(report: ModelReport, directory: ModelDir) -> ModelReport:
    """What adapters said of a folder that cannot be served."""
    try:
        claims = registry.claims_on(directory)
    except Exception:  # the same that has failed before
        return report
    if not claims:
        return report
    best = max(claims, key=lambda claim: claim.match.rank)
    return _with_choice(report, best, best.directory or directory)


def _with_choice(report: ModelReport, choice: Choice, directory: ModelDir) -> ModelReport:
    match = choice.match
    subject = match.file or "the folder"
    why = _REASONS[match.rank] if match.rank in (Rank.CODE, Rank.BUNDLE) else f"{subject} {_REASONS[match.rank]}"
    return replace(
        report,
        adapter=choice.adapter.name,
        file=match.file,
        why=why,
        made_by=match.made_by or made_by(choice.adapter.name, directory, match.file),
        trust=_LEVELS[trust.needed(choice)],
    )


def _missing(error: BaseException | None) -> tuple[str, ...]:
    """The packages that an error, or what it came of, names."""
    while error is not None:
        if isinstance(error, NotInstalled):
            return error.packages
        error = error.__cause__
    return ()


def signature_fields(signature: Signature) -> dict[str, Any]:
    """What a model takes and gives, as JSON."""
    return {
        "inputs": [_spec(each) for each in signature.inputs],
        "outputs": [_spec(each) for each in signature.outputs],
        "columns": list(signature.columns),
        "parameters": {each.name: list(each.choices) or each.kind.__name__ for each in signature.parameters},
        "explains": bool(signature.explanations),
        "task": "generation" if signature.generates else signature.task,
    }


def _spec(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape), "optional": spec.optional}
