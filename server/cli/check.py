"""`polyserve check DIR`: load every model as the server would, test it, and say what came of it; for CI."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from server.cli.ci_reports import CheckResult, github_annotations, junit
from server.cli.folders import Folder
from server.cli.main import FAILED
from server.cli.screen import as_json, output_of_ours_alone, paint, plain, progress, say
from server.cli.server_options import LOADING, server_options, settings_of

if TYPE_CHECKING:
    from server.config.settings import Settings
    from server.loading.assembly import Assembly
    from server.loading.catalog import Found
    from server.loading.loader import Loaded


@click.command()
@click.argument("directory", metavar="DIR", type=Folder())
@click.option("--json", "json_", is_flag=True, help="Print JSON, for programs.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write a JUnit report to this file.")
@click.option("--github", is_flag=True, help="Print annotations for GitHub Actions, too.")
@click.option("--strict", is_flag=True, help="A warning is a failure.")
@server_options(*LOADING)
def check(directory: Path, json_: bool, junit: Path | None, github: bool, strict: bool, **given: Any) -> int:
    """Load every model in DIR as the server would, let it answer its own example and what its examples.json records.

    This runs the models, code of theirs included, in the processes where the server would run it (--trust=pickle lets
    no code run). Status 0: all are well; 1: a model failed, or there is none; 2: the command line is wrong.

    Takes the server's flags, too: --trust, --verify_key and its like, --auto_env, --wheelhouse, --isolation, --sandbox,
    --load_timeout.
    """
    settings = settings_of(directory, given)
    _check_writable(junit)
    with output_of_ours_alone():
        began = time.monotonic()
        results = list(_results(settings, quiet=json_, strict=strict))
        seconds = time.monotonic() - began
        failed = sum(each.failed for each in results)
        if junit is not None:
            _write(junit, results, seconds)
        if json_:
            say(
                as_json(
                    {"directory": str(directory), "failed": failed, "models": [each.to_fields() for each in results]}
                )
            )
        else:
            say()
            say(_summary(results, failed, seconds, directory))
        for line in github_annotations(results) if github else ():
            print(line, file=sys.stderr if json_ else sys.stdout)  # GitHub reads both, and programs their JSON alone
    return FAILED if failed or not results else 0


def _check_writable(file: Path | None) -> None:
    """
    Raises:
        click.UsageError: before a long check, not after it.
    """
    if file is not None and not file.absolute().parent.is_dir():
        raise click.UsageError(
            f"--junit={plain(file)}: there is no folder {plain(file.absolute().parent)}: make it first"
        )


def _write(file: Path, results: list[CheckResult], seconds: float) -> None:
    try:
        file.write_text(junit(results, seconds), encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"--junit={plain(file)} cannot be written: {error.strerror}") from error


def _summary(results: list[CheckResult], failed: int, seconds: float, directory: Path) -> str:
    if not results:
        return paint(f"{plain(directory)} holds no model: put each into a folder of its own", "red")
    counted = f"{len(results)} {'models' if len(results) > 1 else 'model'} checked in {seconds:.1f} s"
    return paint(f"{counted}: {failed} failed", "red") if failed else paint(f"{counted}: all are well", "green")


def _results(settings: Settings, *, quiet: bool, strict: bool) -> Iterator[CheckResult]:
    """In the order of their names, as reports are compared; each as soon as it and those before it are known."""
    with progress("looking") as shown, _loading(settings) as (assembly, futures):
        widest = max((len(plain(found.name)) for found in assembly.catalog.found), default=0)
        unsaid = deque(sorted(futures, key=lambda each: futures[each].key))
        for number, _ in enumerate(as_completed(futures)):
            left = [found.name for each, found in futures.items() if not each.done()]
            shown.what = f"{number + 1} of {len(futures)} checked, still at {', '.join(left[:2])}"
            while unsaid and unsaid[0].done():
                future = unsaid.popleft()
                result = _result(futures[future], future, strict=strict)
                if not quiet:
                    with shown.hidden():
                        say(_line(result, widest))
                yield result


def _line(result: CheckResult, widest: int) -> str:
    mark = (
        paint("FAIL", "red") if result.failed else paint("warn", "yellow") if result.problem else paint("ok  ", "green")
    )
    name = plain(f"{result.name} {result.version}".rstrip()).ljust(widest)
    recorded = f"  {result.examples} recorded" if result.examples else ""
    facts = f"{result.adapter:<12}  {result.seconds:5.1f} s{recorded}" if result.adapter else ""
    return "  ".join(filter(None, (mark, name, facts, plain(result.problem))))


@contextlib.contextmanager
def _loading(settings: Settings) -> Iterator[tuple[Assembly, dict[Future[Loaded], Found]]]:
    """The models on their way, as the server begins them: what they are asked is asked on an event loop."""
    import asyncio

    from server.api.kserve.argv import arguments
    from server.loading.assembly import Assembly
    from server.loading.catalog import NoModelDir

    try:
        assembly = Assembly.of(settings)
    except NoModelDir as error:
        raise click.UsageError(str(error)) from error
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="requests", daemon=True).start()
    try:
        begun = assembly.begin()
        with arguments(settings):
            from server import app  # noqa: F401  (KServe, which is there when the server loads models)
        assembly.allow_imports()
        assembly.loader.attach_loop(loop)
        by_key = {found.key: found for found in assembly.catalog.found}
        yield assembly, {future: by_key[key] for key, future in begun.items()}
    finally:
        assembly.close()
        loop.call_soon_threadsafe(loop.stop)


def _recorded(found: Found) -> int:
    """How many examples a folder records."""
    from adapters.base import LoadError
    from server.loading import recorded_examples

    try:
        return len(recorded_examples.read(found.directory.path, found.home, found.directory.root))
    except LoadError:  # the folder has changed since
        return 0


def _result(found: Found, future: Future[Loaded], *, strict: bool) -> CheckResult:
    from adapters.base import LoadError
    from server.loading.advice import with_advice

    place = str(found.directory.path)
    try:
        loaded = future.result()
    except (LoadError, CancelledError) as error:
        problem = with_advice(str(error), found.directory)
        return CheckResult(found.name, found.version, place, problem=problem, failed=True)
    adapter = loaded.adapter.name
    loaded.adapter.close()
    loaded.adapter.release()
    failed = strict and bool(loaded.warning)
    facts = (adapter, loaded.seconds, _recorded(found), loaded.warning, failed)
    return CheckResult(found.name, found.version, place, *facts)
