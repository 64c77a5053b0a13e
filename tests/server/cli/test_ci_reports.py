"""Reports for continuous integration: what they hold, and that no text breaks them."""

from __future__ import annotations

from xml.etree import ElementTree

from server.cli.ci_reports import CheckResult, github_annotations, junit

RESULTS = [
    CheckResult("good", "", "models/good", "sklearn", 1.25, 2),
    CheckResult("warned", "3", "models/warned/3", "onnx", 0.5, 0, "it refuses its own example: <no>"),
    CheckResult("bad", "", "models/b,a:d", problem="it is\n100% & <broken>\x1b[31m", failed=True),
]


def test_junit() -> None:
    suite = ElementTree.fromstring(junit(RESULTS, 3.0).encode())
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "time")} == {
        "tests": "3", "failures": "1", "errors": "0", "time": "3.000",
    }  # fmt: skip
    good, warned, bad = suite
    assert (good.get("name"), good.get("classname"), good.get("time"), len(good)) == ("good", "sklearn", "1.250", 0)
    assert (warned.get("name"), warned.findtext("system-out")) == (
        "warned 3",
        "warning: it refuses its own example: <no>",
    )
    failure = bad.find("failure")
    assert failure is not None
    assert failure.get("message") == "it is 100% & <broken> [31m"
    assert failure.text == "models/b,a:d: it is 100% & <broken> [31m"


def test_annotations() -> None:
    assert list(github_annotations(RESULTS)) == [
        "::warning file=models/warned/3,title=polyserve check%3A warned 3::it refuses its own example: <no>",
        "::error file=models/b%2Ca%3Ad,title=polyserve check%3A bad::it is%0A100%25 & <broken>\x1b[31m",
    ]


def test_json() -> None:
    assert RESULTS[0].to_fields() == {
        "name": "good", "version": "", "folder": "models/good", "adapter": "sklearn",
        "seconds": 1.25, "examples": 2, "problem": "", "failed": False,
    }  # fmt: skip
