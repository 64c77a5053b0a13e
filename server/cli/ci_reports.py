"""What a check found, as continuous integration reads it: JUnit's XML, GitHub's annotations, JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from xml.etree import ElementTree

from server.cli.screen import plain

_SUITE = "polyserve check"


@dataclass(frozen=True)
class CheckResult:
    """What came of checking one model."""

    name: str
    version: str
    folder: str
    adapter: str = ""  #: "": it was not found out
    seconds: float = 0.0  #: to load it
    examples: int = 0  #: that are recorded for it, and were answered so
    problem: str = ""  #: why it failed, or a warning
    failed: bool = False

    def to_fields(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "seconds": round(self.seconds, 3)}


def junit(results: Sequence[CheckResult], seconds: float) -> str:
    """A JUnit report: a test case for each model."""
    failures = sum(each.failed for each in results)
    counts = {"tests": str(len(results)), "failures": str(failures), "errors": "0", "time": f"{seconds:.3f}"}
    suite = ElementTree.Element("testsuite", {"name": _SUITE, **counts})
    for each in results:
        named = {"name": plain(f"{each.name} {each.version}".rstrip()), "classname": plain(each.adapter or _SUITE)}
        case = ElementTree.SubElement(suite, "testcase", {**named, "time": f"{each.seconds:.3f}"})
        if each.failed:
            failure = ElementTree.SubElement(case, "failure", {"message": plain(each.problem)})
            failure.text = plain(f"{each.folder}: {each.problem}")
        elif each.problem:
            ElementTree.SubElement(case, "system-out").text = plain(f"warning: {each.problem}")
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def github_annotations(results: Sequence[CheckResult]) -> Iterator[str]:
    """A workflow command for each failure and warning."""
    for each in results:
        if each.problem:
            kind = "error" if each.failed else "warning"
            title = _property(f"{_SUITE}: {each.name} {each.version}".rstrip())
            yield f"::{kind} file={_property(each.folder)},title={title}::{_data(each.problem)}"


def _data(text: str) -> str:
    """Text behind a workflow command's colons, as GitHub's own toolkit escapes it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
