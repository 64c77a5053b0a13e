"""What an ONNX file may do: unknown operators are found wherever they are, and so is who decides on sizes."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper

from adapters.base import LoadError, ModelDir
from adapters.onnx_.adapter import OnnxAdapter
from adapters.onnx_.audit import audit
from adapters.onnx_.operators import OPERATORS
from tests.adapters.onnx_.evasions import BOOL, file_with, inner_graph
from tests.adapters.onnx_.models import FLOAT, INT64, constant, external, graph, linear, node, serve, value, write

#: domain and name of operators that nobody knows
UNKNOWN = (
    ("com.microsoft", "EPContext"),
    ("com.microsoft", "Snpe"),
    ("org.pytorch.aten", "ATen"),
    ("com.microsoft", "PythonOp"),
    ("ai.onnx.contrib", "PyOp"),
    ("ai.onnx.contrib", "BpeTokenizer"),
    ("my.ops", "Relu"),
    ("", "Mystery"),
    ("ai.onnx", "relu"),
    ("ai.onnx.ml", "Relu"),
    ("AI.ONNX", "Relu"),
    ("", "Relu "),
    ("", "Relu\0"),
    ("ai.onnx.training", "Adam"),
    ("com.microsoft.nchwc", "Gelu"),
    ("", ""),
)


def verdict(folder: Path, content: bytes | onnx.ModelProto) -> Any:
    file = folder / "model.onnx"
    file.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    return audit(file)


@pytest.mark.parametrize("seed", range(25))
def test_what_is_not_known_is_found_wherever_it_is(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    for domain, name in UNKNOWN:
        content = file_with(rng, node(name, ["x"], ["evil"], domain=domain))
        problem = verdict(tmp_path, content).problem
        assert problem.startswith("uses the operator "), (domain, name)
        match = OnnxAdapter.match(ModelDir.of(tmp_path))
        assert match is not None
        assert problem in match.problem


@pytest.mark.parametrize("seed", range(25))
def test_what_is_known_passes_wherever_it_is(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    for domain, names in OPERATORS.items():
        name = rng.choice(sorted(names))
        assert not verdict(tmp_path, file_with(rng, node(name, ["x"], ["fine"], domain=domain))).problem


def test_a_function_of_the_file_s_own_may_have_any_name(tmp_path: Path) -> None:
    model = linear()
    model.functions.append(
        helper.make_function("my.ops", "f", ["a"], ["b"], [node("Relu", ["a"], ["b"])], [helper.make_opsetid("", 17)])
    )
    model.opset_import.add(domain="my.ops", version=1)
    model.graph.node.append(node("f", ["y"], ["z"], domain="my.ops"))
    assert not verdict(tmp_path, model).problem
    model.graph.node.append(node("g", ["y"], ["u"], domain="my.ops"))
    assert "my.ops:g" in verdict(tmp_path, model).problem


def test_a_graph_is_given_to_nothing_but_control_flow(tmp_path: Path) -> None:
    model = linear()
    model.graph.node.append(node("Relu", ["y"], ["z"], body=inner_graph([node("Relu", ["y"], ["u"])])))
    assert "gives the operator Relu a graph" in verdict(tmp_path, model).problem


def test_settings_in_the_metadata_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its environment says so, ONNX Runtime takes them: this one would write a file as it loads."""
    monkeypatch.setenv("ORT_LOAD_CONFIG_FROM_MODEL", "1")
    monkeypatch.chdir(tmp_path)
    model = linear()
    model.metadata_props.add(key="author", value="me")
    assert not verdict(tmp_path, model).problem
    model.metadata_props.add(key="ort_config", value='{"session_options": {"enable_profiling": 1}}')
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    Path(session.end_profiling()).unlink(missing_ok=True)
    with pytest.raises(LoadError, match="ort_config"):
        serve(tmp_path / "folder", model)
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["model.onnx"]


# --- who decides on sizes --------------------------------------------------------------------------------------------


def sized(operator: str, *inputs: str, domain: str = "", **attributes: Any) -> onnx.ModelProto:
    """A graph with the operator behind inputs n (numbers) and x."""
    return graph(
        [
            node("Shape", ["x"], ["shape"]),
            node("Add", ["n", "one"], ["m"]),
            node(operator, list(inputs), ["z"], domain=domain, **attributes),
        ],
        [value("n", INT64, [1]), value("x", FLOAT, ["N"])],
        [value("z", FLOAT, None)],
        [constant(np.array([1], np.int64), "one")],
        domains=(("", 17), ("com.microsoft", 1)),
    )


@pytest.mark.parametrize("source", ["n", "m"])
@pytest.mark.parametrize(
    "make",
    [
        lambda n: sized("ConstantOfShape", n),
        lambda n: sized("Expand", "x", n),
        lambda n: sized("Tile", "x", n),
        lambda n: sized("Range", "one", n, "one"),
        lambda n: sized("Range", "one", "one", n, domain="com.microsoft"),
        lambda n: sized("Resize", "x", "", "", n),
        lambda n: sized("Pad", "x", n),
        lambda n: sized("OneHot", "x", n, "x"),
        lambda n: sized("HannWindow", n),
    ],
)
def test_values_of_a_request_that_decide_on_sizes_are_found(
    tmp_path: Path, make: Callable[[str], onnx.ModelProto], source: str
) -> None:
    found = verdict(tmp_path, make(source))
    assert not found.problem
    assert "the values of a request decide" in found.carries
    for harmless in ("one", "shape"):
        assert not verdict(tmp_path, make(harmless)).carries


def loop(body: list[Any], carried: str = "x", trips: str = "", go_on: str = "") -> onnx.ModelProto:
    inner = helper.make_graph(
        body,
        "body",
        [value("i", INT64, []), value("before", BOOL, []), value("v", FLOAT, None)],
        [value("after", BOOL, []), value("w", FLOAT, None)],
    )
    return graph(
        [node("Loop", [trips, go_on, carried], ["z"], body=inner)],
        [value("n", INT64, []), value("x", FLOAT, ["N"])],
        [value("z", FLOAT, None)],
        [constant(np.array(3), "three"), constant(np.array(True), "yes"), constant(np.zeros(1, np.float32), "zero")],
    )


GO_ON = node("Identity", ["before"], ["after"])
KEEP = node("Identity", ["v"], ["w"])


def test_a_loop_goes_on_for_as_long_as_the_file_or_a_request_says(tmp_path: Path) -> None:
    assert not verdict(tmp_path, loop([GO_ON, KEEP], trips="three")).carries
    assert verdict(tmp_path, loop([GO_ON, KEEP], trips="n")).carries
    assert not verdict(tmp_path, loop([GO_ON, KEEP], go_on="yes")).carries
    until = [node("ReduceSum", ["v"], ["s"], keepdims=0), node("Cast", ["s"], ["after"], to=BOOL)]
    assert verdict(tmp_path, loop([*until, KEEP], go_on="yes")).carries
    assert not verdict(tmp_path, loop([*until, KEEP], go_on="yes", carried="zero")).carries


def test_what_is_carried_round_a_loop_is_followed(tmp_path: Path) -> None:
    grow = [GO_ON, node("Cast", ["v"], ["c"], to=INT64), node("Expand", ["v", "c"], ["u"])]
    assert not verdict(tmp_path, loop([*grow, KEEP], trips="three", carried="zero")).carries
    assert verdict(tmp_path, loop([*grow, KEEP], trips="three")).carries
    # only the second turn sees what the first took from outside
    outside = node("Add", ["v", "x"], ["w"])
    assert verdict(tmp_path, loop([*grow, outside], trips="three", carried="zero")).carries


@pytest.mark.parametrize("seed", range(10))
def test_values_are_followed_into_functions_and_branches(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    body, name = node("Expand", ["x", "n"], ["z0"]), ""
    model = sized("Identity", "x")
    for level in range(rng.randrange(1, 6)):
        if rng.random() < 0.5:
            name = f"f{level}"
            inner = [onnx.NodeProto.FromString(body.SerializeToString())]
            function = helper.make_function("d", name, ["n", "x"], [f"z{level}"], inner, [helper.make_opsetid("", 17)])
            model.functions.append(function)
            body = node(name, ["n", "x"], [f"z{level + 1}"], domain="d")
        else:
            branch = inner_graph([body], f"z{level}")
            other = inner_graph([node("Identity", ["x"], ["o"])], "o")
            body = node("If", ["yes"], [f"z{level + 1}"], then_branch=branch, else_branch=other)
    model.graph.initializer.append(constant(np.array(True), "yes"))
    model.graph.node.append(body)
    assert verdict(tmp_path, model).carries
    call = model.graph.node[-1]
    if name and call.op_type == name:  # the same function, of a constant
        call.input[0] = "one"
        assert not verdict(tmp_path, model).carries


def test_a_default_that_a_request_may_replace_counts_as_an_input(tmp_path: Path) -> None:
    model = sized("Expand", "x", "one")
    model.graph.input.append(value("one", INT64, [1]))
    assert verdict(tmp_path, model).carries
    model.ir_version = 3  # where these are constants
    assert not verdict(tmp_path, model).carries


def test_graphs_that_cannot_be_followed_go_to_a_worker(tmp_path: Path) -> None:
    body = node("Identity", ["v"], ["w"])
    for _ in range(30):  # each turn follows all within again
        inner = helper.make_graph(
            [GO_ON, body, node("Add", ["v", "x"], ["w2"])],
            "b",
            [value("i", INT64, []), value("before", BOOL, []), value("v", FLOAT, None), value("u", FLOAT, None)],
            [value("after", BOOL, []), value("w", FLOAT, None), value("w2", FLOAT, None)],
        )
        body = node("Loop", ["three", "", "zero", "zero"], ["w", "w3"], body=inner)
    assert "too many to follow" in verdict(tmp_path, loop([GO_ON, body], trips="three", carried="zero")).carries


def test_functions_that_call_themselves_are_damage(tmp_path: Path) -> None:
    model = sized("Identity", "x")
    opset = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("d", "f", ["x"], ["z"], [node("f", ["x"], ["z"], domain="d")], opset))
    model.graph.node.append(node("f", ["x"], ["u"], domain="d"))
    assert "damaged" in verdict(tmp_path, model).problem


@pytest.mark.parametrize("seed", range(30))
def test_any_bytes_have_a_verdict(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    content = bytearray(file_with(rng, node("If", ["x"], ["y"], then_branch=inner_graph([]))))
    for _ in range(rng.randrange(1, 20)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    verdict(tmp_path, bytes(content[: rng.randrange(len(content)) + 1]))


# --- files beside the model ------------------------------------------------------------------------------------------

SECRET = np.arange(8, dtype=np.float32) + 1000


def odd_location(rng: random.Random, folder: Path, outside: Path) -> dict[str, Any]:
    """Where a tensor's data may be said to lie, and entries that may mislead whoever reads them."""
    up = os.path.relpath(outside, folder)
    links = {"link": outside, "far/link": outside, "chain": Path("link")}
    for name, target in links.items():
        (folder / name).parent.mkdir(exist_ok=True)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(target)
    places = [up, f"./{up}", f"far/../{up}", str(outside), f"/{outside}", f"far/../../{up}", *links, "far/../link"]
    places += [f"file://{outside}", f"*/_ORT_MEM_ADDR_/*{up}", up.replace("/", "\\"), f"{up}\0", "/proc/self/mem", "."]
    entries: dict[str, Any] = {"location": rng.choice(places)}
    for key in ("offset", "length", "checksum"):
        if rng.random() < 0.5:
            numbers = [
                0,
                1,
                32,
                -1,
                -32,
                2**31,
                2**63 - 1,
                2**63,
                -(2**63),
                2**64,
                "0x10",
                "1e3",
                "",
                " 4",
                "4 ",
                "NaN",
            ]
            entries[key] = rng.choice(numbers)
    return entries


@pytest.mark.parametrize("seed", range(60))
def test_no_file_outside_is_read(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    folder, outside = tmp_path / "models" / "m", tmp_path / "secret.bin"
    folder.mkdir(parents=True)
    outside.write_bytes(SECRET.tobytes())
    tensor = external(**odd_location(rng, folder, outside))
    model = linear()
    model.graph.initializer[0].CopyFrom(tensor)
    if rng.random() < 0.5:  # a second place, which may be the one that counts
        model.graph.initializer[0].external_data.add(key="location", value="weights.bin")
        (folder / "weights.bin").write_bytes(SECRET.tobytes())
    with pytest.raises(LoadError):
        serve(folder, model)


@pytest.mark.parametrize("entries", [{"offset": -32}, {"offset": 2**62}, {"length": -1}, {"offset": 1, "length": 31}])
def test_no_bytes_beyond_the_file_are_read(tmp_path: Path, entries: dict[str, int]) -> None:
    (tmp_path / "w.bin").write_bytes(SECRET.tobytes())
    model = linear()
    model.graph.initializer[0].CopyFrom(external("w.bin", **entries))
    with pytest.raises(LoadError):
        serve(tmp_path, model)


def test_a_file_that_lets_requests_decide_is_for_a_worker(tmp_path: Path) -> None:
    match = OnnxAdapter.match(write(tmp_path, sized("Tile", "x", "n")))
    assert match is not None
    assert "Tile" in match.carries
