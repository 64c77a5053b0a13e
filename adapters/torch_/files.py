"""Which of torch's formats a file is, by its archive's names. Standard library only."""

from __future__ import annotations

from enum import Enum

from adapters.base import Match, ModelDir, Rank, Trust
from adapters.formats import probe
from adapters.formats.strays import HEAD, stray
from adapters.shared.messages import several

_ENDINGS = (".pt", ".pth", ".pt2", ".torchscript")
_SCRIPT_NAMES = ("model.pt", "model.pt2")  #: served where there are several
#: how torch.save began its files before it wrote zip archives: a pickled number
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


#: why the audit is not enough to have a program in the server's own process
_NATIVE = "calls native operators with arguments of its own choice, which can end a process"


class TorchFormat(Enum):
    """What `torch.*.save` wrote the file."""

    SCRIPT = "a TorchScript program"
    EXPORTED = "an exported program"
    COMPILED = "an AOTInductor package"
    OLD_EXPORTED = "an exported program of torch 2.7 or older"
    CHECKPOINT = "a checkpoint"


_PROBLEMS = {
    TorchFormat.COMPILED: "{} is an AOTInductor package: native code, compiled for one machine, which is not loaded; "
    "save the exported program itself with torch.export.save(program, 'model.pt2')",
    TorchFormat.OLD_EXPORTED: "{} was written by torch.export.save of torch 2.7 or older, in a format that can run "
    "any code; save it again with torch 2.8 or newer",
    TorchFormat.CHECKPOINT: "{} is a checkpoint (weights without a program): save the program with "
    "torch.jit.script(model).save('model.pt') or torch.export.save(torch.export.export(model, inputs), 'model.pt2'), "
    "or add a model.py that builds the model and loads these weights",
}


def match(model_dir: ModelDir) -> Match | None:
    """Claim a directory by its archives; several programs need one named model.pt or model.pt2."""
    kinds = {name: kind for name in model_dir.files if (kind := kind_of(model_dir, name))}
    programs = [name for name, kind in kinds.items() if kind not in _PROBLEMS]
    if len(programs) > 1:
        named = [name for name in _SCRIPT_NAMES if name in programs]
        if len(named) != 1:
            problem = several(programs, ", or name the one to serve model.pt")
            return Match(Rank.CONTENT, programs[0], problem=problem)
        programs = named
    if programs:
        name = programs[0]
        # What an exported program's loader would run is read beforehand (`exported_audit`), as a pickle is.
        trust = Trust.PICKLE if kinds[name] is TorchFormat.EXPORTED else Trust.SAFE
        return Match(Rank.CONTENT, name, trust=trust, carries=_NATIVE)
    if kinds:
        name = next(iter(kinds))
        return Match(Rank.CONTENT, name, problem=_PROBLEMS[kinds[name]].format(name))
    if damaged := model_dir.named(*_ENDINGS):
        return Match(Rank.SUFFIX, damaged[0], problem=f"{damaged[0]} {_damage(model_dir, damaged[0])}")
    return None


def kind_of(model_dir: ModelDir, name: str) -> TorchFormat | None:
    """The kind of a file, whatever its name; None when it is not torch's.

    An archive's inner paths begin with the archive's own name, which may be anything.
    """
    if model_dir.head(name, len(_LEGACY)) == _LEGACY:
        return TorchFormat.CHECKPOINT
    inner = {path.partition("/")[2] for path in probe.zip_names(model_dir, name)}
    if any(path.startswith("data/aotinductor/") for path in inner):
        return TorchFormat.COMPILED
    if "archive_format" in inner:
        return TorchFormat.EXPORTED
    if "constants.pkl" in inner and any(path.startswith("code/") for path in inner):
        return TorchFormat.SCRIPT
    if "data.pkl" in inner:
        return TorchFormat.CHECKPOINT
    old = "serialized_exported_program.json"
    return TorchFormat.OLD_EXPORTED if old in probe.zip_names(model_dir, name) else None


def _damage(model_dir: ModelDir, name: str) -> str:
    head = model_dir.head(name, HEAD)
    if not head:
        return "is empty"
    if head.startswith(b"PK"):
        return "is an archive that is cut short, or none of torch's"
    if told := stray(head):
        return told
    if head[:1] == b"\x80":
        return (
            "is a pickle, not a torch program: save one with torch.jit.script(model).save('model.pt') "
            "or torch.export.save"
        )
    return "is neither a TorchScript nor an exported program, or its beginning is damaged"
