"""Names of models that a shell is offered: a folder's, a server's, and none where nobody answers."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path

import click
import pytest

from server.cli.model_name import ModelName


def offered(incomplete: str, **params: object) -> list[str]:
    context = click.Context(click.Command("curl"))
    context.params.update(params)
    return [item.value for item in ModelName().shell_complete(context, click.Argument(["name"]), incomplete)]


def test_the_folders_of_a_folder(tmp_path: Path) -> None:
    for name in ("wine", "iris", ".hidden", "irregular"):
        (tmp_path / name).mkdir()
    (tmp_path / "iron.txt").write_text("no model")
    assert offered("ir", directory=tmp_path) == ["iris", "irregular"]
    assert offered("", directory=tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    "text", ["iris:predict", "/v1/models/iris", "v2/models/iris/infer", "/v2/models/iris/generate"]
)
def test_a_route_is_no_name(text: str) -> None:
    with pytest.raises(click.UsageError, match=r"is a route: name the model alone, iris$"):
        ModelName().convert(text, None, None)


@pytest.mark.parametrize("text", ["iris", "models/iris", "an:odd one", "infer"])
def test_other_names_are_left_to_the_server(text: str) -> None:
    assert ModelName().convert(text, None, None) == text


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"models": ["wine", "iris"]}' if self.headers["X-API-Key"] == "k" else b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def test_the_models_of_a_server() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"127.0.0.1:{server.server_port}"
        assert offered("", url=url, headers=("X-API-Key: k",)) == ["iris", "wine"]
        assert offered("w", url=url, headers=("X-API-Key: k",)) == ["wine"]
        assert offered("", url=url) == []
        server.shutdown()
    assert offered("", url=url) == []
    assert offered("", url="ftp://x") == []
