"""The manual of a table of settings."""

from __future__ import annotations

from server.config.flags.help import help_text, markdown
from tests.server.config.flags.settings import Small


def test_for_the_terminal() -> None:
    assert help_text(Small, "It serves.") == (
        "It serves.\n"
        "\n"
        "Ports:\n"
        "  --http_port=PORT\n"
        "      Where it | listens.\n"
        "      [HTTP_PORT, default: 8080]\n"
        "\n"
        "Rest:\n"
        "  --verbose=true|false\n"
        "      Says more.\n"
        "      [POLYSERVE_VERBOSE, default: false]\n"
        "  --name=NAME\n"
        "      What it is called.\n"
        "      [POLYSERVE_NAME, default: the folder's]\n"
    )


def test_as_markdown() -> None:
    lines = markdown(Small).splitlines()
    assert lines[0] == "### Ports"
    assert lines[4] == r"| `--http_port=PORT` | `HTTP_PORT` | 8080 | Where it \| listens. |"
    assert lines[6] == "### Rest"
