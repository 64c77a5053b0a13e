"""The command line and the environment become values, or all that is wrong with them."""

from __future__ import annotations

import pytest

from server.config.flags.parsing import SettingsError, parse, unknown_variables
from tests.server.config.flags.settings import Small


@pytest.mark.parametrize(
    ("argv", "environ", "values"),
    [
        ([], {}, {}),
        (["--http_port=1", "--verbose"], {}, {"http_port": 1, "verbose": True}),
        (["--http-port", "1", "--verbose=no"], {}, {"http_port": 1, "verbose": False}),
        (["--http_port=1"], {"HTTP_PORT": "2", "POLYSERVE_NAME": "iris"}, {"http_port": 1, "name": "iris"}),
        ([], {"HTTP_PORT": "", "POLYSERVE_NAME": " "}, {}),
        ([], {"HTTP_PORT": "tcp://10.0.0.1:80"}, {}),  # Kubernetes' own, of a service that is called "http"
    ],
)
def test_values(argv: list[str], environ: dict[str, str], values: dict[str, object]) -> None:
    assert parse(Small, argv, environ) == values


def test_all_mistakes_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        parse(Small, ["serve", "--http_prot=1", "--name", "--http_port=x"], {"POLYSERVE_VERBOSE": "maybe"})
    first, second, third, *values = caught.value.problems
    assert first == "unexpected argument serve: a setting is a flag, --name=value"
    assert second.startswith("unknown flag --http_prot; ")
    assert "--http_port" in second
    assert third == "--name: needs a value, as in --name=NAME"
    assert [problem.partition(":")[0] for problem in values] == ["--http_port=x", "POLYSERVE_VERBOSE=maybe"]


def test_variables_that_are_nearly_known() -> None:
    environ = {"POLYSERVE_VERBOS": "1", "POLYSERVE_SOMETHING_ELSE": "1", "PATH": "/bin"}
    assert unknown_variables(Small, environ) == ["POLYSERVE_VERBOS is not a setting; did you mean POLYSERVE_VERBOSE?"]
