"""What deploy/ holds: every document of a file, of an overlay, of the chart."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from tests.deploy import crds

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "chart"
CRDS = Path(os.environ.get("POLYSERVE_CRDS", ROOT.parent / "shared" / "crds"))
OVERLAYS = sorted(path.name for path in (DEPLOY / "kserve" / "overlays").iterdir())

Document = dict[str, Any]

#: of the environment's own, else the machine's
KUBECTL = shutil.which("kubectl", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

needs_crds = pytest.mark.skipif(
    not crds.definitions(CRDS),
    reason=f"KServe's CRDs are not in {CRDS}: POLYSERVE_CRDS names a copy of its repository's config/crd/full",
)
needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl, which reads kustomizations")


def read(text: str) -> list[Document]:
    return [document for document in yaml.safe_load_all(text) if document]


@cache
def overlay(path: str) -> str:
    """What `kubectl apply -k deploy/PATH` would apply."""
    command = [str(KUBECTL), "kustomize", str(DEPLOY / path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def helm(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("helm")), *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@cache
def template(*argv: str) -> str:
    """The chart as the release `polyserve`.

    Raises:
        ValueError: Helm refuses the values; its message.
    """
    done = helm("template", "polyserve", str(CHART), *argv)
    if done.returncode:
        raise ValueError(done.stderr)
    return done.stdout


def containers(node: Any) -> Iterator[Document]:
    """Every container below a node, whatever kind holds it."""
    if isinstance(node, dict):
        yield from node.get("containers", ())
        for value in node.values():
            yield from containers(value)


def check_crds(*paths: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", crds.__name__, *map(str, (CRDS, *paths))]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


#: kinds of others than Kubernetes: their definitions are checked where they are at hand
FOREIGN = ("kserve.io", "keda.sh", "monitoring.coreos.com", "gateway.networking.k8s.io", "kustomize.config.k8s.io")


def check_kubernetes(document: Document) -> bool:
    """Whether it is one of Kubernetes' own kinds; those must be valid, with no field that is unknown."""
    if document["apiVersion"].split("/")[0].endswith(FOREIGN):
        return False
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    return True
