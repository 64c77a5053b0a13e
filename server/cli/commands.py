"""The commands by name: where each is, and what it is for. Imports nothing, so that serving does not wait for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Command(NamedTuple):
    """One of the commands."""

    target: str  #: "module:attribute" of what runs it
    purpose: str  #: in half a line


#: the one that the flags alone stand for
SERVE = "serve"
#: set by the shells' completion, which asks the program itself
COMPLETE = "_POLYSERVE_COMPLETE"

COMMANDS: Mapping[str, Command] = {
    SERVE: Command("server.cli.serve:serve", "Serve a folder of models (the flags alone do the same)."),
    "inspect": Command("server.cli.inspect:inspect", "What each model is, takes and lacks; runs no model's code."),
    "check": Command("server.cli.check:check", "Load every model and test it, for CI: status 1 if one fails."),
    "curl": Command("server.cli.curl:curl", "Print (--send: send) a request that a model answers."),
    "bench": Command("server.cli.bench:bench", "Measure how fast a model answers, and how often."),
    "manifest": Command("server.cli.manifest:manifest", "Print the Kubernetes manifest that serves a model."),
    "examples": Command("server.cli.make_examples:examples", "Make small example models to try things with."),
    "doctor": Command("server.cli.doctor:doctor", "What is installed here, what is missing, which limits hold."),
    "completion": Command("server.cli.completion:completion", "Print a script that completes commands for a shell."),
}

#: words of other programs, and what they are called here
ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("start", "run", "up"), SERVE),
    **dict.fromkeys(("list", "ls", "show", "info", "describe"), "inspect"),
    **dict.fromkeys(("test", "validate", "lint"), "check"),
    **dict.fromkeys(("predict", "infer", "request", "ask", "call", "send", "post"), "curl"),
    **dict.fromkeys(("perf", "benchmark"), "bench"),
    **dict.fromkeys(("deploy", "kubernetes", "k8s", "yaml"), "manifest"),
    **dict.fromkeys(("init", "new", "demo"), "examples"),
    **dict.fromkeys(("env", "diagnose"), "doctor"),
}
_SERVER = "a server has it at http://localhost:8080"
_LOADS = "a server takes in what its folder holds, by itself; by hand: POST /v2/repository/models/NAME"
#: ... and words that stand for no command here, but for something that a running server does
HINTS: Mapping[str, str] = {
    **dict.fromkeys(("stop", "kill", "down"), "end the server by Ctrl-C, or by SIGTERM"),
    **dict.fromkeys(("status", "ps", "console", "ui", "dashboard"), f"{_SERVER}/console"),
    **dict.fromkeys(("metrics", "stats"), f"{_SERVER}/metrics"),
    **dict.fromkeys(("docs", "swagger", "openapi"), f"{_SERVER}/docs"),
    **dict.fromkeys(
        ("logs", "log"), "a server writes to its standard error; of one model /console shows the last lines"
    ),
    **dict.fromkeys(("load", "reload", "restart"), f"{_LOADS}/load"),
    "unload": f"{_LOADS}/unload",
    **dict.fromkeys(("build", "containerize", "dockerize", "image"), "make image builds the container"),
    **dict.fromkeys(("train", "fit"), "save what you have trained into a folder, and write serve DIR"),
}

#: options of other programs -> what they are called here
OPTIONS_ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("--format", "--output", "-o"), "--json"),
    **dict.fromkeys(("-d", "--body", "--input", "--payload"), "--data"),
    **dict.fromkeys(("--port", "--host", "--server", "--address", "-u"), "--url"),
    **dict.fromkeys(("--duration", "--time", "-t", "--measurement-interval"), "--seconds"),
    **dict.fromkeys(("--concurrency", "--connections", "-c", "--users", "--concurrency-range"), "--clients"),
    **dict.fromkeys(("--batch", "--batch_size", "--batch-size", "-b"), "--rows"),
    **dict.fromkeys(("--protocol", "--proto", "--type", "--lang"), "--as"),
    **dict.fromkeys(("--folder", "--path", "--models", "--model_dir", "--model-dir"), "--dir"),
    **dict.fromkeys(("--run", "--execute", "-x"), "--send"),
    **dict.fromkeys(("--xml", "--report"), "--junit"),
}


def is_for_commands(argv: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether a command line is one of the commands' (but `serve`), and not the server's flags, as KServe gives them.

    Also where it asks for help and names no flag, and where its first word is no flag: perhaps a command misspelt.
    """
    if COMPLETE in environ or list(argv) in (["--help"], ["-h"]):
        return True
    return bool(argv) and not argv[0].startswith("-") and argv[0] != SERVE


def serve_arguments(argv: Sequence[str]) -> list[str]:
    """The server's flags of a command line: without the word `serve`, behind which a folder may stand."""
    rest = list(argv[1:] if argv[:1] == [SERVE] else argv)
    if rest != list(argv) and rest and not rest[0].startswith("-"):
        rest[0] = f"--model_dir={rest[0]}"
    return rest
