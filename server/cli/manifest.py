"""`polyserve manifest DIR|URI`: the Kubernetes manifest that serves a model, or a folder of models."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import click

from server.cli.folders import problem_of
from server.cli.kubernetes import Document, Plan, deployment, inference_service, name_from, problem_of_name
from server.cli.screen import plain, say
from server.config.model_uri import Address, without_secrets
from server.text import size

KINDS = {"InferenceService": inference_service, "Deployment": deployment}
#: what KServe alone downloads or mounts
_OF_KSERVE = "unknown"
_GIB = 2**30
#: what the letters of a quantity stand for
_UNITS = {"": Fraction(1), "m": Fraction(1, 1000)} | {
    letter: Fraction(base**power)
    for base, letters in ((1000, ("k", "M", "G", "T")), (1024, ("Ki", "Mi", "Gi", "Ti")))
    for power, letter in enumerate(letters, 1)
}
_LEAST = (2, 4)  #: GiB of memory: requested, and at most
_ROOM = 3  #: a loaded model takes more than its file does, and twice that while it is swapped


@dataclass(frozen=True)
class ModelPlace:
    """Where a manifest's models lie."""

    uri: str
    name: str
    size: int = 0  #: bytes; 0: nobody knows
    copied_from: str = ""  #: a folder of this machine, which somebody has to copy there


@click.command()
@click.argument("source", metavar="DIR|URI")
@click.option("--kind", type=click.Choice(list(KINDS), case_sensitive=False), default="InferenceService",
              show_default=True, help="KServe's, or a Deployment and a Service for a cluster without it.")  # fmt: skip
@click.option("--name", metavar="NAME", help="Of the objects.  [default: the folder's name]")
@click.option("--model-name", metavar="NAME", help="Of a single model.  [default: NAME]")
@click.option("--namespace", metavar="NAME", default="", help="Where the objects belong.")
@click.option(
    "--image", metavar="IMAGE", default="polyserve:latest", show_default=True, help="The server's container image."
)
@click.option("--memory", metavar="REQUEST[,LIMIT]", help="As 1Gi,4Gi.  [default: by the files' size]")
@click.option("--cpu", metavar="REQUEST[,LIMIT]", default="1,2", show_default=True, help="Processors.")
@click.option("--trust", type=click.Choice(["safe", "pickle", "code"]), help="What models may bring (--trust).")
def manifest(
    source: str,
    kind: str,
    name: str | None,
    model_name: str | None,
    namespace: str,
    image: str,
    memory: str | None,
    cpu: str,
    trust: str | None,
) -> None:
    """Print the Kubernetes manifest that serves what lies at URI (pvc://CLAIM/PATH, s3://, gs://, https://, hf://,
    oci://): one model, or a folder of models. A DIR of this machine is to be copied to a claim called `models`.
    """
    found = _source(source)
    named = name or found.name
    if problem := problem_of_name(named):
        raise click.UsageError(f"--name={plain(named)} {problem}")
    if namespace and (problem := problem_of_name(namespace)):
        raise click.UsageError(f"--namespace={plain(namespace)} {problem}")
    flags = (f"--trust={trust}",) if trust else ()
    plan = Plan(
        *(named, found.uri, model_name or named, image),
        _pair("cpu", cpu),
        _pair("memory", memory) if memory else _memory(found.size),
        namespace,
        flags,
    )
    if kind == "Deployment":
        _check_downloadable(found, plan)
    for line in _comments(found, plan):
        say(f"# {line}")
    say(as_yaml(KINDS[kind](plan)))


def as_yaml(documents: Sequence[Document]) -> str:
    """The documents as kubectl reads them, one behind the other; whatever stands twice is written twice."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:
            return True

    return yaml.dump_all(documents, Dumper=Dumper, sort_keys=False, width=120).rstrip()


def _source(text: str) -> ModelPlace:
    """
    Raises:
        click.UsageError: it is neither a folder nor an address, or one with a secret in it.
    """
    if "://" not in text:
        if problem := problem_of(text):
            raise click.UsageError(problem)
        folder = Path(text).resolve()
        name = name_from(folder.name)
        return ModelPlace(f"pvc://models/{name}", name, _size(folder), plain(text))
    try:
        address = Address.of_kserve(text)
    except ValueError as error:
        raise click.UsageError(f"{without_secrets(plain(text))} {error}") from error
    if address.shown != text:
        shown = plain(address.shown)
        raise click.UsageError(
            f"{shown} has a secret in it, which everybody could read in the manifest: leave it out, and give the "
            "service account a secret (KServe's storage credentials)"
        )
    if address.kind == "file":
        raise click.UsageError(f"{plain(text)} would be a folder of the container: name DIR, or an address of a store")
    last = [part for part in text.partition("://")[2].split("/") if part][-1]
    return ModelPlace(text, name_from(last.partition(":")[0].partition(".")[0]))


def _size(folder: Path) -> int:
    from adapters.base import ModelDir
    from server.loading.files import stamp_of

    return stamp_of(ModelDir.of(folder)).size


def _memory(size: int) -> tuple[str, str]:
    needed = math.ceil(_ROOM * size / _GIB)
    return f"{_LEAST[0] + needed}Gi", f"{max(_LEAST[1], _LEAST[0] + 2 * needed)}Gi"


def _pair(option: str, text: str) -> tuple[str, str]:
    parts = text.split(",")
    if len(parts) > 2 or not all(re.fullmatch(r"\d+(\.\d+)?(m|k|[MGT]|[KMGT]i)?", part) for part in parts):
        example = "500m,2" if option == "cpu" else "1Gi,4Gi"
        raise click.UsageError(f"--{option}={plain(text)} must be a quantity of Kubernetes, or two: {example}")
    if _number(parts[0]) > _number(parts[-1]):
        raise click.UsageError(f"--{option}={plain(text)} requests more than its limit, which Kubernetes refuses")
    return parts[0], parts[-1]


def _number(quantity: str) -> Fraction:
    """What a quantity of Kubernetes counts: `500m` is a half, `1Ki` 1024."""
    digits, unit = re.fullmatch(r"([\d.]+)(\D*)", quantity).groups()  # type: ignore[union-attr]
    return Fraction(digits) * _UNITS[unit]


def _check_downloadable(found: ModelPlace, plan: Plan) -> None:
    if plan.claim is None and Address.of_kserve(found.uri).kind == _OF_KSERVE:
        raise click.UsageError(
            f"{plain(found.uri)} is downloaded or mounted by KServe alone: take --kind=InferenceService"
        )


def _comments(found: ModelPlace, plan: Plan) -> list[str]:
    lines = []
    if found.copied_from:
        claim, _, path = found.uri.removeprefix("pvc://").partition("/")
        lines.append(
            f"Copy {found.copied_from} to the folder {path} of the claim {claim} first, or name its store's URI."
        )
    if found.size:
        lines.append(f"Memory is a guess from {size(found.size)} of files: polyserve inspect says what it takes.")
    return lines
