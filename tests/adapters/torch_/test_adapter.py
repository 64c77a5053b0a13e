from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import registry
from adapters.base import InvalidInput, LoadError, ModelDir, Rank, Trust
from adapters.torch_ import TorchAdapter, declared
from server.workers.self_test import self_test

torch = pytest.importorskip("torch")

from tests.adapters.torch_ import models as m  # noqa: E402

BATCH = torch.export.Dim("batch")
LENGTH = torch.export.Dim("length", max=16)


def load(folder: Path, **options: Any) -> TorchAdapter:
    model_dir = ModelDir.of(folder)
    choice = registry.choose(model_dir)
    assert choice.adapter is TorchAdapter
    return TorchAdapter.load(model_dir, choice.match.file, options)


def told(adapter: TorchAdapter) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs and outputs: name -> (datatype, shape)."""
    signature = adapter.signature
    inputs, outputs = (
        {spec.name: (spec.datatype, spec.shape) for spec in specs} for specs in (signature.inputs, signature.outputs)
    )
    return inputs, outputs


Save = Callable[[Path], Any]
ONE = {"output-0": ("FP32", (-1, 3))}
PROGRAMS: dict[str, tuple[Save, dict[str, Any], dict[str, Any]]] = {
    "mlp": (lambda p: m.script(m.mlp(), p), {"input": ("FP32", (-1, 4))}, ONE),
    "mlp frozen": (lambda p: m.frozen(m.mlp(), p), {"input": ("FP32", (-1, 4))}, ONE),
    "mlp double": (
        lambda p: m.script(m.mlp().double(), p),
        {"input": ("FP64", (-1, 4))},
        {"output-0": ("FP64", (-1, 3))},
    ),
    "mlp bfloat16": (lambda p: m.script(m.mlp().bfloat16(), p), {"input": ("FP32", (-1, 4))}, ONE),
    "digits": (
        lambda p: m.script(m.seeded(m.Digits), p),
        {"x": ("FP32", (-1, 1, 28, 28))},
        {"output-0": ("FP32", (-1, 10))},
    ),
    "digits traced": (
        lambda p: m.trace(m.seeded(m.Digits), [torch.zeros(1, 1, 28, 28)], p),
        {"x": ("FP32", (-1, 1, 28, 28))},
        {"output-0": ("FP32", (-1, 10))},
    ),
    "any size": (
        lambda p: m.script(m.seeded(m.AnySize), p),
        {"image": ("FP32", (-1, 3, -1, -1))},
        {"output-0": ("FP32", (-1, 5))},
    ),
    "encoder": (
        lambda p: m.script(m.seeded(m.Encoder), p),
        {"input_ids": ("INT64", (-1, -1)), "attention_mask": ("INT64", (-1, -1))},
        {"logits": ("FP32", (-1, 3)), "hidden": ("FP32", (-1, -1, 8))},
    ),
    "encoder traced": (
        lambda p: m.trace(m.seeded(m.Encoder), [torch.zeros(1, 6, dtype=torch.int64)] * 2, p),
        {"input_ids": ("INT64", (-1, -1)), "attention_mask": ("INT64", (-1, -1))},
        {"logits": ("FP32", (-1, 3)), "hidden": ("FP32", (-1, -1, 8))},
    ),
    "ratings": (
        lambda p: m.script(m.seeded(m.Ratings), p),
        {"user": ("INT64", (-1,)), "dense": ("FP32", (-1, 3))},
        {"output-0": ("FP32", (-1,)), "output-1": ("FP32", (-1, 4))},
    ),
    "series": (
        lambda p: m.script(m.seeded(m.Series), p),
        {"x": ("FP32", (-1, -1, 5))},
        {"output-0": ("FP32", (-1, 1))},
    ),
    "named": (
        lambda p: m.script(m.Named(), p),
        {"x": ("FP32", (-1, -1))},
        {"low": ("FP32", (-1, -1)), "high": ("FP32", (-1, -1))},
    ),
    "texts": (
        lambda p: m.script(m.Lengths(), p),
        {"texts": ("BYTES", (-1,))},
        {"output-0": ("INT64", (-1,))},
    ),
    "one row": (
        lambda p: m.script(m.seeded(m.OneRow), p),
        {"x": ("FP32", (-1, 4))},
        {"output-0": ("FP32", (-1, 2))},
    ),
    "exported": (
        lambda p: m.export(m.mlp(), [torch.zeros(2, 4)], p, {"input": {0: BATCH}}),
        {"input": ("FP32", (-1, 4))},
        ONE,
    ),
    "exported for one row": (
        lambda p: m.export(m.mlp(), [torch.zeros(1, 4)], p),
        {"input": ("FP32", (-1, 4))},
        ONE,
    ),
    "exported for two rows": (
        lambda p: m.export(m.mlp(), [torch.zeros(2, 4)], p),
        {"input": ("FP32", (2, 4))},
        {"output-0": ("FP32", (2, 3))},
    ),
    "exported encoder": (
        lambda p: m.export(
            m.seeded(m.Encoder),
            [torch.zeros(2, 5, dtype=torch.int64), torch.ones(2, 5, dtype=torch.int64)],
            p,
            {"input_ids": {0: BATCH, 1: LENGTH}, "attention_mask": {0: BATCH, 1: LENGTH}},
        ),
        {"input_ids": ("INT64", (-1, -1)), "attention_mask": ("INT64", (-1, -1))},
        {"logits": ("FP32", (-1, 3)), "hidden": ("FP32", (-1, -1, 8))},
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_inputs_and_outputs_are_found_without_configuration(tmp_path: Path, name: str) -> None:
    save, inputs, outputs = PROGRAMS[name]
    save(tmp_path / ("model.pt2" if "exported" in name else "model.pt"))
    adapter = load(tmp_path)
    assert told(adapter) == (inputs, outputs)
    assert not self_test(adapter).error
    together = "row" not in name
    assert adapter.traits.batchable is together
    assert adapter.signature.batched is (name != "exported for two rows")


@pytest.mark.parametrize("kind", ["script", "frozen", "trace", "export"])
def test_predictions_are_torchs_own(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("model.pt2" if kind == "export" else "model.pt")
    example = [torch.zeros(2, 4)]
    {
        "script": lambda: m.script(m.mlp(), path),
        "frozen": lambda: m.frozen(m.mlp(), path),
        "trace": lambda: m.trace(m.mlp(), example, path),
        "export": lambda: m.export(m.mlp(), example, path, {"input": {0: BATCH}}),
    }[kind]()
    adapter = load(tmp_path)
    rows = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    module = torch.export.load(path).module() if kind == "export" else torch.jit.load(path)
    with torch.inference_mode():
        wanted = module(torch.from_numpy(rows)).numpy()
    assert np.array_equal(adapter.predict({"input": rows}, {})["output-0"], wanted)
    rows.flags.writeable = False  # as arrays over a request's bytes are
    assert np.array_equal(adapter.predict({"input": rows}, {})["output-0"], wanted)


def test_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    m.script(m.seeded(m.Series), tmp_path / "model.pt")
    adapter = load(tmp_path)
    batches = [np.random.default_rng(seed).normal(size=(seed % 5 + 1, 6, 5)).astype(np.float32) for seed in range(24)]
    alone = [adapter.predict({"x": rows}, {})["output-0"] for rows in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda rows: adapter.predict({"x": rows}, {})["output-0"], batches))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_rows_that_depend_on_each_other_are_not_merged(tmp_path: Path) -> None:
    m.script(m.seeded(m.Neighbours), tmp_path / "model.pt")
    assert not self_test(load(tmp_path)).batchable


def test_declared_inputs_and_outputs_count(tmp_path: Path) -> None:
    m.script(m.Stubborn(), tmp_path / "model.pt")
    with pytest.raises(LoadError, match=r"does not tell .* \('x'\).*polyserve.yaml"):
        load(tmp_path)
    adapter = load(tmp_path, inputs="x: INT16[-1, 2, -1, 71]", outputs="total")
    assert told(adapter) == ({"x": ("INT16", (-1, 2, -1, 71))}, {"total": ("INT64", (-1,))})
    with pytest.raises(LoadError, match=r"does not run with inputs as options\.inputs declares them"):
        load(tmp_path, inputs="x: FP32[-1, 2]")
    with pytest.raises(LoadError, match="no argument 'y'; it has x"):
        load(tmp_path, inputs="y: FP32[-1, 2]")
    with pytest.raises(LoadError, match="names 2 outputs, the program gives 1"):
        load(tmp_path, inputs="x: INT16[-1, 2, 3, 71]", outputs="a, b")


def test_exported_inputs_may_be_renamed(tmp_path: Path) -> None:
    m.export(m.mlp(), [torch.zeros(2, 4)], tmp_path / "model.pt2", {"input": {0: BATCH}})
    adapter = load(tmp_path, inputs="rows: FP32[-1, 4]", outputs="scores")
    assert told(adapter) == ({"rows": ("FP32", (-1, 4))}, {"scores": ("FP32", (-1, 3))})
    with pytest.raises(LoadError, match="names 2 inputs, the program takes 1"):
        load(tmp_path, inputs="a: FP32[-1, 4], b: FP32[-1, 4]")


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("x:FP32[-1,4]", [("x", "FP32", (-1, 4))]),
        (" ids : int64 [ -1 , -1 ] ; mask: BOOL[-1,-1], ", [("ids", "INT64", (-1, -1)), ("mask", "BOOL", (-1, -1))]),
        ("x: FP32", [("x", "FP32", None)]),
        ("x: FP32[]", [("x", "FP32", ())]),
    ],
)
def test_the_text_form_of_inputs(text: str, ports: list[Any]) -> None:
    assert [(port.name, port.datatype, port.dims) for port in declared.inputs(text)] == ports


@pytest.mark.parametrize("text", ["x", "x: FLOAT[1]", "x: FP32[a]", "x: FP32[0]", "x: FP32[1", "x: FP32[1], x: FP32"])
def test_texts_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(LoadError, match=r"options\.inputs"):
        declared.inputs(text)


def test_what_does_not_fit_is_the_clients_fault(tmp_path: Path) -> None:
    m.script(m.seeded(m.Encoder), tmp_path / "model.pt")
    adapter = load(tmp_path)
    ids = np.array([[1, 99]])
    with pytest.raises(InvalidInput, match="out of range"):
        adapter.predict({"input_ids": ids, "attention_mask": np.ones_like(ids)}, {})
    with pytest.raises(InvalidInput, match="size of tensor"):
        adapter.predict({"input_ids": ids * 0, "attention_mask": np.ones((1, 7), dtype=np.int64)}, {})


def test_limits_of_an_exported_program_are_the_clients_to_keep(tmp_path: Path) -> None:
    example = [torch.zeros(2, 5, dtype=torch.int64), torch.ones(2, 5, dtype=torch.int64)]
    shapes = {name: {0: BATCH, 1: LENGTH} for name in ("input_ids", "attention_mask")}
    m.export(m.seeded(m.Encoder), example, tmp_path / "model.pt2", shapes)
    long = np.ones((1, 17), dtype=np.int64)
    with pytest.raises(InvalidInput, match="16"):
        load(tmp_path).predict({"input_ids": long, "attention_mask": long}, {})


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: torch.save(m.mlp().state_dict(), p), "checkpoint.*torch.jit.script.*torch.export.save.*model.py"),
        (lambda p: torch.save(m.mlp(), p), "checkpoint"),
        (lambda p: torch.save({}, p, _use_new_zipfile_serialization=False), "checkpoint"),
        (lambda p: p.write_bytes(b""), "is empty"),
        (lambda p: p.write_bytes(b"hello"), "neither a TorchScript nor an exported program"),
        (lambda p: p.write_bytes(b"\x80\x04]."), "is a pickle"),
        (lambda p: p.write_bytes(m.script(m.mlp(), p).read_bytes()[:-100]), "cut short"),
    ],
    ids=["state_dict", "module", "legacy", "empty", "text", "pickle", "cut"],
)
def test_files_that_are_no_programs_say_what_to_do(tmp_path: Path, make: Save, reason: str) -> None:
    make(tmp_path / "model.pt")
    with pytest.raises(LoadError, match=reason):
        registry.choose(ModelDir.of(tmp_path))


def test_content_counts_whatever_the_name(tmp_path: Path) -> None:
    m.script(m.mlp(), tmp_path / "weights.bin")
    match = TorchAdapter.match(ModelDir.of(tmp_path))
    assert match is not None
    assert (match.rank, match.trust, match.file) == (Rank.CONTENT, Trust.SAFE, "weights.bin")


def test_of_several_programs_model_pt_is_served(tmp_path: Path) -> None:
    m.script(m.mlp(), tmp_path / "a.pt")
    m.script(m.mlp(), tmp_path / "b.pt")
    torch.save(m.mlp().state_dict(), tmp_path / "c.pt")
    with pytest.raises(LoadError, match=r"two candidate models: a\.pt and b\.pt"):
        registry.choose(ModelDir.of(tmp_path))
    (tmp_path / "b.pt").rename(tmp_path / "model.pt")
    assert registry.choose(ModelDir.of(tmp_path)).match.file == "model.pt"


@pytest.mark.parametrize("at", [0.3, 0.5, 0.7, 0.9])
def test_damaged_programs_are_told(tmp_path: Path, at: float) -> None:
    data = bytearray(m.script(m.mlp(), tmp_path / "model.pt").read_bytes())
    data[int(len(data) * at) : int(len(data) * at) + 40] = bytes(40)
    (tmp_path / "model.pt").write_bytes(data)
    try:
        adapter = load(tmp_path)
    except LoadError as error:
        reason = str(error)
    else:  # weights hold what they hold
        reason = "model.pt"
        assert adapter.predict(adapter.example(), {})["output-0"].shape == (2, 3)
    assert "model.pt" in reason


def test_an_export_that_bounds_its_batch_takes_any_number_of_rows_in_parts(tmp_path: Path) -> None:
    network = m.mlp()
    m.export(network, [torch.zeros(2, 4)], tmp_path / "model.pt2", {"input": {0: torch.export.Dim("rows", max=8)}})
    adapter = load(tmp_path)
    assert (adapter.most_rows, adapter.traits.batchable) == (8, True)
    rows = torch.arange(80.0).reshape(20, 4) / 80
    answer = adapter.predict({"input": rows.numpy()}, {})["output-0"]
    assert answer.tolist() == pytest.approx(network(rows).detach().numpy(), abs=1e-6)
    m.export(network, [torch.zeros(2, 4)], tmp_path / "model.pt2", {"input": {0: BATCH}})
    assert load(tmp_path).most_rows == 0
