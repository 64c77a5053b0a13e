"""`polyserve inspect DIR`: what each model is, takes and lacks, in a table. Runs nobody's code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from server.cli.folders import Folder
from server.cli.main import FAILED
from server.cli.screen import as_json, paint, plain, progress, say, table
from server.cli.server_options import LOOKING, server_options, settings_of

if TYPE_CHECKING:
    from server.cli.model_report import ModelReport
    from server.loading.catalog import Catalog

_HEAD = ("MODEL", "VERSION", "ADAPTER", "FILE", "MADE BY", "SIZE", "TRUST", "TAKES -> GIVES")
_SIZE = 5


@click.command()
@click.argument("directory", metavar="DIR", type=Folder())
@click.option("--json", "json_", is_flag=True, help="Print JSON, for programs.")
@click.option("--no-load", is_flag=True, help="Only look at the files: quicker, and without signatures.")
@server_options(*LOOKING)
def inspect(directory: Path, json_: bool, no_load: bool, **given: Any) -> int:
    """Show what each model in DIR is: its adapter and why, what made it, its size, the trust that it needs, what it
    takes and gives, or why it would not load and what is missing.

    DIR is a folder of models, or one model's folder. Runs no code that came with a model: files of data, and pickles of
    known classes, are loaded in a child process to find out what they take; others are only looked at.

    Takes the server's flags, too: --trust, --verify_key and its like, --auto_env, --model_name, --load_timeout. Status
    1: a model would not load, or there is none.
    """
    catalog, reports = reports_on(directory, given, load=not no_load)
    if json_:
        say(as_json(_document(directory, catalog, reports)))
    elif len(reports) == 1:
        _show_one(reports[0], catalog)
    else:
        _show_all(directory, reports, catalog)
    return FAILED if not reports or any(each.fails for each in reports) else 0


def reports_on(directory: Path, given: dict[str, Any], *, load: bool) -> tuple[Catalog, list[ModelReport]]:
    """What the folder holds, and what there is to say of each model.

    Raises:
        click.UsageError: an option is wrong.
    """
    settings = settings_of(directory, given)
    with progress("looking") as shown:
        from concurrent.futures import ThreadPoolExecutor

        from server.cli.model_report import report_of
        from server.loading.assembly import Assembly
        from server.loading.catalog import NoModelDir

        try:
            assembly = Assembly.of(settings)
        except NoModelDir as error:
            raise click.UsageError(str(error)) from error
        assembly.allow_imports()
        trials = assembly.trials if load else None
        found = assembly.catalog.found
        done = 0

        def report(each: Any) -> ModelReport:
            nonlocal done
            shown.what = f"{done} of {len(found)} looked at: {each.name}"
            try:
                return report_of(each, assembly.loader, trials)
            finally:
                done += 1

        try:
            with ThreadPoolExecutor(settings.load_threads) as pool:
                return assembly.catalog, list(pool.map(report, found))
        finally:
            assembly.close()


def _document(directory: Path, catalog: Catalog, reports: Sequence[ModelReport]) -> dict[str, Any]:
    return {
        "directory": str(directory),
        "single": catalog.single,
        "notes": list(catalog.notes),
        "models": [each.to_fields() for each in reports],
    }


def _show_all(directory: Path, reports: Sequence[ModelReport], catalog: Catalog) -> None:
    for note in catalog.notes:
        say(f"{paint('note', 'yellow')}: {plain(note)}")
    if not reports:
        return
    for line in table(_HEAD, [_row(each) for each in reports], numbers=[_SIZE]):
        say(line)
    _show_remarks(reports)
    bad = sum(each.fails for each in reports)
    say()
    counted = f"{len(reports)} models" if len(reports) > 1 else "1 model"
    say(f"{counted}, {bad} would not load" if bad else counted)


def _row(report: ModelReport) -> tuple[str, ...]:
    from server.text import size

    sized = size(report.size) if report.size else ""
    cells = (report.name, report.version, report.adapter, report.file, report.made_by, sized, report.trust)
    return (*cells, _signature(report))


def _signature(report: ModelReport) -> str:
    from server.cli.signature_text import gives, takes

    if report.fails:
        return "would not load"
    if report.signature is None:
        return "not known before it is loaded"
    return f"{takes(report.signature)} -> {gives(report.signature)}"


def _show_remarks(reports: Sequence[ModelReport]) -> None:
    remarks = [(each, text) for each in reports for text in (_trouble(each), each.note) if text]
    if remarks:
        say()
    for report, text in remarks:
        name = f"{report.name} {report.version}".rstrip()
        say(f"{paint(plain(name), 'red' if report.problem else 'yellow')}: {plain(text)}")


def _trouble(report: ModelReport) -> str:
    """The reason, and what to do about it."""
    return "; ".join(filter(None, (report.problem, report.advice)))


def _show_one(report: ModelReport, catalog: Catalog) -> None:
    from server.text import size

    lines = {
        "model": _name(report, catalog),
        "adapter": f"{report.adapter} ({report.why})" if report.adapter else "none",
        "made by": report.made_by,
        "size": size(report.size) if report.size else "",
        "memory": f"{size(report.memory)} more when it is loaded" if report.memory else "",
        "trust": f"{report.trust} (--trust={report.trust} or more)" if report.trust else "",
        **_tensors(report),
        "missing": f"pip install {' '.join(report.missing)}" if report.missing else "",
        "problem": report.problem,
        "advice": report.advice,
        "note": "; ".join(filter(None, (report.note, *catalog.notes))),
    }
    for name, text in lines.items():
        for number, line in enumerate(text.split("\n") if text else ()):
            colour = {"problem": "red", "advice": "yellow", "note": "yellow"}.get(name, "bright_black")
            say(f"{paint(name.ljust(8) if not number else ' ' * 8, colour)} {plain(line)}")


def _name(report: ModelReport, catalog: Catalog) -> str:
    """A folder that is one model is not called as it is: KServe has a name for such."""
    from server.loading.catalog import DEFAULT_NAME

    name = f"{report.name} {report.version}".rstrip()
    return f"{name} (another name: --model_name)" if catalog.single and report.name == DEFAULT_NAME else name


def _tensors(report: ModelReport) -> dict[str, str]:
    """A line for each input and output, method and column."""
    from server.cli.signature_text import gives, takes, tensor

    signature = report.signature
    if signature is None:
        return {}
    if signature.generates or signature.whole:
        return {"takes": takes(signature), "gives": gives(signature)}
    columns = [f"{name} {signature.inputs[0].datatype}" for name in signature.columns]
    choices = [
        f"{each.name}: {', '.join(map(str, each.choices)) or each.kind.__name__}" for each in signature.parameters
    ]
    return {
        "takes": "\n".join(columns or [tensor(each) for each in signature.inputs]),
        "gives": "\n".join(tensor(each) for each in signature.outputs),
        "options": "\n".join(choices),
        "explains": "yes, by :explain" if signature.explanations else "",
    }
