"""From a file that has run to a loaded model: which class, which constructor's arguments, what `load` may do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import ModuleType
from typing import Any

import kserve
import pytest

from adapters.base import LoadError
from adapters.custom_.building import build, check_answers
from adapters.custom_.program import Program

HERE = Path("/somewhere/models/mine")


class Kept(kserve.Model):
    """Remembers what its constructor was given."""

    def __init__(self, name: str, **given: Any) -> None:
        super().__init__(name)
        self.given = {"name": name, **given}


class Plain(Kept):
    def __init__(self, name: str) -> None:
        super().__init__(name)


class Nameless(Kept):
    def __init__(self) -> None:
        super().__init__("of its own")


class OtherName(Kept):
    def __init__(self, title: str) -> None:
        super().__init__(title)


class WithFolder(Kept):
    def __init__(self, name: str, model_dir: str) -> None:
        super().__init__(name, model_dir=model_dir)


class FolderFirst(Kept):
    def __init__(self, model_path: str, model_name: str) -> None:
        super().__init__(model_name, model_path=model_path)


class MountByDefault(Kept):
    def __init__(self, name: str, model_dir: str = "/mnt/models", depth: int = 3) -> None:
        super().__init__(name, model_dir=model_dir, depth=depth)


class NoneByDefault(Kept):
    def __init__(self, name: str, model_dir: str | None = None) -> None:
        super().__init__(name, model_dir=model_dir)


class InnerByDefault(Kept):
    def __init__(self, name: str, model_dir: str = "artifacts") -> None:
        super().__init__(name, model_dir=model_dir)


class KeywordsOnly(Kept):
    def __init__(self, *, name: str, model_dir: str) -> None:
        super().__init__(name, model_dir=model_dir)


class PositionalOnly(Kept):
    def __init__(self, name: str, model_dir: str, /) -> None:
        super().__init__(name, model_dir=model_dir)


class HandsOn(Kept):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class HandsOnKeywords(Kept):
    def __init__(self, model_dir: str, **kwargs: Any) -> None:
        super().__init__(**kwargs, model_dir=model_dir)


class Transformer(Kept):
    def __init__(self, name: str, predictor_host: str) -> None:
        super().__init__(name, predictor_host=predictor_host)


def program(*classes: type, **more: Any) -> Program:
    module = ModuleType(__name__)
    vars(module).update({cls.__name__: cls for cls in classes} | more)
    return Program(module)


def built(ran: Program, hinted: set[str] | None = None, **options: Any) -> Any:
    return build(ran, hinted or set(), "served", HERE, options)


@pytest.mark.parametrize(
    ("cls", "given"),
    [
        (Plain, {"name": "served"}),
        (Nameless, {"name": "of its own"}),
        (OtherName, {"name": "served"}),
        (WithFolder, {"name": "served", "model_dir": str(HERE)}),
        (FolderFirst, {"name": "served", "model_path": str(HERE)}),
        (MountByDefault, {"name": "served", "model_dir": str(HERE), "depth": 3}),
        (NoneByDefault, {"name": "served", "model_dir": str(HERE)}),
        (InnerByDefault, {"name": "served", "model_dir": "artifacts"}),
        (KeywordsOnly, {"name": "served", "model_dir": str(HERE)}),
        (PositionalOnly, {"name": "served", "model_dir": str(HERE)}),
        (HandsOn, {"name": "served"}),
        (HandsOnKeywords, {"name": "served", "model_dir": str(HERE)}),
        (Transformer, {"name": "served", "predictor_host": "there"}),
    ],
)
def test_constructors(cls: type, given: dict[str, Any]) -> None:
    model = built(program(cls), predictor_host="there")
    assert (model.given, model.name, model.ready) == (given, "served", True)


def test_the_class_that_others_build_on_is_not_the_one() -> None:
    class Leaf(Plain):
        pass

    assert type(built(program(Plain, Leaf))) is Leaf


def test_one_of_several_classes_by_the_script_or_by_name() -> None:
    assert type(built(program(Plain, OtherName), {"OtherName"})) is OtherName
    assert type(built(program(Plain, OtherName), **{"class": "OtherName"})) is OtherName
    with pytest.raises(LoadError, match=r"several subclasses of kserve.Model: Plain, OtherName; keep one, or name the"):
        built(program(Plain, OtherName))
    with pytest.raises(LoadError, match=r"no subclass of kserve.Model called Nobody \(option class\)"):
        built(program(Plain), **{"class": "Nobody"})


def test_what_is_imported_from_kserve_does_not_count() -> None:
    with pytest.raises(LoadError, match="defines no subclass of kserve"):
        built(program(kserve.Model, path=Path))


def test_the_model_that_the_file_started() -> None:
    ran = program(Plain)
    ran.models = [Plain("its own name")]
    assert built(ran) is ran.models[0]
    assert ran.models[0].name == "served"


def test_several_models_that_the_file_started() -> None:
    ran = program(Plain)
    ran.models = [Plain("served"), Plain("other"), OtherName("third")]
    assert built(ran) is ran.models[0]
    assert built(ran, **{"class": "OtherName"}) is ran.models[2]
    ran.models = [Plain("one"), Plain("two")]
    with pytest.raises(LoadError, match=r"starts 2 models: one \(Plain\), two \(Plain\)"):
        built(ran)


def test_load_is_called_once() -> None:
    class LoadsItself(Plain):
        count = 0

        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.load()

        def load(self) -> bool:
            self.count += 1
            self.ready = True
            return True

    class NeverReady(LoadsItself):
        def __init__(self, name: str) -> None:
            Plain.__init__(self, name)

        def load(self) -> None:
            self.count += 1

    assert built(program(LoadsItself)).count == 1
    assert built(program(NeverReady)).count == 1


def test_load_that_is_a_coroutine() -> None:
    class Later(Plain):
        async def load(self) -> bool:
            self.loop = asyncio.get_running_loop()
            return True

    model = built(program(Later))
    policy = asyncio.get_event_loop_policy()
    assert model.loop is policy.get_event_loop()
    model.loop.close()  # this thread's: whoever comes later would be blamed for it
    policy.set_event_loop(None)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("no weights"), "ValueError: no weights"),
        (KeyError("weights"), "KeyError: 'weights'"),
        (SystemExit(4), "the code ended the process: sys.exit(4)"),
        (MemoryError(), "MemoryError()"),
    ],
)
def test_load_that_raises(error: BaseException, reason: str) -> None:
    class Raises(Plain):
        def load(self) -> bool:
            raise error

    with pytest.raises(LoadError) as refused:
        built(program(Raises))
    assert str(refused.value) == f"model.py: {reason}"


def test_load_that_answers_false() -> None:
    class SaysNo(Plain):
        def load(self) -> bool:
            return False

    class SaysNoWhenReady(Plain):
        def load(self) -> bool:
            self.ready = True
            return False

    with pytest.raises(LoadError, match=r"load\(\) returned False"):
        built(program(SaysNo))
    assert built(program(SaysNoWhenReady)).ready


def test_constructors_that_cannot_be_called() -> None:
    class WantsMore(Plain):
        def __init__(self, name: str, threshold: float) -> None:
            super().__init__(name)

    class Forgets(kserve.Model):
        def __init__(self, name: str) -> None:
            pass

    with pytest.raises(LoadError, match="the constructor needs 'threshold', which has no default"):
        built(program(WantsMore))
    with pytest.raises(LoadError, match=r"Forgets.__init__ does not call super\(\).__init__\(name\)"):
        built(program(Forgets))


def test_a_model_with_nothing_to_answer_with_is_refused() -> None:
    class Misspelled(kserve.Model):
        def predic(self, payload: Any, headers: Any = None) -> Any:
            return payload

    class Preprocesses(kserve.Model):
        def preprocess(self, payload: Any, headers: Any = None) -> Any:
            return payload

    with pytest.raises(LoadError, match=r"Misspelled defines no predict; is predic meant to be it\?"):
        check_answers(Misspelled("m"))
    with pytest.raises(LoadError, match="Plain defines no predict: write one"):
        check_answers(Plain("m"))
    check_answers(Preprocesses("m"))
    calls = Plain("m")
    calls.predictor_host = "there"
    check_answers(calls)
    by_hand = Plain("m")
    by_hand.predict = lambda payload, headers=None: payload  # type: ignore[method-assign]
    check_answers(by_hand)
