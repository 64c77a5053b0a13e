"""Whatever a file tries, nothing happens, and the reason names what it tried."""

from __future__ import annotations

import copyreg
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import FunctionTransformer

from adapters.base import LoadError
from adapters.formats.pickles import Refused, Unreadable, inspect, load
from tests.adapters.formats.pickles import attacks
from tests.adapters.formats.pickles.kit import COMPRESSIONS, dumped, written

pytestmark = pytest.mark.filterwarnings("ignore:Trying to unpickle")


def _attempt(path: Path) -> None:
    """Everything that the server would do with a file, and the loader alone: neither may let it act."""
    with pytest.raises(LoadError):
        load(path)
    try:
        refused = inspect(path).refused
    except Unreadable:
        return
    assert refused
    assert refused.startswith(f"{path.name} ")
    assert "\n" not in refused


def test_the_attacks_work_elsewhere(mark: Path, tmp_path: Path) -> None:
    for name, attack in attacks.crafted(mark).items():
        pickle.loads(attack)
        assert mark.exists(), name
        mark.unlink()
    for name, value in attacks.nested(mark).items():
        joblib.load(dumped(value, tmp_path / "a.joblib"))
        assert mark.exists(), name
        mark.unlink()


@pytest.mark.parametrize("protocol", range(6))
def test_a_hidden_call_is_named_and_never_made(protocol: int, mark: Path, tmp_path: Path) -> None:
    for name, value in attacks.nested(mark).items():
        plain = written(tmp_path / "model.pkl", pickle.dumps(value, protocol))
        for path in (plain, dumped(value, tmp_path / "model.joblib", protocol=protocol)):
            with pytest.raises(
                Refused, match=r"^model\.\w+ names posix\.system, which is not a class of a known library"
            ):
                load(path)
            contents = inspect(path)
            assert contents.refused == (
                f"{path.name} names posix.system, which is not a class of a known library; it was not loaded"
            ), name
            assert "posix.system" in contents.names
            assert not mark.exists(), name


@pytest.mark.parametrize("compress", COMPRESSIONS)
def test_a_hidden_call_in_a_compressed_file(compress: Any, mark: Path, tmp_path: Path) -> None:
    for value in attacks.nested(mark).values():
        path = dumped(value, tmp_path / "model.joblib", compress)
        assert "posix.system" in inspect(path).refused
        _attempt(path)
        assert not mark.exists()


def test_crafted_pickles(mark: Path, tmp_path: Path) -> None:
    for name, attack in attacks.crafted(mark).items():
        _attempt(written(tmp_path / "model.pkl", attack))
        assert not mark.exists(), name


def test_ways_through_the_libraries(mark: Path, tmp_path: Path) -> None:
    for name, attack in attacks.through_libraries(mark).items():
        path = written(tmp_path / "model.pkl", attack)
        if name == "a distribution's source":
            assert type(load(path)).__name__ == "Placeholder"
        elif name == "getattr as a value":  # which the scan refuses; what stands in for it reaches nothing
            assert load(path).a is not getattr
        else:
            with pytest.raises(LoadError):
                load(path)
        assert not mark.exists(), name
    assert LogisticRegression.predict is not np.mean


@pytest.mark.parametrize(
    "name",
    [
        "an object as a function",
        "a class changed",
        "a persistent id",
        "an extension code",
        "a constructor",
        "a function that is only held",
        "getattr for other than a distribution",
        "getattr as a value",
        "partial of another function",
        "numpy.memmap by __new__",
        "sklearn's tests",
        "joblib's old array",
        "joblib's cloudpickle",
    ],
)
def test_the_scan_alone_refuses(name: str, mark: Path, tmp_path: Path) -> None:
    assert inspect(written(tmp_path / "model.pkl", attacks.through_libraries(mark)[name])).refused


def test_a_cached_extension_code_stays_refused(mark: Path, tmp_path: Path) -> None:
    copyreg.add_extension("posix", "system", 200)
    try:
        attack = (
            b"\x80\x02\x82\xc8X" + len(command := f"touch {mark}".encode()).to_bytes(4, "little") + command + b"\x85R."
        )
        pickle.loads(attack)  # puts it into the interpreter's own cache
        mark.unlink()
        _attempt(written(tmp_path / "model.pkl", attack))
        assert not mark.exists()
    finally:
        copyreg.remove_extension("posix", "system", 200)


def _own_function(x: Any) -> Any:
    return x


def test_the_users_own_code_gets_a_hint(tmp_path: Path) -> None:
    own = FunctionTransformer(_own_function)
    contents = inspect(dumped(own, tmp_path / "model.pkl"))
    assert contents.refused == (
        f"model.pkl names {__name__}._own_function, which is not a class of a known library; it was not loaded; "
        "if you trust the file, set `trust: full` in its polyserve.yaml and bring what it names: a library in a "
        "requirements.txt, code of your own in a model.py"
    )
    main = pickle.dumps(own, 0).replace(__name__.encode(), b"__main__")
    assert "names __main__._own_function" in inspect(written(tmp_path / "model.pkl", main)).refused


def test_names_cannot_forge_lines_of_the_log(tmp_path: Path) -> None:
    forged, endless = b"os\nINFO all is well", b"a" * 10_000
    for module in (forged, endless):
        name = b"X" + len(module).to_bytes(4, "little") + module
        path = written(tmp_path / "a.pkl", b"\x80\x04" + name + b"\x8c\x01b\x93.")
        refused = inspect(path).refused
        assert refused.isprintable()
        assert len(refused) < 400
        with pytest.raises(Refused) as caught:
            load(path)
        assert str(caught.value) == refused


def test_several_names_are_all_told(tmp_path: Path) -> None:
    content = b"\x80\x02(cposix\nsystem\ncbuiltins\neval\nce\nf\ncg\nh\nl."
    contents = inspect(written(tmp_path / "a.pkl", content))
    assert contents.names == ("posix.system", "builtins.eval", "e.f", "g.h")
    assert contents.refused.startswith(
        "a.pkl names posix.system, builtins.eval, e.f and 1 more, which are not classes of"
    )


def test_trust_lifts_the_policy(mark: Path, tmp_path: Path) -> None:
    path = dumped(attacks.touching(mark), tmp_path / "a.joblib")
    load(path, trusted=True)
    assert mark.exists()


def test_second_pickle_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path / "a.pkl", pickle.dumps(GaussianNB()) + pickle.dumps(GaussianNB()))
    with pytest.raises(Unreadable, match="holds more after its first object"):
        inspect(path)
