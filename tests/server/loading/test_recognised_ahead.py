"""What a process of its own writes down of folders, and who believes it when."""

from __future__ import annotations

import io
import json
import os
import pickle
from pathlib import Path

import pytest

from adapters import registry
from adapters.base import LoadError, Match, Rank
from adapters.registry import Choice
from server.config.model_config import ModelConfig
from server.loading import recognised_ahead
from server.loading.catalog import Found, look_again
from server.loading.recognised_ahead import RecognisedAhead
from server.loading.recognition import Recognised
from server.loading.seal import Seal
from tests.server.loading.test_imports_ahead import run
from tests.server.loading.test_loader import found

#: in a process as the server's: `know` waits until the fork has ended, and tells which of the folders it wrote down
_LOOK = """
from dataclasses import replace
from server.loading.catalog import look_again
from server.loading.seal import Seal
ahead, recogniser = assembly.loader.ahead, assembly.loader.recogniser
folders = {found.name: found for found in assembly.catalog.found}

def look():
    assembly.loader.look_ahead(list(folders.values()))
    ahead._fork.wait(60)

def take(name):
    found = look_again(folders[name])
    return ahead.take(found, Seal.of(found.directory))

"""


_MODEL = """
import kserve

class Mine(kserve.Model):
    def predict(self, payload, headers=None):
        return payload
"""


def write(mount: Path, *names: str) -> None:
    for name in names:
        (mount / name).mkdir(parents=True)
        (mount / name / "model.py").write_text(_MODEL)


def recognised(at: Found, **claim: str) -> Recognised:
    return Recognised(at.directory, Choice(registry.get("custom"), Match(Rank.CODE, **claim)), {}, ModelConfig())


def test_it_finds_what_this_process_would_find_and_tells_it_once(tmp_path: Path) -> None:
    write(tmp_path, "one", "two")
    (tmp_path / "two" / "polyserve.yaml").write_text("adapter: custom\nlanes: 2\npinned: true\n")
    assert run(
        tmp_path,
        _LOOK
        + """
look()
told = {name: take(name) for name in folders}
same = {name: each == recogniser.recognise(look_again(folders[name])) for name, each in told.items()}
print(json.dumps([same, told["two"].config.lanes, [take(name) for name in folders]]))
assembly.close()
""",
    ) == [{"one": True, "two": True}, 2, [None, None]]


def test_a_folder_that_has_changed_meanwhile_is_looked_at_again(tmp_path: Path) -> None:
    write(tmp_path, "one", "two")
    assert run(
        tmp_path,
        _LOOK
        + """
look()
(Path(sys.argv[1]) / "one" / "polyserve.yaml").write_text("lanes: 2")
print(json.dumps([name for name in folders if take(name)]))
assembly.close()
""",
    ) == ["two"]


def test_what_cannot_be_told_is_left_to_whoever_loads_it(tmp_path: Path) -> None:
    """What nobody can serve, what has files elsewhere, and what the log has to hear of."""
    write(tmp_path, "good")
    (tmp_path / "empty").mkdir()
    write(tmp_path / "versions", "1")
    (tmp_path / "loud").mkdir()
    assert run(
        tmp_path,
        _LOOK
        + """
import logging
recognise = recogniser.recognise
def loudly(found):
    if found.name == "loud":
        logging.getLogger("kserve").warning("heard")
        return recognise(folders["good"])
    return recognise(found)
recogniser.recognise = loudly
look()
print(json.dumps(sorted(name for name in folders if take(name))))
assembly.close()
""",
    ) == ["good"]


def test_more_folders_than_are_looked_at_here_are_looked_at_there(tmp_path: Path) -> None:
    write(tmp_path, "a", "b", "c")
    assert run(
        tmp_path,
        _LOOK
        + """
from server.loading import imports_ahead
imports_ahead._MOST_FOLDERS = 1
assembly.import_ahead()
ahead._fork.wait(60)
looked = []
recogniser.recognise = lambda found, recognise=recogniser.recognise: looked.append(found.name) or recognise(found)
for name in folders:
    assembly.loader._looked_at(folders[name])
print(json.dumps([len(folders), looked]))
assembly.close()
""",
    ) == [3, []]


def test_it_ends_with_whoever_wanted_it_and_so_does_what_it_was_told_to_look_at(tmp_path: Path) -> None:
    """A disk that hangs keeps it in a look for ever."""
    write(tmp_path, "one", "two")
    assert run(
        tmp_path,
        _LOOK
        + """
import psutil
recogniser.recognise = lambda found: threading.Event().wait()
assembly.loader.look_ahead(list(folders.values()))
family = psutil.Process().children(recursive=True)
assembly.end_trials()
for each in family:
    each.wait(60)
print(json.dumps([len(family), take("one"), [each.is_running() for each in family]]))
assembly.close()
""",
    ) == [2, None, [False, False]]


def test_a_process_with_threads_has_no_fork_of_it(tmp_path: Path) -> None:
    write(tmp_path, "one")
    assert run(
        tmp_path,
        _LOOK
        + """
threading.Thread(target=threading.Event().wait, daemon=True).start()
assembly.loader.look_ahead(list(folders.values()))
print(json.dumps([ahead._fork, take("one")]))
assembly.close()
""",
    ) == [None, None]


def test_what_is_half_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    ahead, at = RecognisedAhead(), look_again(found(tmp_path / "one"))
    seal = Seal.of(at.directory)
    ahead._written = os.memfd_create("half")
    told = recognised_ahead._written(at, seal, recognised(at))
    frame = recognised_ahead._LENGTH.pack(len(told)) + told
    for part in (frame[:2], frame[2:30]):
        os.write(ahead._written, part)
        assert ahead.take(at, seal) is None
    os.write(ahead._written, frame[30:])
    taken = ahead.take(at, seal)
    assert taken is not None
    assert taken.directory == at.directory
    ahead.close()


def test_what_is_looked_at_here_is_taken_by_its_seal(tmp_path: Path) -> None:
    ahead, at = RecognisedAhead(), look_again(found(tmp_path / "one"))
    seal = Seal.of(at.directory)
    ahead.remember(at, seal, what := recognised(at))
    assert ahead.take(at, seal) is what
    ahead.remember(at, seal, what)
    (tmp_path / "one" / "model.echo").write_text("another")
    assert ahead.take(at, Seal.of(at.directory)) is None
    ahead.remember(at, seal, recognised(at, beside="another"))
    assert ahead.take(at, seal) is None


def test_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    ahead, at = RecognisedAhead(), look_again(found(tmp_path / "one"))
    seal = Seal.of(at.directory)
    ahead._written = os.memfd_create("strange")
    for told in (b"nonsense", pickle.dumps(print), recognised_ahead._written(at, seal, recognised(at))):
        os.write(ahead._written, recognised_ahead._LENGTH.pack(len(told)) + told)
    assert ahead.take(at, seal) is not None
    ahead.close()


@pytest.mark.parametrize("what", [os.system, print, Path.read_text, json.loads, LoadError])
def test_nothing_but_descriptions_of_folders_is_read(what: object) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return what, ("true",)

    with pytest.raises(pickle.UnpicklingError, match="describes no folder"):
        recognised_ahead._Reader(io.BytesIO(pickle.dumps(Evil()))).load()
