"""The systems: how each is started, what it can be asked, and how that is told to the reader of the results."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import bentoml_env, litserve_env, making, mlserver_env, mosec_env, places, ray_env, triton_env
from bench.environments import Environment
from bench.models import MODELS
from bench.ports import free_port
from bench.process import Running, started
from bench.requests import Protocol

ALL_PROTOCOLS = frozenset(Protocol)
ALL_MODELS = frozenset(MODELS)
_BATCHING = mlserver_env.Batching()
_BUSY_POLL = "--busy_poll=100"


@dataclass(frozen=True)
class Launch:
    """A command, and where and with what it runs."""

    command: Sequence[str]
    cwd: Path = places.REPOSITORY
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class System:
    """One side of the comparison."""

    name: str
    about: str
    launch: Callable[[Sequence[str], int, int], Launch]  #: of models, HTTP port, gRPC port
    ready: str = "/v2/health/ready"  #: path that answers 200 once every model is loaded
    protocols: frozenset[Protocol] = ALL_PROTOCOLS
    models: frozenset[str] = ALL_MODELS
    path: str = ""  #: of a system without models: where requests go instead
    environment: Environment | None = None  #: of its own; None: ours
    polls: bool = False  #: uses the processor while it has nothing to do: it is halted while others have their turn

    def serves(self, model: str, protocol: Protocol) -> bool:
        """Whether it has a runtime for the model and speaks the protocol."""
        return model in self.models and protocol in self.protocols


def _polyserve(*more: str) -> Callable[[Sequence[str], int, int], Launch]:
    def launch(models: Sequence[str], http_port: int, grpc_port: int) -> Launch:
        flags = [f"--model_dir={places.RUN / 'models'}", f"--http_port={http_port}", f"--grpc_port={grpc_port}"]
        return Launch([sys.executable, "-m", "server", *flags, *more])

    return launch


def _kserve(environ: Mapping[str, str]) -> Callable[[Sequence[str], int, int], Launch]:
    def launch(models: Sequence[str], http_port: int, grpc_port: int) -> Launch:
        flags = [f"--http_port={http_port}", f"--grpc_port={grpc_port}", f"--model_dir={places.MODELS}"]
        command = [sys.executable, "-m", "bench.peers.kserve_server", *flags, "--models", *models]
        return Launch(command, environ=environ)

    return launch


def _mlserver(batching: mlserver_env.Batching | None) -> Callable[[Sequence[str], int, int], Launch]:
    def launch(models: Sequence[str], http_port: int, grpc_port: int) -> Launch:
        folder = places.RUN / ("mlserver-batching" if batching else "mlserver")
        ports = mlserver_env.Ports(http_port, grpc_port, free_port())
        mlserver_env.write_settings(folder, models, ports, batching)
        return Launch([str(mlserver_env.COMMAND), "start", "."], cwd=folder)

    return launch


def _triton(models: Sequence[str], http_port: int, grpc_port: int) -> Launch:
    folder = places.RUN / "triton"
    triton_env.write_repository(folder, models, {name: MODELS[name].file for name in models})
    return Launch(triton_env.command(folder, http_port, grpc_port), triton_env.PACKAGES, triton_env.environ())


def _mosec(models: Sequence[str], http_port: int, grpc_port: int) -> Launch:
    return Launch(mosec_env.command(models, http_port))


def _litserve(models: Sequence[str], http_port: int, grpc_port: int) -> Launch:
    return Launch(litserve_env.command(models, http_port))


def _bentoml(models: Sequence[str], http_port: int, grpc_port: int) -> Launch:
    return Launch(bentoml_env.command(http_port), environ=bentoml_env.environ(models))


def _ray(models: Sequence[str], http_port: int, grpc_port: int) -> Launch:
    return Launch(ray_env.command(models, http_port), environ=ray_env.ENVIRON)


def _nothing(models: Sequence[str], http_port: int, grpc_port: int) -> Launch:
    return Launch([sys.executable, "-m", "bench.peers.nothing", f"--http_port={http_port}"])


def _echo(models: Sequence[str], http_port: int, grpc_port: int) -> Launch:
    flags = [f"--http_port={http_port}", f"--grpc_port={grpc_port}"]
    return Launch([sys.executable, "-m", "bench.peers.echo", *flags])


def _loopback(models: Sequence[str], http_port: int, grpc_port: int) -> Launch:
    return Launch([sys.executable, "-m", "bench.peers.loopback", f"--http_port={http_port}"])


_KSERVE = System(
    "kserve",
    "KServe: each model a `kserve.Model` with a synchronous `predict`, as KServe's own servers are written, all in one "
    "`ModelServer`, default flags (it logs accesses and latencies)",
    _kserve({}),
)
_MLSERVER = System(
    "mlserver",
    f"MLServer {mlserver_env.VERSION} with its own runtimes, default settings (it logs accesses), without adaptive "
    "batching, which is the default; it has no binary tensors over REST",
    _mlserver(None),
    protocols=frozenset({Protocol.V2, Protocol.GRPC}),
    models=frozenset(mlserver_env.RUNTIMES),
    environment=mlserver_env.ENVIRONMENT,
)

#: as all servers that are programmed model by model: at V1's paths, with batching, and no gRPC
_MOSEC = System(
    "mosec",
    f"mosec {mosec_env.VERSION}, each model a worker at V1's path that reads and writes V1's JSON with orjson, "
    "`max_batch_size` 64, `max_wait_time` 1 ms; it has no gRPC",
    _mosec,
    ready="/",
    protocols=frozenset({Protocol.V1}),
    models=mosec_env.MODELS,
    environment=mosec_env.ENVIRONMENT,
)

SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        System("polyserve", "PolyServe, default flags (its access log is off)", _polyserve()),
        System("polyserve-busy-poll", f"the same with `{_BUSY_POLL}`", _polyserve(_BUSY_POLL)),
        _KSERVE,
        replace(
            _KSERVE,
            name="kserve-1-thread",
            about="the same with `OMP_NUM_THREADS=1`, where frameworks with OpenMP get in each other's way",
            launch=_kserve({"OMP_NUM_THREADS": "1"}),
        ),
        _MLSERVER,
        replace(
            _MLSERVER,
            name="mlserver-batching",
            about=f"the same with adaptive batching: `max_batch_size` {_BATCHING.size}, "
            f"`max_batch_time` {_BATCHING.seconds}",
            launch=_mlserver(_BATCHING),
        ),
        System(
            "triton",
            f"Triton as the wheel of nvidia-pytriton {triton_env.VERSION} carries it, each model in its Python backend "
            "with dynamic batching, no metrics",
            _triton,
            protocols=frozenset({Protocol.V2, Protocol.V2_BINARY, Protocol.GRPC}),
            models=triton_env.MODELS,
            environment=triton_env.ENVIRONMENT,
        ),
        _MOSEC,
        replace(
            _MOSEC,
            name="litserve",
            about=f"LitServe {litserve_env.VERSION}, each model a worker at V1's path, `max_batch_size` 64, "
            "`batch_timeout` 1 ms, its fast queue",
            launch=_litserve,
            ready="/health",
            models=litserve_env.MODELS,
            environment=litserve_env.ENVIRONMENT,
            polls=True,
        ),
        replace(
            _MOSEC,
            name="bentoml",
            about=f"BentoML {bentoml_env.VERSION}, the models in one service, `batchable`, `max_batch_size` 64, no "
            "access log, no metrics; what it batches it answers as a bare list",
            launch=_bentoml,
            ready="/readyz",
            models=bentoml_env.MODELS,
            environment=bentoml_env.ENVIRONMENT,
        ),
        replace(
            _MOSEC,
            name="ray",
            about=f"Ray Serve {ray_env.VERSION}, each model a replica behind its proxy, `serve.batch` of 64 and 1 ms, "
            "JSON by orjson, `RAY_SERVE_THROUGHPUT_OPTIMIZED`",
            launch=_ray,
            ready="/ready",
            models=ray_env.MODELS,
            environment=ray_env.ENVIRONMENT,
            polls=True,
        ),
        System(
            "fastapi",
            "a FastAPI route that does nothing: uvicorn, uvloop, httptools, no access log",
            _nothing,
            ready="/ready",
            protocols=frozenset({Protocol.V1}),
            path="/nothing",
        ),
        System(
            "echo",
            "a bare ASGI application that echoes: uvicorn, uvloop, httptools, no access log; "
            "for gRPC a `grpc.aio` method that echoes",
            _echo,
            ready="/",
            protocols=frozenset({Protocol.V1, Protocol.GRPC}),
            path="/",
        ),
        System(
            "loopback",
            "a thread that receives, looks at nothing and sends a constant, to one connection at a time: what the "
            "machine's own loopback takes",
            _loopback,
            ready="/",
            protocols=frozenset({Protocol.V1}),
            path="/",
        ),
    )
}


def _stage(models: Iterable[str], isolated: Collection[str]) -> None:
    """The folder that PolyServe is pointed at: these models and no others."""
    shutil.rmtree(places.RUN, ignore_errors=True)
    for name in models:
        folder = Path(shutil.copytree(places.MODELS / name, places.RUN / "models" / name))
        if name in isolated:
            (folder / "polyserve.yaml").write_text("isolation: process\n")


@contextlib.contextmanager
def running(
    systems: Sequence[System], models: Sequence[str], isolated: Collection[str] = ()
) -> Iterator[dict[str, Running]]:
    """Start the systems side by side with those of the `models` that each has a runtime for; ready when it yields.

    PolyServe gives the `isolated` ones processes of their own. Models and environments are made first where they are
    missing.

    Raises:
        NotStarted, subprocess.CalledProcessError
    """
    making.ensure(models)
    for system in systems:
        if system.environment:
            system.environment.ensure()
    _stage(models, isolated)
    with contextlib.ExitStack() as stack:
        begun = [(system, time.monotonic(), stack.enter_context(start(system, models))) for system in systems]
        with ThreadPoolExecutor(len(begun)) as pool:
            list(pool.map(lambda one: one[2].wait_ready(one[0].ready, one[1]), begun))
        yield {system.name: each for system, _, each in begun}


def obtainable(names: Iterable[str], say: Callable[[str], None]) -> list[str]:
    """Those systems that can be had here: the others' environments cannot be made, which is said."""
    found = []
    for name in names:
        environment = SYSTEMS[name].environment
        try:
            if environment:
                environment.ensure()
        except subprocess.CalledProcessError as error:
            say(f"{name} is left out: its environment cannot be made ({error})")
        else:
            found.append(name)
    return found


def start(system: System, models: Sequence[str]) -> contextlib.AbstractContextManager[Running]:
    """Start one system; it is not ready yet."""
    http_port, grpc_port = free_port(), free_port()
    launch = system.launch([name for name in models if name in system.models], http_port, grpc_port)
    log = places.LOGS / f"{system.name}.log"
    return started(system.name, launch.command, (http_port, grpc_port), log, launch.cwd, launch.environ)
