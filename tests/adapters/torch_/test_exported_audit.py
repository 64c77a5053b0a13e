"""Hostile exported programs: what they would run is never run."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from adapters.base import LoadError, ModelDir, Trust
from adapters.torch_ import TorchAdapter

torch = pytest.importorskip("torch")

from tests.adapters.torch_ import models as m  # noqa: E402

Edit = Callable[[dict[str, Any]], None]


def load(folder: Path, trusted: bool = False) -> TorchAdapter:
    model_dir = ModelDir(folder, folder, trusted)
    return TorchAdapter.load(model_dir, registry.choose(model_dir).match.file, {})


def exported(folder: Path) -> Path:
    shapes = {"input": {0: torch.export.Dim("batch")}}
    return m.export(m.mlp(), [torch.zeros(2, 4)], folder / "model.pt2", shapes)


def rewritten(path: Path, replace: dict[str, Callable[[bytes], bytes]], extra: dict[str, bytes] | None = None) -> None:
    """The archive with some records (by the end of their names) changed, and others added."""
    with zipfile.ZipFile(path) as source:
        records = {name: source.read(name) for name in source.namelist()}
    top = next(iter(records)).partition("/")[0]
    for name, data in records.items():
        for end, change in replace.items():
            if name.endswith(end):
                records[name] = change(data)
    records |= {f"{top}/{name}": data for name, data in (extra or {}).items()}
    with zipfile.ZipFile(path, "w") as target:
        for name, data in records.items():
            target.writestr(name, data)


def edited(edit: Edit) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        document = json.loads(data)
        edit(document)
        return json.dumps(document).encode()

    return change


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def graph(program: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = program["graph_module"]["graph"]
    return found


def expression(text: str) -> Edit:
    return lambda program: graph(program)["tensor_values"]["input"]["sizes"][0]["as_expr"].update(expr_str=text)


def target(name: str) -> Edit:
    return lambda program: graph(program)["nodes"][0].update(target=name)


def name(text: str) -> Edit:
    def edit(program: dict[str, Any]) -> None:
        graph(program)["nodes"][0]["outputs"][0]["as_tensor"]["name"] = text

    return edit


def argument_name(text: str) -> Edit:
    def edit(program: dict[str, Any]) -> None:
        graph(program)["nodes"][0]["inputs"][0]["name"] = text

    return edit


def tree(context: str, kind: str = "builtins.dict") -> Edit:
    def edit(program: dict[str, Any]) -> None:
        signature = program["graph_module"]["module_call_graph"][0]["signature"]
        signature["in_spec"] = json.dumps([1, {"type": kind, "context": context, "children_spec": []}])

    return edit


def signature(key: str, text: str) -> Edit:
    def edit(program: dict[str, Any]) -> None:
        specs = program["graph_module"]["signature"]["input_specs"]
        specs[0] = {key.partition("_")[0]: {key: text}}

    return edit


EDITS: dict[str, tuple[Edit, str]] = {
    "sympy call": (expression("__import__('os').mkdir('RAN')"), "more than arithmetic"),
    "sympy eval": (expression("eval('1')"), "more than arithmetic"),
    "sympy attribute": (expression("Symbol('s0').__class__"), "more than arithmetic"),
    "sympy lambda": (expression("(lambda: 1)()"), "more than arithmetic"),
    "sympy function of sympy's": (expression("preview(1)"), "more than arithmetic"),
    "sympy text": (expression("Symbol('a; import os')"), "more than arithmetic"),
    "sympy deep": (expression("(" * 3000 + "1" + ")" * 3000), "more than arithmetic"),
    "operator of os": (target("torch.serialization.os.system"), "not known to be harmless"),
    "operator that loads": (target("torch.load"), "not known to be harmless"),
    "operator by dunder": (target("torch.ops.aten.__class__.__init__"), "not known to be harmless"),
    "operator loading libraries": (target("torch.ops.load_library.x"), "not known to be harmless"),
    "operator reading files": (target("torch.ops.aten.from_file.default"), "not known to be harmless"),
    "operator of memory": (
        target("torch.ops.inductor._reinterpret_tensor.default"),
        "not known to be harmless",
    ),
    "operator of a kernel": (
        target("torch.ops.higher_order.triton_kernel_wrapper_mutation"),
        "not known to be harmless",
    ),
    "what an operator has": (target("torch.ops.aten.relu.overloads"), "not known to be harmless"),
    "what an operator of higher order has": (target("torch.ops.higher_order.cond.py_impl"), "not known to be harmless"),
    "what a namespace has": (target("torch.ops.prim.name.format"), "not known to be harmless"),
    "symbol": (lambda program: program.update(range_constraints={"u999999999999": {}}), "is no symbol"),
    "operator of operator": (target("_operator.attrgetter"), "not known to be harmless"),
    "name": (name("x\n    __import__('os').mkdir('RAN')"), "no name in Python"),
    "argument": (argument_name("x=__import__('os').mkdir('RAN'), y"), "no name in Python"),
    "key of arguments": (tree('["x): import os #"]'), "no name in Python"),
    "key of arguments as an object": (tree('{"x): import os #": 0}'), "which are no keys"),
    "key of arguments in a list": (tree('[["x): import os #"]]'), "which are no keys"),
    "enumeration in escapes": (tree('{"\\u005f_enum__": true, "fqn": "os:x", "name": "y"}'), "which are no keys"),
    "name of a parameter": (signature("parameter_name", 'w"); import os; ("'), "no name in Python"),
    "name of a buffer": (signature("buffer_name", "__class__"), "no name in Python"),
    "name of a constant": (signature("tensor_constant_name", "a.__class__"), "no name in Python"),
    "enumeration": (tree('{"__enum__": true, "fqn": "os:x", "name": "y"}'), "which are no keys"),
    "factory": (tree("{}", "collections.defaultdict"), "takes or gives a collections.defaultdict"),
}


@pytest.mark.slow
@pytest.mark.parametrize("attack", EDITS)
def test_programs_that_would_run_code_are_refused(tmp_path: Path, attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    edit, reason = EDITS[attack]
    path = exported(tmp_path)
    before = path.read_bytes()
    rewritten(path, {"models/model.json": edited(edit)})
    assert path.read_bytes() != before
    with pytest.raises(LoadError, match=reason):
        load(tmp_path)
    assert {entry.name for entry in tmp_path.iterdir()} == {"model.pt2"}


def test_the_program_itself_passes(tmp_path: Path) -> None:
    path = exported(tmp_path)
    rewritten(path, {})
    adapter = load(tmp_path)
    assert adapter.signature.inputs[0].shape == (-1, 4)
    match = TorchAdapter.match(ModelDir.of(tmp_path))
    assert match is not None
    assert match.trust is Trust.PICKLE
    assert "calls native operators" in match.carries


def _torch_pickle(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


@pytest.mark.parametrize("record", ["sample_inputs", "weight", "legacy weights", "opaque constant"])
def test_pickles_inside_are_not_loaded(tmp_path: Path, record: str) -> None:
    (tmp_path / "m").mkdir()
    path = exported(tmp_path / "m")
    evil = _torch_pickle({"w": Evil(tmp_path / "ran")})

    def pickled(config: dict[str, Any]) -> None:
        next(iter(config["config"].values()))["use_pickle"] = True

    def opaque(config: dict[str, Any]) -> None:
        config["config"]["c"] = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True}

    if record == "sample_inputs":
        rewritten(path, {"data/sample_inputs/model.pt": lambda _: evil})
    elif record == "weight":
        rewritten(path, {"model_weights_config.json": edited(pickled), "weights/weight_0": lambda _: evil})
    elif record == "legacy weights":
        rewritten(path, {}, {"data/weights/model.pt": evil})
    else:
        forged = {"data/constants/opaque_obj_0": pickle.dumps(Evil(tmp_path / "ran"))}
        rewritten(path, {"model_constants_config.json": edited(opaque)}, forged)
    with pytest.raises(LoadError, match=r"more than tensors|pickle of any object"):
        load(tmp_path / "m")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["data/sample_inputs/model.pt", "data/weights/model_weights_config.json"])
def test_records_are_found_however_their_names_are_written(tmp_path: Path, name: str) -> None:
    """Torch finds a record by its name in any case, so that a check of one spelling would not see it."""
    (tmp_path / "m").mkdir()
    path = exported(tmp_path / "m")
    evil = _torch_pickle({"w": Evil(tmp_path / "ran")})
    with zipfile.ZipFile(path) as source:
        records = {each.partition("/")[2]: source.read(each) for each in source.namelist()}
    data = records.pop(name)
    records[name.upper()] = evil if name.endswith(".pt") else data
    with zipfile.ZipFile(path, "w") as target:
        for each, data in records.items():
            target.writestr(f"model/{each}", data)
    with pytest.raises(LoadError, match=r"which torch\.export\.save does not write"):
        load(tmp_path / "m")
    assert not (tmp_path / "ran").exists()


def test_two_records_of_one_name_are_refused(tmp_path: Path) -> None:
    rewritten(exported(tmp_path), {}, {"models/MODEL.json": b"{}"})
    with pytest.raises(LoadError, match="two records of one name"):
        load(tmp_path)


def test_what_fails_is_not_read_once_more_in_an_older_format(tmp_path: Path) -> None:
    """`torch.export.load` would, with another reader of archives than the one whose records were checked."""
    rewritten(exported(tmp_path), {"models/model.json": edited(target("torch.ops.torchvision.nms.default"))})
    with pytest.raises(LoadError, match=r"cannot be loaded: \w+: (?!We ran into an error)"):
        load(tmp_path)


def test_native_code_is_never_loaded(tmp_path: Path) -> None:
    path = exported(tmp_path)
    rewritten(path, {}, {"data/aotinductor/model/model.so": b"\x7fELF"})
    with pytest.raises(LoadError, match="AOTInductor package: native code"):
        load(tmp_path)


def test_older_exported_programs_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.pt2", "w") as target:
        target.writestr("version", "8.3")
        target.writestr("serialized_exported_program.json", "{}")
    with pytest.raises(LoadError, match=r"torch 2\.7 or older"):
        load(tmp_path)


def test_a_trace_remembers_its_inputs_without_running_them(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    path = m.trace(m.mlp(), [torch.zeros(1, 4)], tmp_path / "m" / "model.pt")
    rewritten(path, {"traced_inputs.pkl": lambda _: pickle.dumps(Evil(tmp_path / "ran"), 2)})
    try:
        load(tmp_path / "m")
    except LoadError as error:
        assert "model.pt" in str(error)  # noqa: PT017  (torch itself may refuse it)
    assert not (tmp_path / "ran").exists()
