"""TorchScript that would touch more than tensors: what it would run is never run, however it is spelt."""

from __future__ import annotations

import itertools
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from adapters.base import LoadError, Match, ModelDir, Trust
from adapters.torch_ import TorchAdapter, operators, script, script_audit
from adapters.torch_.records import Records

torch = pytest.importorskip("torch")

from tests.adapters.torch_ import evasions  # noqa: E402
from tests.adapters.torch_ import models as m  # noqa: E402


def load(folder: Path, trusted: bool = False) -> TorchAdapter:
    model_dir = ModelDir(folder, folder, trusted)
    return TorchAdapter.load(model_dir, registry.choose(model_dir).match.file, {})


def claim(folder: Path) -> Match:
    match = TorchAdapter.match(ModelDir.of(folder))
    assert match is not None
    return match


@pytest.fixture(scope="module")
def base() -> evasions.Records:
    return evasions.records()


def refusal(found: evasions.Records, folder: Path) -> str:
    """Why a program is refused; "" when it is not: then it runs."""
    path = evasions.write(found, folder / "model.pt")
    try:
        module = script.load(ModelDir.of(folder), "model.pt")
        module(torch.ones(2))
    except LoadError as error:
        return str(error)
    finally:
        path.unlink()
    return ""


def test_the_sound_program_passes(base: evasions.Records, tmp_path: Path) -> None:
    assert refusal(base, tmp_path) == ""
    assert refusal(evasions.program(base, "relu", "x", "plain", "body"), tmp_path) == ""
    assert refusal(evasions.program(base, "relu", "x", "alias", "held function"), tmp_path) == ""


@pytest.mark.parametrize("place", evasions.PLACES)
def test_no_spelling_reaches_a_file(base: evasions.Records, tmp_path: Path, place: str) -> None:
    """Every spelling in this place; what would be written is looked for, too."""
    mark = tmp_path / "mark"
    calls = {"save": f'x, "{mark}"', "from_file": f'"{mark}", True, 8'}
    for (operator, args), spelling in itertools.product(calls.items(), evasions.SPELLINGS):
        found = evasions.program(base, operator, args, spelling, place)
        assert refusal(found, tmp_path / "m"), (operator, spelling)
        assert not mark.exists(), (operator, spelling)


@pytest.mark.parametrize("seed", range(4))
def test_no_damage_makes_a_refused_program_pass(
    base: evasions.Records, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for found in evasions.mutations(base, seed, 150):
        assert refusal(found, tmp_path / "m") or b"save" not in found[evasions.CODE], found[evasions.CODE]
        assert not (tmp_path / "MARK").exists(), found[evasions.CODE]


def test_no_registered_operator_but_the_known_ones_may_be_named(base: evasions.Records, tmp_path: Path) -> None:
    """`ops.namespace.name` names every operator that is registered, other libraries' too."""
    registered = {schema.name for schema in torch._C._jit_get_all_schemas()}
    allowed = registered & operators.HARMLESS
    unknown = registered - allowed
    assert {"aten::save", "aten::from_file", "aten::set_", "inductor::_reinterpret_tensor"} < unknown
    calls = "".join(f"  y = ops.{name.replace('::', '.')}(x)\n" for name in sorted(allowed))
    function = "def f(x: Tensor) -> Tensor:\n{}  return x\n"
    evasions.write({**base, "code/__torch__/f.py": function.format(calls).encode()}, tmp_path / "model.pt")
    script_audit.check_source(Records(tmp_path / "model.pt"))
    found = {name: f"code/__torch__/f{index}.py" for index, name in enumerate(sorted(unknown))}
    sources = {file: function.format(f"  y = ops.{name.replace('::', '.')}(x)\n") for name, file in found.items()}
    records = Records(evasions.write({name: code.encode() for name, code in sources.items()}, tmp_path / "unknown.pt"))
    for name in found.values():
        with pytest.raises(LoadError, match="not known to be harmless"):
            script_audit._check_names(records, name, script_audit._tokens(records, name))


def test_what_is_refused_is_named_with_the_way_out(base: evasions.Records, tmp_path: Path) -> None:
    reason = refusal(evasions.program(base, "save", 'x, "f"', "alias", "body"), tmp_path)
    assert reason == (
        f"model.pt calls torch.save in {evasions.CODE}, which is not known to be harmless; "
        "it was not loaded: if you trust the file, set `trust: full` in its polyserve.yaml"
    )


class FromFile(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.from_file("/etc/hostname", False, 1, dtype=torch.uint8)


def test_who_is_trusted_in_full_is_not_asked(tmp_path: Path) -> None:
    m.script(FromFile(), tmp_path / "model.pt")
    with pytest.raises(LoadError, match=r"calls torch\.from_file"):
        load(tmp_path)
    assert load(tmp_path, trusted=True).signature.inputs[0].name == "x"


def test_code_is_found_however_its_name_is_written(base: evasions.Records, tmp_path: Path) -> None:
    """Torch finds a record by its name in any case."""
    mark = tmp_path / "mark"
    found = evasions.program(base, "from_file", f'"{mark}", True, 8', "plain", "default of an argument")
    for name in (evasions.CODE.upper(), evasions.CODE.title(), evasions.CODE.replace(".py", ".PY")):
        hidden = {name if each == evasions.CODE else each: data for each, data in found.items()}
        assert "under names that torch does not give" in refusal(hidden, tmp_path / "m")
        assert "under names that torch does not give" in refusal({**base, name: found[evasions.CODE]}, tmp_path / "m")
        assert not mark.exists()


def test_the_first_format_is_refused(base: evasions.Records, tmp_path: Path) -> None:
    assert "TorchScript's first format" in refusal({**base, "MODEL.json": b"{}"}, tmp_path)


def test_more_code_than_is_read_is_refused(base: evasions.Records, tmp_path: Path) -> None:
    long = {**base, "code/__torch__/more.py": b"def f() -> int:\n  return 1\n" * 350_000}
    assert "more than 8 MiB" in refusal(long, tmp_path)


def test_native_classes_that_are_not_known_are_refused(base: evasions.Records, tmp_path: Path) -> None:
    held = evasions.outer(declared="s : __torch__.torch.classes.c10d.Store").encode()
    code = base[evasions.CODE].partition(b"class Outer")[0] + held
    assert "native class c10d.Store" in refusal({**base, evasions.CODE: code}, tmp_path)
    pickled = base["data.pkl"].replace(b"q\x00", b"q\x00c__torch__.torch.classes.c10d\nStore\nq\x00", 1)
    assert pickled != base["data.pkl"]
    assert "native class c10d.Store" in refusal({**base, "data.pkl": pickled}, tmp_path)


class Sound(torch.nn.Module):
    """Names and texts that only look dangerous."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList([torch.nn.Linear(2, 2)])
        self.save = torch.nn.Linear(2, 2)

    def from_file(self, x: torch.Tensor) -> torch.Tensor:
        return self.save(x)

    def forward(self, saved: torch.Tensor) -> torch.Tensor:
        save = saved.clone()
        if save.dim() > 3:
            raise ValueError("torch.save(x) # é \"quoted\" 'too' \n and \\ back")
        for layer in self.layers:
            save = torch.relu(layer(self.from_file(save)))
        return torch.nn.functional.softmax(save, dim=-1)


def test_ordinary_scripts_pass(tmp_path: Path) -> None:
    m.script(Sound().eval(), tmp_path / "model.pt")
    assert load(tmp_path).signature.inputs[0].shape == (-1, 2)
    assert claim(tmp_path).trust is Trust.SAFE
    assert "calls native operators" in claim(tmp_path).carries


nn = torch.nn
X = torch.rand(2, 4, 8)
ORDINARY: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "convolution": (
        nn.Sequential(nn.Conv1d(4, 4, 3), nn.BatchNorm1d(4), nn.GELU(), nn.MaxPool1d(2), nn.Flatten()),
        (X,),
    ),
    "transposed": (nn.Sequential(nn.ConvTranspose1d(4, 2, 3), nn.InstanceNorm1d(2), nn.Upsample(scale_factor=2)), (X,)),
    "recurrent": (nn.LSTM(8, 5, 2, batch_first=True, bidirectional=True), (X,)),
    "gated": (nn.GRU(8, 5), (X,)),
    "encoder": (nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2), (X,)),
    "transformer": (nn.Transformer(8, 2, 1, 1, 16, batch_first=True), (X, X)),
    "attention": (nn.MultiheadAttention(8, 2, batch_first=True), (X, X, X)),
    "embedding": (nn.Embedding(9, 4, max_norm=1.0), (torch.ones(2, 3, dtype=torch.long),)),
    "bag": (nn.EmbeddingBag(9, 4), (torch.ones(2, 3, dtype=torch.long),)),
    "norms": (nn.Sequential(nn.LayerNorm(8), nn.RMSNorm(8), nn.Softmax(-1)), (X,)),
    "shuffle": (nn.Sequential(nn.PixelShuffle(2), nn.ReflectionPad2d(1)), (torch.rand(1, 4, 3, 3),)),
    "normed weights": (nn.utils.parametrizations.weight_norm(nn.Linear(8, 3)), (X,)),
    "quantized": (torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(8, 4)), {nn.Linear}), (X,)),
    "quantized recurrent": (torch.ao.quantization.quantize_dynamic(nn.LSTM(8, 4), {nn.LSTM}), (X,)),
}


@pytest.mark.parametrize("kind", ["script", "trace"])
@pytest.mark.parametrize("name", ORDINARY)
@pytest.mark.filterwarnings("ignore")
def test_ordinary_modules_pass(tmp_path: Path, name: str, kind: str) -> None:
    module, inputs = ORDINARY[name]
    module = module.eval()
    program = torch.jit.script(module) if kind == "script" else torch.jit.trace(module, inputs, check_trace=False)
    torch.jit.save(program, str(tmp_path / "model.pt"))
    assert script.load(ModelDir.of(tmp_path), "model.pt") is not None


@pytest.mark.filterwarnings("ignore")
def test_a_quantized_network_is_set_up_by_its_own_code(tmp_path: Path) -> None:
    """Its packed weights come through `__setstate__`, which may run as it names no unknown operator."""
    quantization = torch.ao.quantization
    model = nn.Sequential(quantization.QuantStub(), nn.Conv2d(3, 4, 3), nn.ReLU(), quantization.DeQuantStub()).eval()
    model.qconfig = quantization.get_default_qconfig("x86")
    prepared = quantization.prepare(model)
    prepared(torch.rand(2, 3, 8, 8))
    torch.jit.save(torch.jit.script(quantization.convert(prepared)), str(tmp_path / "model.pt"))
    module = script.load(ModelDir.of(tmp_path), "model.pt")
    assert module(torch.rand(2, 3, 8, 8)).shape == (2, 4, 6, 6)


#: code that runs, in a function that no graph of a module's method need show
HIDDEN = ["body", "closure", "method nobody calls", "held function", "class", "__setstate__", "__enter__", "__lt__"]


@pytest.mark.parametrize("place", HIDDEN)
@pytest.mark.parametrize("spelling", ["method", "method with spaces", "getattr of a value"])
def test_methods_of_values_are_operators_too(base: evasions.Records, tmp_path: Path, spelling: str, place: str) -> None:
    """Their names lead to operators without `torch` or `ops`; an unknown one is refused wherever it runs."""
    assert refusal(evasions.program(base, "add_", "1", spelling, place), tmp_path) == ""
    for operator in ("set_", "copy_sparse_to_sparse_"):
        assert refusal(evasions.program(base, operator, "x", spelling, place), tmp_path), operator


class Hooked(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2.0


def _before(self: torch.nn.Module, given: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    return (given[0].relu(),)


def _after(self: torch.nn.Module, given: tuple[torch.Tensor], result: torch.Tensor) -> torch.Tensor:
    return result.relu()


@pytest.mark.parametrize("kind", ["before", "after"])
def test_hooks_are_looked_through(tmp_path: Path, kind: str) -> None:
    """They are no methods of the module: Python runs them around the call."""
    module = Hooked()
    if kind == "before":
        module.register_forward_pre_hook(_before)
    else:
        module.register_forward_hook(_after)
    path = m.script(module.eval(), tmp_path / "model.pt")
    with zipfile.ZipFile(path) as archive:
        found = {name.partition("/")[2]: archive.read(name) for name in archive.namelist() if "debug_pkl" not in name}
    (name,) = [name for name in found if b"torch.relu(" in found[name]]
    hidden = re.sub(rb"torch\.relu\((\(?\w+\)?(?:\[0\])?)\)", rb"(\1)._reshape_alias([4096], [1])", found[name])
    assert refusal(found, tmp_path / "m") == ""
    assert "torch._reshape_alias" in refusal({**found, name: hidden}, tmp_path / "m")


@pytest.mark.parametrize(
    "value", ["CONSTANTS.c0 + 1", "-CONSTANTS.c0", "CONSTANTS.c0[0]", "CONSTANTS.c0.n", "1 if CONSTANTS.c0 else 2",
              "CONSTANTS.c0 == 1", "[x for x in CONSTANTS.c0]", "not CONSTANTS.c0", "1 < CONSTANTS.c0", "2 ** 3"]
)  # fmt: skip
def test_declarations_are_literals(base: evasions.Records, tmp_path: Path, value: str) -> None:
    """An operator on an object is a method of its class, and torch evaluates it while it loads."""
    for source in (
        evasions.outer(parameter=f",\n    y: int={value}"),
        evasions.outer(declared=f"K : Final[int] = {value}"),
    ):
        code = base[evasions.CODE].replace(b"class Outer(", b"class Other(") + source.encode()
        reason = refusal({**base, evasions.CODE: code}, tmp_path)
        assert "by more than literals" in reason or "is not written as torch writes it" in reason


@pytest.mark.parametrize(
    "value", ["1", "-1.5e-05", "1.+2.j", "-inf", '"a + b"', "[1, 2]", "(1, -2)", "annotate(List[int], [])",
              'torch.device("cpu")', "True", "None"],
)  # fmt: skip
def test_literals_may_be_declared(base: evasions.Records, tmp_path: Path, value: str) -> None:
    source = evasions.outer(parameter=f",\n    y: Any={value}").encode()
    code = base[evasions.CODE].replace(b"class Outer(", b"class Other(") + source
    script_audit.check_source(Records(evasions.write({**base, evasions.CODE: code}, tmp_path / "model.pt")))


def test_constants_bring_no_objects(base: evasions.Records, tmp_path: Path) -> None:
    held = b"\x80\x02c__torch__.tests\nPlain\nq\x00)\x81}b\x85."
    assert "holds objects among its constants" in refusal({**base, "constants.pkl": held}, tmp_path)


def test_strings_that_torch_puts_together_are_refused(base: evasions.Records, tmp_path: Path) -> None:
    found = evasions.program(base, "set_", "x", "getattr of a value in halves", "__enter__")
    assert "is not written as torch writes it" in refusal(found, tmp_path)


def test_an_interface_is_not_taken_for_a_native_class(base: evasions.Records, tmp_path: Path) -> None:
    """Calls of an interface's methods are in no graph; those of native classes may be."""
    interface = "class LinearPackedParamsBase(Interface):\n" + evasions.method(
        "quantized.LinearPackedParamsBase", "leak", "pass", "x", "x: Tensor"
    ).replace("    return x\n", "")
    found = {**base, "code/quantized.py": interface.encode()}
    assert "under names that torch does not give" in refusal(found, tmp_path)
