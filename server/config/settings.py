"""Every setting of the server, declared once: flag, environment variable, default, meaning.

`python -m server.config.settings` prints the table as Markdown. Nothing is parsed at import, and nothing heavy is
imported: `--help` and a wrong flag answer at once.
"""
# ruff: noqa: RUF009  (`setting` makes a dataclass field)

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NoReturn, Self

from server.config.conflicts import conflicts
from server.config.flags import SettingsError, flags_of, help_text, markdown, parse, setting, types, unknown_variables
from server.config.kserve_flags import SAID_ELSEWHERE
from server.config.memory_size import Amount, amount
from server.config.model_uri import Address, named, without_secrets
from server.config.payload_target import payload_target
from server.config.peer_flags import PEER_FLAGS

__all__ = ["Settings", "SettingsError", "command_line", "unknown_variables"]

COMMAND = "polyserve"
DISTRIBUTION = "polyserve-runtime"  #: what package managers call it; "polyserve" is somebody else's
ABOUT = (
    "polyserve serves a directory of models, whatever made them, over KServe's V1 and V2 protocols (REST and gRPC). "
    "A flag beats its environment variable, which beats the default. --version prints the version."
)

MODELS, REQUESTS, LOADING, TRUST, ENVIRONMENTS = "Models", "Requests", "Loading", "Trust", "Environments"
SERVER, LOGGING, TLS, PREDICTOR = "Server", "Logging", "TLS", "Predictor behind a transformer"

Protocol = Literal["v1", "v2", "grpc-v2"]
PROTOCOL = types.one_of("v1", "v2", "grpc-v2")
LogLevel = Literal["debug", "info", "warning", "error"]
LOG_LEVEL = types.one_of("debug", "info", "warning", "error")
PAYLOADS = types.Kind(payload_target, "URL|FILE", quote=without_secrets)
PORT = types.integer("PORT", 0, 65535)
COUNT = types.integer("N", 1)
PROCESSES = types.integer("N", 1, 64)
STORED_MODEL = types.Kind(Address.of_kserve, "URI", show=lambda address: address.shown, quote=without_secrets)
STORED_MODELS = types.Kind(named, "NAME=URI", repeats=True, quote=without_secrets)
#: seconds after SIGTERM in which a pod may still be sent requests: endpoints are updated meanwhile
POD_DELAY = 3.0
LONGEST_MESSAGE = 2**31 - 1  #: bytes that gRPC can carry in one
LENGTH = types.integer("BYTES", -1, LONGEST_MESSAGE)
#: bytes of bodies that a process holds at once, unless it is told
BODIES = 512 * 2**20
#: settings about loading that would be checked again
_NOT_FOR_ALL = (
    "verify_key",
    "verify_certificates",
    "verify_identity",
    "verify_issuer",
    "verify_trust_config",
    "allow_credentials",
)


@dataclass(frozen=True)
class Settings:
    """The table. Fields with `kserve=True` are KServe's own flags, with its names, meanings and (mostly) defaults."""

    # fmt: off
    model_dir: Path = setting(Path("/mnt/models"), types.directory(), MODELS,
        "The mount: one model's files, or a folder with a subfolder for each model.", env="MODEL_DIR")
    model_name: str | None = setting(None, types.path_segment("NAME"), MODELS,
        "The model's name when the mount itself is one model.", shown="model", env="MODEL_NAME", kserve=True)
    models: tuple[tuple[str, Address], ...] = setting((), STORED_MODELS, MODELS,
        "A model from a store: NAME=s3://bucket/path, or gs://, https:// (also Azure's), hf://, oci:// or file://. May "
        "be given several times; in the variable, white space stands between them.",
        flag="--model", env="POLYSERVE_MODEL", shown="none")
    storage_uri: Address | None = setting(None, STORED_MODEL, MODELS,
        "The store of a single model, called --model_name. Not used where models are mounted: KServe leaves it in the "
        "environment of a container whose model it has downloaded already.",
        env="STORAGE_URI")
    storage_dir: Path | None = setting(None, types.directory(), MODELS,
        "Where models from stores are kept; several servers may share it.", shown="~/.cache/polyserve/models")
    converted_dir: Path | None = setting(None, types.directory(), MODELS,
        "Where GGUF models are kept in the form that they are loaded from; several servers may share it.",
        shown="~/.cache/polyserve/converted")
    private_redirects: bool = setting(False, types.switch(), MODELS,
        "Let web servers of --model send downloads on to addresses that are not public.")
    predict_proba: bool = setting(False, types.switch(), MODELS,
        "scikit-learn classifiers answer probabilities instead of classes, as in KServe's scikit-learn server.",
        env="PREDICT_PROBA")
    ready: Literal["scan", "any", "all"] = setting("scan", types.one_of("scan", "any", "all"), MODELS,
        "When the server calls itself ready: the first scan is through (every model loaded or failed), any model is "
        "ready, or all are.")

    max_batch_rows: int = setting(256, COUNT, REQUESTS,
        "Rows of waiting requests that are merged into one prediction, at most.")
    max_queue: int = setting(1024, COUNT, REQUESTS,
        "Requests that may wait for one model; further ones are answered 429.")
    request_timeout: float = setting(60.0, types.seconds(), REQUESTS,
        "How long a request may take; then it is answered 504.")
    max_body_bytes: int = setting(100 * 2**20, types.size(), REQUESTS,
        "Size of a REST request's body, at most; larger ones are answered 413.")
    max_answer_bytes: int = setting(256 * 2**20, types.size(), REQUESTS,
        "Size of an answer of a model that runs in a process of its own, at most; four such are held at the same time, "
        "of all models together.")
    max_bodies_bytes: int | None = setting(None, types.size(), REQUESTS,
        "Bytes of REST requests' bodies and gRPC messages that a process holds at once, over all connections, inflated "
        "where they came compressed; one that does not fit is answered 503. What they become once they are read may "
        "take four times that.", shown="512MiB, or max_body_bytes")
    max_head_bytes: int = setting(64 * 2**10, types.size(), REQUESTS,
        "Size of a REST request's head, its first line and headers, at most, and of its trailers; larger ones are "
        "answered 431.")
    max_headers: int = setting(256, COUNT, REQUESTS,
        "Headers of a REST request, at most; more are answered 431.")
    grpc_max_calls: int = setting(4096, COUNT, REQUESTS,
        "gRPC calls that a process takes at once; further ones are answered RESOURCE_EXHAUSTED.")
    grpc_max_send_message_length: int = setting(-1, LENGTH, REQUESTS,
        "Size of a gRPC answer, at most; -1 for no limit, as over REST.", kserve=True)
    grpc_max_receive_message_length: int | None = setting(None, LENGTH, REQUESTS,
        "Size of a gRPC request, at most; -1 for no limit.", shown="max_body_bytes", kserve=True)

    grpc_compression: Literal["none", "gzip", "deflate"] = setting("none", types.one_of("none", "gzip", "deflate"),
        REQUESTS, "How gRPC answers are compressed for clients that take it, which nearly all do. Requests may come "
        "compressed in any case; over REST clients ask for it (Accept-Encoding).")

    grpc_frontend: Literal["http2", "grpcio"] = setting("http2", types.one_of("http2", "grpcio"), REQUESTS,
        "What talks HTTP/2 to clients of gRPC: http2 is the server's own, many times as quick; "
        "grpcio is the server of that library. Both answer alike.")

    max_models: int = setting(10_000, COUNT, LOADING,
        "Folders of the models directory that are served, at most; those that were there first keep their places.")
    max_model_files: int = setting(10_000, COUNT, LOADING,
        "Files and folders that one model may have; a folder with more is refused, and nobody looks through it.")
    load: Literal["eager", "lazy"] = setting("eager", types.one_of("eager", "lazy"), LOADING,
        "When models are loaded: at the start, or (lazy) at the first request, for folders of thousands. Pinned models "
        "are loaded at the start.")
    memory_budget: Amount | None = setting(None, amount(), LOADING,
        "Memory that loaded models may take, as a size or as a share of the container's memory; when it is full, the "
        "least recently used idle model makes room, and comes back when it is asked for. The server itself and the "
        "frameworks come on top.", shown="no limit")
    load_threads: int = setting(2, types.integer("N", 1, 64), LOADING,
        "Models that load at the same time. One that takes longer than 60 s is not counted while half of the memory is "
        "free.")
    load_timeout: float = setting(300.0, types.seconds(), LOADING,
        "How long a model's trial load may take; then the model is given up.")
    trial: bool = setting(True, types.switch(), LOADING,
        "Try each model in a child process first, so that a damaged file cannot crash the server.")

    watch: bool = setting(True, types.switch(), LOADING,
        "Watch the models directory: what is new, has changed or has gone is loaded, loaded again or served no more.")
    watch_interval: float = setting(1.0, types.seconds(), LOADING, "How often the models directory is looked at.")
    watch_settle: float = setting(2.0, types.seconds(), LOADING,
        "How long a folder must not have changed before it is loaded; longer where files come slowly, in pieces.")

    isolation: Literal["auto", "process", "none"] = setting("auto", types.one_of("auto", "process", "none"), LOADING,
        "Where models run: process gives every model a process of its own; auto only those that need one (code or "
        "requirements that came with the model, torch programs, polyserve.yaml); none leaves torch programs in the "
        "server's process, which is smaller and faster, and which a hostile program can end or take over.")

    trust: Literal["safe", "pickle", "code"] = setting("code", types.one_of("safe", "pickle", "code"), TRUST,
        "What models may bring: safe takes only files that cannot carry code; pickle also pickles that name nothing "
        "but known libraries' classes; code also code and requirements, which run in processes of their own.")
    verify_key: str | None = setting(None, types.existing_file(), TRUST,
        "A public key (PEM, elliptic curve): every model's folder must hold a model.sig by OpenSSF model-signing that "
        "was made with its private key, and nothing else than what was signed.")
    verify_certificates: str | None = setting(None, types.existing_file(), TRUST,
        "The same by certificates (PEM): a model.sig counts that was made with a signing certificate of one of these "
        "authorities. Take an authority that certifies nobody but who may sign models.")
    verify_identity: str | None = setting(None, types.text("NAME"), TRUST,
        "The same by Sigstore: a model.sig counts that this identity made, such as an e-mail address or a workflow's "
        "address, which --verify_issuer vouches for.")
    verify_issuer: str | None = setting(None, types.text("URL"), TRUST,
        "The identity provider (OpenID Connect) of --verify_identity.")
    verify_trust_config: str | None = setting(None, types.existing_file(), TRUST,
        "Sigstore's roots for --verify_identity: a client trust config (JSON). Without it the public ones are fetched.")
    sandbox: bool = setting(False, types.switch(), TRUST,
        "Confine the processes in which models run, are tried and have their requirements installed: files (they read "
        "the model's folder, interpreter and libraries, and write temporary files of their own), system calls, signals "
        "and the network. Needs Landlock (Linux 5.13) and seccomp; the log says what a kernel lacks, and one that has "
        "neither is refused. Models of the server's own process are not confined: --isolation=process.")
    sandbox_network: bool = setting(False, types.switch(), TRUST,
        "Let confined processes of models connect to others (never listen). Loading and unloading models needs "
        "ADMIN_TOKEN then, as they reach this machine's loopback.")
    sandbox_read: tuple[Path, ...] = setting((), types.directories(), TRUST,
        "A folder that confined processes may read, too. May be given several times; in the variable, colons stand "
        "between them.", shown="none")
    worker_uids: tuple[int, int] | None = setting((50000, 59999), types.user_ids(), TRUST,
        "User ids, of which the process of each model gets one of its own where the server runs as root; none leaves "
        "them the server's own.")

    env_dir: Path | None = setting(None, types.directory(), ENVIRONMENTS,
        "Where the environments of models with requirements are built and kept; several servers may share it.",
        shown="~/.cache/polyserve/environments")
    env_timeout: float = setting(900.0, types.seconds(), ENVIRONMENTS,
        "How long building an environment may take; then the model is given up.")
    wheelhouse: Path | None = setting(None, types.directory(), ENVIRONMENTS,
        "A directory of wheels: environments are built from it alone, without a network.")
    auto_env: bool = setting(False, types.switch(), ENVIRONMENTS,
        "Serve a model that another version of its framework made from an environment with that version.")

    http_port: int = setting(8080, PORT, SERVER,
        "Port of the REST server; 8080 becomes 8443 under TLS, 0 takes any free port.", kserve=True)
    grpc_port: int = setting(8081, PORT, SERVER,
        "Port of the gRPC server; where it is that of REST, both share it.", kserve=True)
    enable_grpc: bool = setting(True, types.switch(), SERVER, "Serve gRPC.", kserve=True)
    enable_docs_url: bool = setting(True, types.switch(), SERVER, "Serve the Swagger page at /docs.", kserve=True)
    enable_console: bool = setting(True, types.switch(), SERVER,
        "Serve the console at /console: every model as it is now, and a form that asks it.")
    workers: int = setting(1, PROCESSES, SERVER,
        "Processes that take requests, on the same ports. Each holds a copy of every model that runs in the server's "
        "process, and hands requests for the others on to the first, which alone loads, swaps and unloads: all change "
        "at the same moment. With --memory_budget there is one.", kserve=True)
    max_threads: int = setting(4, COUNT, SERVER, "gRPC processing threads, at most.", kserve=True)
    max_asyncio_workers: int | None = setting(None, COUNT, SERVER,
        "Threads of the event loop's executor, at most.", shown="CPUs + 4, at most 32", kserve=True)
    event_loop: Literal["auto", "asyncio", "uvloop"] = setting("auto", types.one_of("auto", "asyncio", "uvloop"),
        SERVER, "The event loop; auto takes uvloop where it is installed.", flag="--event-loop", kserve=True)
    busy_poll: int = setting(0, types.integer("MICROSECONDS", 0, 10_000), SERVER,
        "How long the event loop looks for the next request after an answer before it sleeps: 100 takes a quarter from "
        "the latency of small models where requests come one by one, and up to so much of a core's time for each. Not "
        "for --grpc_frontend=grpcio.")
    timeout_keep_alive: int = setting(65, types.integer("SECONDS", 0, 86400), SERVER,
        "How long an idle connection is kept; longer than the proxy's, or the proxy answers 503 now and then.",
        flag="--timeout-keep-alive", kserve=True)
    max_connections: int = setting(10_000, COUNT, SERVER,
        "Connections over HTTP, and as many over gRPC, that are held at once by all processes; at most a half and a "
        "quarter of the file descriptors that the system allows. When all are taken, those make room that wait for "
        "their clients for the longest; who waits for the server stays, and a newcomer is then answered 503.")
    first_byte_timeout: float = setting(30.0, types.seconds(), SERVER,
        "How long a new connection is kept without a byte of a request.")
    head_timeout: float = setting(20.0, types.seconds(), SERVER,
        "How long the head of a REST request may take from its first byte on; then it is answered 408.")
    body_timeout: float = setting(120.0, types.seconds(), SERVER,
        "How long the body of a REST request, or a message of gRPC, may take after its head; then it is answered 408.")
    send_timeout: float = setting(60.0, types.seconds(), SERVER,
        "How long a client may read nothing of its answer; then the connection, or the gRPC call, is ended.")
    openai_route_prefix: str = setting("/openai", types.route_prefix(), SERVER,
        "What stands before the paths of OpenAI's API, such as /v1/chat/completions; all but /v1/models are served "
        "without it, too.", env="KSERVE_OPENAI_ROUTE_PREFIX")
    allowed_origins: tuple[str, ...] = setting((), types.origins(), SERVER,
        "Origins (https://example.com, or * for all) whose pages may ask the REST server from a browser. May be given "
        "several times; in the variable, white space stands between them.", shown="none")
    allow_credentials: bool = setting(False, types.switch(), SERVER,
        "Let pages of --allowed_origins, which must be named then, send cookies and passwords that browsers keep.")
    request_ids: bool = setting(False, types.switch(), SERVER,
        "Give every request that brings no x-request-id one of its own. One that comes is always answered with, logged "
        "and handed on.")
    root_path: str = setting("", types.route_prefix(), SERVER,
        "What a proxy in front has before every path: /models. It is left out of paths, and stands before the links of "
        "/docs.", shown="none")
    uds: Path | None = setting(None, types.new_file(), SERVER,
        "A Unix socket that the REST server listens on as well, without TLS; who may open it, may ask. With --workers "
        "the main process alone answers there.")
    api_keys_file: str | None = setting(None, types.existing_file(), SERVER,
        "A file of API keys (docs/security.md): every request but health brings one, as Authorization: Bearer or "
        "X-API-Key, over gRPC as well. It is read again when it changes.")
    shutdown_delay: float | None = setting(None, types.seconds(zero=True), SERVER,
        "How long the server goes on serving, though no longer ready, after SIGTERM: until load balancers know.",
        shown="3s in a Kubernetes pod, else 0s")
    grace_period: float = setting(25.0, types.seconds(), SERVER,
        "How long requests in flight have after that; with the delay, less than the terminationGracePeriodSeconds of a "
        "pod (30), or than docker stop's --time (10).")

    log_format: Literal["text", "json"] = setting("text", types.one_of("text", "json"), LOGGING,
        "Lines for people, or a JSON object a line: time, level, message, model, request_id, trace_id, span_id.")
    log_level: LogLevel | None = setting(None, LOG_LEVEL, LOGGING,
        "From which level on lines are logged; POST /v2/logging changes it while the server runs.",
        shown="KSERVE_LOGLEVEL, or info")
    payload_log: str | None = setting(None, PAYLOADS, LOGGING,
        "Where requests and answers are logged: http:// or https:// (a collector of KServe's CloudEvents), s3://bucket/"
        "path, gs://bucket/path, https://account.blob.core.windows.net/container/path, or the path of a file (JSON "
        "lines). Nothing waits for it; what does not fit is dropped and counted.",
        shown="none")
    payload_log_mode: Literal["all", "request", "response"] = setting("all", types.one_of("all", "request", "response"),
        LOGGING, "What of them is logged.")
    payload_log_share: float = setting(1.0, types.share(), LOGGING,
        "Which share of the requests is logged, from 0 to 1.")
    payload_log_headers: tuple[str, ...] = setting((), types.header_names(), LOGGING,
        "Headers (over gRPC: metadata) that are logged with them; in the variable, white space stands between them.",
        shown="none")
    access_log: bool = setting(False, types.switch(), LOGGING, "Log every request.")
    access_log_format: str | None = setting(None, types.text("FORMAT"), LOGGING,
        "Format of the access log, in asgi-logger's terms; needs the package asgi-logger.", kserve=True)
    enable_latency_logging: bool = setting(False, types.switch(), LOGGING,
        "Log the latency of pre-processing, prediction and post-processing of every request.", kserve=True)
    configure_logging: bool = setting(True, types.switch(), LOGGING,
        "Configure KServe's and uvicorn's logging.", kserve=True)
    log_config_file: str | None = setting(None, types.existing_file(), LOGGING,
        "A YAML or JSON file with Python's logging configuration.", kserve=True)

    ssl_certfile: str | None = setting(None, types.existing_file(), TLS,
        "The certificate for serving HTTPS, and gRPC over TLS; it is read again when it changes.",
        env="KSERVE_TLS_CERT_FILE", kserve=True)
    ssl_keyfile: str | None = setting(None, types.existing_file(), TLS,
        "The private key for serving HTTPS, and gRPC over TLS.", env="KSERVE_TLS_KEY_FILE", kserve=True)
    ssl_ca_certs: str | None = setting(None, types.existing_file(), TLS,
        "Certificates of authorities: clients, over HTTPS and gRPC, need a certificate that one of them has signed.")

    predictor_host: str | None = setting(None, types.text("HOST"), PREDICTOR,
        "The predictor that a transformer calls.", kserve=True)
    predictor_protocol: Protocol = setting("v1", PROTOCOL, PREDICTOR, "The protocol of these calls.", kserve=True)
    protocol: Protocol = setting("v1", PROTOCOL, PREDICTOR,
        "The former name of --predictor_protocol, which KServe reads and ignores.", kserve=True)
    predictor_use_ssl: bool = setting(False, types.switch(), PREDICTOR, "Make these calls over TLS.", kserve=True)
    predictor_request_timeout_seconds: int = setting(600, COUNT, PREDICTOR,
        "How long such a call may take, in seconds.", kserve=True)
    predictor_request_retries: int = setting(0, types.integer("N", 0), PREDICTOR,
        "How often a failed call is repeated.", kserve=True)
    enable_predictor_health_check: bool = setting(False, types.switch(), PREDICTOR,
        "Readiness asks the predictor, too.", kserve=True)
    # fmt: on

    def __post_init__(self) -> None:
        if problems := tuple(conflicts(self, DEFAULTS)):
            raise SettingsError(*problems)

    @classmethod
    def parse(cls, argv: Sequence[str], environ: Mapping[str, str]) -> Self:
        """The settings of a command line (without the program's name) and an environment.

        Raises:
            SettingsError: with every mistake, naming the flag or the variable, the value and what is allowed.
        """
        return cls(**parse(cls, argv, environ, {**PEER_FLAGS, **SAID_ELSEWHERE}))

    @property
    def signed(self) -> bool:
        """Whether models' folders must be signed."""
        return bool(self.verify_key or self.verify_certificates or self.verify_identity)

    @property
    def max_message_bytes(self) -> int:
        """Bytes of a gRPC request, at most: as many as of a REST request's body, unless it is told."""
        told = self.grpc_max_receive_message_length
        return min(self.max_body_bytes, LONGEST_MESSAGE) if told is None else told

    @property
    def rest_port(self) -> int:
        """The port that the REST server listens on: KServe moves its default port under TLS."""
        return 8443 if self.ssl_certfile and self.ssl_keyfile and self.http_port == 8080 else self.http_port

    @property
    def one_port(self) -> bool:
        """Whether REST and gRPC share a port."""
        return self.enable_grpc and self.rest_port == self.grpc_port != 0

    @property
    def bodies_bytes(self) -> int:
        """Bytes of bodies that a process holds at once."""
        return self.max_bodies_bytes or max(BODIES, self.max_body_bytes, self.max_message_bytes)

    def stop_delay(self, environ: Mapping[str, str]) -> float:
        """Seconds from SIGTERM until no new connection is taken."""
        if self.shutdown_delay is not None:
            return self.shutdown_delay
        return POD_DELAY if "KUBERNETES_SERVICE_HOST" in environ else 0.0

    def predictor_options(self) -> dict[str, Any]:
        """How transformers reach their predictor, as options of models; empty when no predictor is named."""
        names = ("host", "protocol", "use_ssl", "request_timeout_seconds", "request_retries")
        options = {f"predictor_{name}": getattr(self, f"predictor_{name}") for name in names}
        return options if self.predictor_host else {}

    def plain(self) -> dict[str, Any]:
        """The settings that a process which only answers requests needs, as plain values: `Settings(**plain)`."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _NOT_FOR_ALL}
        plain = {name: value for name, value in values.items() if isinstance(value, bool | int | float | str)}
        return {**plain, **({"payload_log_headers": told} if (told := self.payload_log_headers) else {})}

    def kserve_argv(self) -> list[str]:
        """What `sys.argv` has to hold while `kserve.model_server` is imported, which parses it then."""
        argv = [COMMAND]
        for flag in flags_of(type(self)):
            value = getattr(self, flag.name)
            if not flag.kserve or value is None:
                continue
            if flag.name == "enable_predictor_health_check":  # the one switch that KServe takes without a value
                argv += [flag.flag] if value else []
            else:
                argv.append(f"{flag.flag}={flag.kind.show(value)}")
        return argv


#: by name
DEFAULTS = {field.name: field.default for field in fields(Settings)}


def command_line(
    argv: Sequence[str], environ: Mapping[str, str], check: Callable[[Settings], None] | None = None
) -> Settings:
    """The settings, or the end of the program: after the help or the version (0), or for a mistake (2).

    `check` raises `SettingsError` for what takes more than this module imports to find out.
    """
    if {"-h", "--help"} & set(argv):
        _leave(help_text(Settings, ABOUT))
    if "--version" in argv:
        _leave(f"{COMMAND} {_version()}\n")
    try:
        settings = Settings.parse(argv, environ)
        if check is not None:
            check(settings)
    except SettingsError as error:
        for problem in error.problems:
            print(f"{COMMAND}: {problem}", file=sys.stderr)
        sys.exit(2)
    return settings


def _leave(text: str) -> NoReturn:
    sys.stdout.write(text)
    sys.exit(0)


def _version() -> str:
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed: run from a source tree)"


if __name__ == "__main__":
    sys.stdout.write(markdown(Settings))
