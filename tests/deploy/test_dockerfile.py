"""The Dockerfile and Compose agree with the project, its extras and the server's settings."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from adapters import registry
from server.config.settings import Settings
from tests.deploy.manifests import DEPLOY, ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SERVICES = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


def test_compose_agrees() -> None:
    compose = SERVICES["polyserve"]
    assert compose["image"] == "polyserve:latest"
    assert [port.rsplit(":", 1)[1] for port in compose["ports"]] == [str(Settings.http_port), str(Settings.grpc_port)]
    assert compose["volumes"][0]["target"] == str(Settings.model_dir)
    assert compose["volumes"][0]["read_only"] is True
    assert compose["read_only"] is True
    assert compose["tmpfs"] == ["/tmp"]


def test_composes_monitoring_mounts_what_is_there() -> None:
    beside = {name: service for name, service in SERVICES.items() if service.get("profiles") == ["monitoring"]}
    assert set(SERVICES) == {"polyserve", *beside}
    sources = [volume.split(":")[0] for service in beside.values() for volume in service["volumes"]]
    assert sources
    assert [source for source in sources if not (DEPLOY / source).is_file()] == []


def image_user() -> int:
    """The user that the Dockerfile's last stage leaves in force."""
    uid, gid = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[-1]
    assert uid == gid
    return int(uid)


def test_the_image_is_not_roots() -> None:
    assert image_user() == 1000


def test_the_image_exposes_the_servers_ports() -> None:
    (ports,) = re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.MULTILINE)
    assert ports.split() == [str(Settings.http_port), str(Settings.grpc_port)]


def test_the_dockerfile_is_clean() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    report = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert report.returncode == 0, report.stdout + report.stderr


def test_every_extra_is_in_all_and_the_dockerfile_names_it() -> None:
    extras = {name for name in PROJECT["optional-dependencies"] if name not in ("all", "test")}
    told = DOCKERFILE[DOCKERFILE.index("# Extras of") : DOCKERFILE.index("ARG FRAMEWORKS")]
    everything = [Requirement(text).extras for text in PROJECT["optional-dependencies"]["all"]]
    assert set().union(*everything) == extras
    assert extras <= set(re.findall(r"[a-z-]+", told))
    # user code, archives that torch loads, what `huggingface` has, boosters in Triton's layout
    without = {"custom", "torchserve", "generation", "fil"}
    assert {name.replace("_", "-") for name in registry.TABLE} - without <= extras


def test_constraints_pin_every_direct_dependency_within_its_range() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    pins = dict(line.split("==") for line in lines)
    needed = [
        *PROJECT["dependencies"],
        *(text for texts in PROJECT["optional-dependencies"].values() for text in texts),
    ]
    for requirement in map(Requirement, needed):
        if requirement.name == PROJECT["name"]:
            continue
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"constraints.txt does not pin {requirement.name}"
        assert requirement.specifier.contains(pin), f"{requirement.name}: {pin} is outside {requirement.specifier}"
