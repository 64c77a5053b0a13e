"""Checks Kubernetes documents by definitions of custom resources: `python -m tests.deploy.crds FOLDER FILE...`.

As an API server with strict field validation does, it refuses unknown fields. Kinds that FOLDER does not define are
listed as skipped. Exit status 1 where a document is invalid.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

#: PyYAML's loader in C, where it was built: KServe's definitions are megabytes
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: where KServe's repository has those of the kinds in deploy/: `config/crd/full`, and this below it
FOLDERS = (".", "localmodel")
OF_EVERY_OBJECT = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}


def definitions(folder: Path) -> list[Path]:
    """The files of a folder that may define kinds."""
    return sorted(path for each in FOLDERS for path in (folder / each).glob("*.yaml"))


def closed(schema: Any, root: bool = False) -> Any:
    """A structural OpenAPI v3 schema as a JSON schema that refuses unknown fields."""
    if not isinstance(schema, dict):
        return schema
    out = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-")}
    for key in ("items", "additionalProperties"):
        if isinstance(out.get(key), dict):
            out[key] = closed(out[key])
    if "properties" in out:
        out["properties"] = {key: closed(value) for key, value in out["properties"].items()}
    if schema.get("x-kubernetes-int-or-string"):
        out.pop("anyOf", None)
        out["type"] = ["integer", "string"]
    if out.pop("nullable", False):
        kind = out.get("type")
        out["type"] = [*(kind if isinstance(kind, list) else [kind]), "null"]
    is_open = "additionalProperties" in out or schema.get("x-kubernetes-preserve-unknown-fields")
    if "properties" in out and not is_open:
        if root or schema.get("x-kubernetes-embedded-resource"):
            out["properties"] |= OF_EVERY_OBJECT
        out["additionalProperties"] = False
    if "required" in out:  # a default makes the field present before validation
        properties = schema.get("properties", {})
        out["required"] = [each for each in out["required"] if "default" not in properties.get(each, {})]
    return out


def validators(folder: Path) -> dict[tuple[str, str], Draft202012Validator]:
    """By apiVersion and kind."""
    found = {}
    for path in definitions(folder):
        for document in yaml.load_all(path.read_text(), LOADER):
            if not document or document.get("kind") != "CustomResourceDefinition":  # a patch, a kustomization
                continue
            spec = document["spec"]
            for version in spec["versions"]:
                schema = closed(version["schema"]["openAPIV3Schema"], root=True)
                found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = Draft202012Validator(schema)
    return found


def main(argv: list[str]) -> int:
    """Check the files; print what is skipped, what is invalid and where, and how many were checked."""
    known, errors, checked = validators(Path(argv[0])), 0, 0
    for name in argv[1:]:
        for document in filter(None, yaml.load_all(Path(name).read_text(), LOADER)):
            kind = (document.get("apiVersion", ""), document.get("kind", ""))
            if kind not in known:
                print(f"skipped {name}: {kind[1]} ({kind[0]})")
                continue
            checked += 1
            for error in known[kind].iter_errors(document):
                errors += 1
                where = "/".join(map(str, error.absolute_path))
                print(f"INVALID {name} {kind[1]} at /{where}: {error.message[:200]}")
    print(f"{checked} checked, {errors} errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
