"""Asks a server everything that its own description offers, and compares what comes with what was said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import jsonschema

JSON = "application/json"


@dataclass(frozen=True)
class Said:
    """One operation of a description."""

    method: str
    path: str
    operation: Mapping[str, Any]

    @property
    def examples(self) -> dict[str, Any]:
        """The bodies of its examples, by model."""
        content = self.operation.get("requestBody", {}).get("content", {}).get(JSON, {})
        return {name: each["value"] for name, each in content.get("examples", {}).items()}

    def url(self, **chosen: str) -> str:
        """The path with these parameters, or with their defaults."""
        path = self.path
        for parameter in self.operation.get("parameters", []):
            if parameter["in"] == "path":
                schema = parameter["schema"]
                path = path.replace(
                    f"{{{parameter['name']}}}", chosen.get(parameter["name"], schema.get("default", "1"))
                )
        return path


def operations(document: Mapping[str, Any]) -> Iterator[Said]:
    """All of them."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield Said(method, path, operation)


def send_examples(client: httpx.Client) -> int:
    """Send every example as it stands: each is answered; how many there were."""
    document, sent = client.get("/openapi.json").json(), 0
    for said in operations(document):
        for model, body in said.examples.items():
            answer = client.request(said.method, said.url(model_name=model), json=body)
            assert answer.status_code == 200, f"{said.path} of {model}: {answer.text[:300]}"
            check(document, said, answer)
            sent += 1
    return sent


def check(document: Mapping[str, Any], said: Said, answer: httpx.Response) -> None:
    """The answer is one of those that the description has for the operation: its status, its type, its form."""
    where = f"{said.method} {said.path}: {answer.status_code} {answer.text[:300]}"
    responses = said.operation["responses"]
    assert str(answer.status_code) in responses, where
    kind = answer.headers["content-type"].partition(";")[0]
    content = responses[str(answer.status_code)]["content"]
    assert kind in content, where
    if kind == JSON:
        schema = {**content[kind]["schema"], "components": document["components"]}
        jsonschema.validate(answer.json(), schema)
