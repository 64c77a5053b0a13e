"""The bytes of an ONNX file: what is one, what is damaged, and which files its tensors name."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from adapters.base import LoadError, ModelDir, Rank
from adapters.formats.protobuf import Malformed
from adapters.onnx_.adapter import OnnxAdapter
from adapters.onnx_.proto import complaint, contains, external_locations
from tests.adapters.formats.messages import message, varint
from tests.adapters.onnx_.models import FLOAT, constant, external, graph, linear, load, node, serve, value, write

WEIGHTS = np.linspace(-1, 1, 8, dtype=np.float32)


def match_bytes(folder: Path, content: bytes) -> Any:
    (folder / "model.onnx").write_bytes(content)
    return OnnxAdapter.match(ModelDir.of(folder))


# --- which file is a model -------------------------------------------------------------------------------------------


def test_a_model_is_known_by_its_bytes(tmp_path: Path) -> None:
    match = OnnxAdapter.match(write(tmp_path, linear(), "anything.onnx"))
    assert match is not None
    assert (match.rank, match.file, match.problem) == (Rank.CONTENT, "anything.onnx", "")


def test_a_folder_without_an_onnx_file_is_not_claimed(tmp_path: Path) -> None:
    write(tmp_path, linear(), "model.bin")
    (tmp_path / "model.onnx.data").write_bytes(b"x")
    assert OnnxAdapter.match(ModelDir.of(tmp_path)) is None


def test_two_models_are_named(tmp_path: Path) -> None:
    write(tmp_path, linear(), "a.onnx")
    match = OnnxAdapter.match(write(tmp_path, linear(), "b.onnx"))
    assert match is not None
    assert "a.onnx" in match.problem
    assert "b.onnx" in match.problem


def test_model_onnx_wins_over_others(tmp_path: Path) -> None:
    write(tmp_path, linear(), "a.onnx")
    match = OnnxAdapter.match(write(tmp_path, linear(), "model.onnx"))
    assert match is not None
    assert (match.file, match.problem) == ("model.onnx", "")


@pytest.mark.parametrize("cut", [*range(0, 60), *range(60, 4000, 97)])
def test_a_truncated_model_has_a_problem(tmp_path: Path, cut: int) -> None:
    model = linear(500)
    whole = model.SerializeToString()
    problem = match_bytes(tmp_path, whole[:cut]).problem
    assert problem.startswith("model.onnx is ")
    if cut > 1:
        assert "truncated" in problem


def test_cut_at_every_offset_of_the_end(tmp_path: Path) -> None:
    """The last top-level fields are short: every cut inside them is seen, too, or the graph would lose its opset."""
    whole = linear().SerializeToString()
    for cut in range(len(whole) - 20, len(whole)):
        assert match_bytes(tmp_path, whole[:cut]).problem, cut
    assert not match_bytes(tmp_path, whole).problem


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"not a model\n" * 20, "is not an ONNX model"),
        (b"\x00" * 100, "is not an ONNX model"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>Sign in</html>", "is a web page, not the file itself: fetch"),
        (b"\x08\x08", "no graph and no opset_import"),
        (b"\x08\x08" + message(7, b"g"), "no opset_import"),
        (b"\x08\x08\x3a" + varint(1 << 62) + b"g", "field graph should have 4611686018427387904 bytes, 1 are left"),
        (b"\x08\x08\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "should have"),
        (b"\x08\x08\x3a" + b"\xff" * 11, "number of more than ten bytes"),
        (b"\x08\x08\x3b\x3b\x3b", "ends inside a group"),
        (b"\x08\x08\x3c", "group ends that never began"),
        (b"\x08\x08" + b"\x10\x01" * 20_001, "too many fields"),
        (b"\x08\x08\x07", "do not exist"),
    ],
)
def test_what_is_no_model_has_a_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    match = match_bytes(tmp_path, content)
    assert reason in match.problem
    assert match.rank < Rank.CONTENT


def test_random_bytes_never_raise(tmp_path: Path) -> None:
    chance = random.Random(7)
    for size in range(1, 400):
        content = chance.randbytes(size)
        assert match_bytes(tmp_path, content).problem
        match_bytes(tmp_path, b"\x08\x08" + content)  # whatever it says, it says


def test_mutated_models_load_or_say_why(tmp_path: Path) -> None:
    whole = bytearray(linear().SerializeToString())
    chance = random.Random(11)
    loaded, reasons = 0, []
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] = chance.randrange(256)
        match = match_bytes(tmp_path, bytes(damaged))
        if match.problem:
            continue
        try:
            OnnxAdapter.load(ModelDir.of(tmp_path), match.file, {})
            loaded += 1
        except LoadError as error:
            reasons.append(str(error))
    assert loaded
    assert reasons
    assert not [reason for reason in reasons if not reason or "onnxruntime/" in reason or str(tmp_path) in reason]


def test_matching_reads_little_of_a_large_file(tmp_path: Path) -> None:
    file = write(tmp_path, linear(200_000)).file("model.onnx")
    tracemalloc.start()
    assert not complaint(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300_000 < file.stat().st_size


def test_matching_imports_no_framework(tmp_path: Path) -> None:
    write(tmp_path, linear())
    script = (
        "import sys; from adapters.onnx_.adapter import OnnxAdapter; from adapters.base import ModelDir;"
        f"assert not OnnxAdapter.match(ModelDir.of({str(tmp_path)!r})).problem;"
        "print(sorted({'onnx', 'onnxruntime', 'google', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_word_across_two_blocks_is_found(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"." * ((1 << 22) - 3) + b"location" + b"." * 10)
    assert contains(file, b"absent", b"location")
    assert not contains(file, b"absent")


# --- external data ---------------------------------------------------------------------------------------------------


def test_external_data_beside_the_model_are_used(tmp_path: Path) -> None:
    model = linear()
    for location in ("model.onnx.data", "weights/w.bin", "./model.onnx.data"):
        folder = tmp_path / location.replace("/", "_")
        (folder / "weights").mkdir(parents=True)
        (folder / location).write_bytes(WEIGHTS.tobytes())
        model.graph.initializer[0].CopyFrom(external(location, offset=0, length=32))
        adapter = serve(folder, model)
        rows = np.ones((3, 4), np.float32)
        assert np.array_equal(adapter.predict({"x": rows}, {})["y"], rows @ WEIGHTS.reshape(4, 2))


def test_external_data_written_by_onnx_itself(tmp_path: Path) -> None:
    onnx.save(linear(400, 400), tmp_path / "model.onnx", save_as_external_data=True, location="model.onnx_data")
    assert external_locations(tmp_path / "model.onnx") == ["model.onnx_data"]
    adapter = load(ModelDir.of(tmp_path))
    assert adapter.signature.inputs[0].shape == (-1, 400)


def test_external_data_through_kubernetes_links(tmp_path: Path) -> None:
    model = linear()
    model.graph.initializer[0].CopyFrom(external("w.bin"))
    write(tmp_path / "..2024", model)
    (tmp_path / "..2024" / "w.bin").write_bytes(WEIGHTS.tobytes())
    (tmp_path / "..data").symlink_to("..2024")
    for name in ("model.onnx", "w.bin"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    assert load(ModelDir.of(tmp_path)).signature.batched


@pytest.mark.parametrize("location", ["../w.bin", "sub/../../w.bin", "ABSOLUTE", "link.bin", "linked/w.bin"])
def test_external_data_outside_are_refused(tmp_path: Path, location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "w.bin").write_bytes(WEIGHTS.tobytes())
    (folder / "link.bin").symlink_to("../w.bin")
    (folder / "linked").symlink_to("..")
    model = linear()
    model.graph.initializer[0].CopyFrom(external(location.replace("ABSOLUTE", os.fspath(tmp_path / "w.bin"))))
    directory = write(folder, model)
    monkeypatch.setattr(
        "adapters.onnx_.adapter._session", lambda *_: pytest.fail("refused only after ONNX Runtime saw it")
    )
    with pytest.raises(LoadError, match="leads out of the model's directory"):
        load(directory)


def test_another_models_folder_is_outside_too(tmp_path: Path) -> None:
    model = linear()
    model.graph.initializer[0].CopyFrom(external("../other/w.bin"))
    write(tmp_path / "model", model)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "w.bin").write_bytes(WEIGHTS.tobytes())
    with pytest.raises(LoadError, match="leads out of the model's directory"):
        load(ModelDir.of(tmp_path / "model", root=tmp_path))


@pytest.mark.parametrize("mark", ["*/_ORT_MEM_ADDR_/*", "*/_ORT_MEM_ADDR_LE_/*"])
def test_a_place_in_memory_is_refused(tmp_path: Path, mark: str) -> None:
    model = linear()
    model.graph.initializer[0].CopyFrom(external(mark, offset=4096, length=32))
    (tmp_path / mark).parent.mkdir(parents=True)
    (tmp_path / mark).write_bytes(WEIGHTS.tobytes())
    with pytest.raises(LoadError, match="leads out"):
        serve(tmp_path, model)


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("absent.bin", "missing: copy that file"),
        ("", "missing"),
        ("folder", "missing"),
        ("nul\0byte", "no file name"),
        ("x" * 5000, "no file name"),
        ("loop", "no file name|missing|leads out"),
    ],
)
def test_external_data_that_are_no_file_are_refused(tmp_path: Path, location: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    model = linear()
    model.graph.initializer[0].CopyFrom(external(location))
    with pytest.raises(LoadError, match=reason):
        serve(tmp_path, model)


def test_too_short_external_data_are_refused_in_clean_words(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"short")
    model = linear()
    model.graph.initializer[0].CopyFrom(external("w.bin"))
    with pytest.raises(LoadError, match=r"^ONNX Runtime cannot load model\.onnx: ") as caught:
        serve(tmp_path, model)
    assert "ONNXRuntimeError" not in str(caught.value)


def _sparse(tensor: TensorProto) -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=tensor, indices=constant(np.arange(8), "i"), dims=[4, 2])


def _subgraph(tensor: TensorProto) -> onnx.GraphProto:
    return helper.make_graph([], "inner", [], [value("weights", FLOAT, [4, 2])], [tensor])


def _with_node(attribute: str, content: Any, operator: str = "Constant") -> onnx.ModelProto:
    made = node(operator, [], ["c"])
    made.attribute.append(helper.make_attribute(attribute, content))
    model = linear()
    model.graph.node.append(made)
    return model


def hiding_places(tensor: TensorProto) -> dict[str, onnx.ModelProto]:
    """A model for every place where a tensor may hide."""
    inner = node("If", ["c"], ["d"], then_branch=_subgraph(tensor), else_branch=_subgraph(constant(np.ones(1), "o")))
    sparse = linear()
    sparse.graph.sparse_initializer.append(_sparse(tensor))
    nested = _with_node("body", helper.make_graph([inner], "outer", [], []), "Loop")
    function = linear()
    function.functions.append(
        helper.make_function("d", "f", [], ["c"], [node("Constant", [], ["c"], value=tensor)], [])
    )
    defaults = linear()
    defaults.functions.append(helper.make_function("d", "f", [], [], [], []))
    defaults.functions[0].attribute_proto.append(helper.make_attribute("a", tensor))
    training = linear()
    training.training_info.add().initialization.initializer.append(tensor)
    return {
        "constant": _with_node("value", tensor),
        "tensors": _with_node("list", [tensor]),
        "sparse attributes": _with_node("sparse_values", [_sparse(tensor)]),
        "sparse attribute": _with_node("sparse_value", _sparse(tensor)),
        "graphs": _with_node("branches", [_subgraph(tensor)], "If"),
        "sparse initializer": sparse,
        "nested": nested,
        "function": function,
        "function default": defaults,
        "training": training,
    }


@pytest.mark.parametrize("place", hiding_places(external("../w.bin")))
def test_tensors_hide_nowhere(tmp_path: Path, place: str) -> None:
    directory = write(tmp_path, hiding_places(external("../w.bin"))[place])
    assert external_locations(directory.file("model.onnx")) == ["../w.bin"]
    with pytest.raises(LoadError, match="leads out"):
        load(directory)


def test_a_tensor_in_a_message_sent_in_two_parts_is_found(tmp_path: Path) -> None:
    """Protobuf merges a message that comes twice, so the graph's second part counts as much as the first."""
    second = onnx.ModelProto(graph=onnx.GraphProto(initializer=[external("../w.bin")]))
    file = tmp_path / "model.onnx"
    file.write_bytes(linear().SerializeToString() + second.SerializeToString())
    assert external_locations(file) == ["../w.bin"]


def test_the_last_of_two_keys_counts_as_in_protobuf(tmp_path: Path) -> None:
    entry = message(1, b"offset") + message(1, b"location") + message(2, b"in.bin") + message(2, b"../w.bin")
    file = tmp_path / "model.onnx"
    file.write_bytes(message(7, message(5, message(13, entry))))
    assert external_locations(file) == ["../w.bin"]


def test_nesting_has_an_end(tmp_path: Path) -> None:
    content = message(5, message(13, message(1, b"location") + message(2, b"../w.bin")))
    for _ in range(60):
        content = message(1, message(5, message(6, content)))
    file = tmp_path / "model.onnx"
    file.write_bytes(b"\x08\x08" + message(7, content) + message(8, b""))
    with pytest.raises(Malformed, match="nested too deep"):
        external_locations(file)
    with pytest.raises(LoadError, match="uses the operator"):
        load(ModelDir.of(tmp_path))


def test_the_word_location_in_names_is_no_place(tmp_path: Path) -> None:
    model = graph(
        [node("Identity", ["location"], ["y"])], [value("location", FLOAT, ["N"])], [value("y", FLOAT, ["N"])]
    )
    assert serve(tmp_path, model).signature.inputs[0].name == "location"
