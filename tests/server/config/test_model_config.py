from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from adapters.base import LoadError, Parameter
from server.config.model_config import ENGINES, MAX_BYTES, ModelConfig, check_options

DECLARED = (
    Parameter("method", str, ("predict", "predict_proba", "transform")),
    Parameter("threshold", float),
    Parameter("beams", int, (1, 2, 4)),
    Parameter("lower", bool),
)


def read(folder: Path, text: str | bytes) -> ModelConfig:
    (folder / "polyserve.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return ModelConfig.read(folder)


def reason(folder: Path, text: str | bytes) -> str:
    with pytest.raises(LoadError) as caught:
        read(folder, text)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def test_an_absent_or_empty_file_means_the_defaults(tmp_path: Path) -> None:
    defaults = ModelConfig(adapter=None, trust=None, options={}, batching=True, max_batch_rows=None)
    assert ModelConfig.read(tmp_path) == defaults
    for text in ("", "# nothing\n", "---\n", "adapter:\noptions:\nbatching:\n", "{}", "batching: {enabled: null}"):
        assert read(tmp_path, text) == defaults


def test_everything_that_it_can_say(tmp_path: Path) -> None:
    text = """
adapter: sklearn
trust: full
options:
  method: predict_proba
  threshold: 0.5
batching:
  enabled: false
  max_rows: 64
"""
    assert read(tmp_path, text) == ModelConfig(
        "sklearn", "full", {"method": "predict_proba", "threshold": 0.5}, False, 64
    )


def test_batching_may_be_switched_off_in_one_word(tmp_path: Path) -> None:
    assert not read(tmp_path, "batching: false").batching
    assert read(tmp_path, "batching: true").batching
    assert read(tmp_path, "batching: {max_rows: 1}") == ModelConfig(max_batch_rows=1)
    assert read(tmp_path, "lanes: 2") == ModelConfig(lanes=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adaptor: sklearn", "unknown key adaptor; did you mean adapter?"),
        (
            "zzz: 1",
            "unknown key zzz; allowed are adapter, engine, trust, options, batching, lanes, "
            "isolation, workers, memory_limit, call_timeout, pass_env, pinned, versions, labels, shadow",
        ),
        (
            "1: 2",
            "unknown key 1; allowed are adapter, engine, trust, options, batching, lanes, "
            "isolation, workers, memory_limit, call_timeout, pass_env, pinned, versions, labels, shadow",
        ),
        ("batching: {max_row: 3}", "unknown key batching.max_row; did you mean batching.max_rows?"),
        ("batching: {q: 3}", "unknown key batching.q; allowed are enabled, max_rows"),
        ("batching: often", "batching must hold `key: value` lines, not 'often'"),
        ("batching: {max_rows: 0}", "batching.max_rows: 0 must be a whole number, at least 1"),
        ("batching: {max_rows: true}", "batching.max_rows: True must be a whole number, at least 1"),
        ("batching: {max_rows: 1.0}", "batching.max_rows: 1.0 must be a whole number, at least 1"),
        ("batching: {enabled: 1}", "batching.enabled: 1 must be true or false"),
        ("adapter: [sklearn]", "adapter: ['sklearn'] must be text (in quotes, where YAML reads something else)"),
        ("adapter: on", "adapter: True must be text (in quotes, where YAML reads something else)"),
        ("engine: vlm", "engine: 'vlm' must be one of vllm, llama_cpp"),
        (
            "{engine: vllm, adapter: generation}",
            "adapter and engine both say who serves the folder: leave one out",
        ),
        ("trust: code", "trust: 'code' must be one of full"),
        ("trust: yes", "trust: True must be one of full"),
        ("options: [1]", "options must hold `key: value` lines, not [1]"),
        ("options: {1: 2}", "options: the key 1 must be text"),
        ("sklearn", "the file must hold `key: value` lines, not 'sklearn'"),
        ("- adapter: sklearn", "the file must hold `key: value` lines, not [{'adapter': 'sklearn'}]"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, message: str) -> None:
    assert reason(tmp_path, text) == f"polyserve.yaml: {message}"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("adapter: [\n", "line 2, column 1"),
        ("adapter: a\n\tbad: b\n", "line 2, column 1"),
        ("options:\n  a: 1\n  a: 2\n", "line 3, column 3: the key a is given twice"),
        ("a: &x 1\nb: *x\n", "line 2, column 4: aliases (*) are not allowed"),
        ("options: &o {<<: *o}\n", "line 1, column 18: aliases (*) are not allowed"),
        ("adapter: !!python/object/apply:os.system [id]\n", "line 1, column 10"),
        ("adapter: a\n---\nadapter: b\n", "line 2, column 1"),
        ("? [a]\n: 1\n", "line 1, column 3"),
        ("batching: {max_rows: 0x" + "f" * 5000 + "}", "line 1, column 22: the number does not fit 64 bits"),
        ("adapter: %bad", "line 1, column 10"),
    ],
)
def test_a_mistake_of_yaml_names_its_place(tmp_path: Path, text: str, place: str) -> None:
    assert reason(tmp_path, text).startswith(f"polyserve.yaml, {place}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"adapter: \xff\xfe", "polyserve.yaml is not YAML: "),
        (b"adapter: \x00", "polyserve.yaml is not YAML: "),
        (b"\x80\x04\x95", "polyserve.yaml is not YAML: "),
        (b"options: {a: 2024-13-45}", "polyserve.yaml holds a value that nothing can stand for: "),
        (b"options: {a: " + b"9" * 5000 + b"}", "polyserve.yaml holds a value that nothing can stand for: "),
        (b'lanes: !!int ""', "polyserve.yaml holds a value that nothing can stand for: "),
        (b'call_timeout: !!float ""', "polyserve.yaml holds a value that nothing can stand for: "),
        (b"pinned: !!bool perhaps", "polyserve.yaml holds a value that nothing can stand for: "),
        (b"options: {a: !!timestamp never}", "polyserve.yaml holds a value that nothing can stand for: "),
        (b"call_timeout: 1" + b":59" * 1000 + b".5", "polyserve.yaml holds a value that nothing can stand for: "),
        (b"[" * 4_000, "polyserve.yaml is nested too deeply"),
        (b"a: " * 2_000, "polyserve.yaml, line 1, column 5: "),
        (b"#" * (MAX_BYTES + 1), "polyserve.yaml is longer than 64 KiB"),
        (b"options: {a: [" + b"1," * 5000 + b"1]}", "polyserve.yaml has more than 5000 lines, commas, "),
    ],
    ids=[
        *("not-utf8", "nul", "pickle", "no-date", "digits", "int", "float", "bool", "timestamp", "base-60"),
        *("nested", "keys", "long", "marks"),
    ],
)
def test_a_hostile_file_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    assert reason(tmp_path, text).startswith(message)


def test_a_bomb_of_aliases_is_refused(tmp_path: Path) -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "aliases (*) are not allowed" in reason(tmp_path, "\n".join(["l0: &l0 lol", *levels]))


def test_a_link_out_of_the_mount_is_not_followed(tmp_path: Path) -> None:
    model = tmp_path / "mount" / "model"
    model.mkdir(parents=True)
    (tmp_path / "secret.yaml").write_text("adapter: sklearn")
    (model / "polyserve.yaml").symlink_to(tmp_path / "secret.yaml")
    with pytest.raises(LoadError, match=r"polyserve\.yaml leads out of the models directory and is not followed"):
        ModelConfig.read(model, tmp_path / "mount")


def test_a_link_as_kubernetes_mounts_it_is_followed(tmp_path: Path) -> None:
    data = tmp_path / "..2024_01_01"
    data.mkdir()
    (data / "polyserve.yaml").write_text("adapter: onnx")
    (tmp_path / "..data").symlink_to(data.name)
    (tmp_path / "polyserve.yaml").symlink_to("..data/polyserve.yaml")
    assert ModelConfig.read(tmp_path).adapter == "onnx"


def test_what_is_not_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "polyserve.yaml").mkdir()
    with pytest.raises(LoadError, match="not a regular file"):
        ModelConfig.read(tmp_path)
    with pytest.raises(LoadError, match="cannot be read: No such file"):
        ModelConfig.read(tmp_path / "absent")


def test_the_other_ending_is_not_overlooked(tmp_path: Path) -> None:
    (tmp_path / "polyserve.yml").write_text("adapter: onnx")
    with pytest.raises(LoadError, match=r"polyserve\.yml is not read: name it polyserve\.yaml"):
        ModelConfig.read(tmp_path)


def test_options_are_checked_and_typed() -> None:
    options = {"method": "transform", "threshold": 1, "beams": 2, "lower": True}
    checked = check_options(options, DECLARED)
    assert checked == options
    assert type(checked["threshold"]) is float
    assert check_options({}, ()) == {}
    assert check_options({"method": None}, DECLARED) == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metod": "predict"}, "unknown key options.metod; did you mean options.method?"),
        ({"q": 1}, "unknown key options.q; allowed are method, threshold, beams, lower"),
        ({"method": "fit"}, "options.method: 'fit' must be one of predict, predict_proba, transform"),
        ({"method": ["predict"]}, "options.method: ['predict'] must be one of predict, predict_proba, transform"),
        ({"threshold": "0.5"}, "options.threshold: '0.5' must be a finite number"),
        ({"threshold": float("nan")}, "options.threshold: nan must be a finite number"),
        ({"threshold": True}, "options.threshold: True must be a finite number"),
        ({"beams": 3}, "options.beams: 3 must be one of 1, 2, 4"),
        ({"beams": True}, "options.beams: True must be one of 1, 2, 4"),
        ({"lower": 1}, "options.lower: 1 must be true or false"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LoadError) as caught:
        check_options(options, DECLARED)
    assert str(caught.value) == f"polyserve.yaml: {message}"


def test_an_adapter_without_options_says_so() -> None:
    with pytest.raises(LoadError, match=r"unknown key options\.method; none is allowed here"):
        check_options({"method": "predict"}, ())


@pytest.mark.parametrize("text", ["lanes: 0", "lanes: many", "batching: {max_rows: 0}"])
def test_numbers_are_checked(tmp_path: Path, text: str) -> None:
    with pytest.raises(LoadError, match=r"lanes|max_rows"):
        read(tmp_path, text)


@pytest.mark.parametrize("own", [True, False])
def test_where_signatures_are_asked_for_only_a_versions_own_folder_says_how_it_is_loaded(
    tmp_path: Path, own: bool
) -> None:
    """What lies in the model's folder is not signed: it may say which versions are served, not what they may do."""
    version = tmp_path / "m" / "1"
    version.mkdir(parents=True)
    (tmp_path / "m" / "polyserve.yaml").write_text("trust: full\nversions: all\nlabels: {stable: 1}\n")
    if own:
        (version / "polyserve.yaml").write_text("lanes: 2\n")
    signed = ModelConfig.of_version(version, version.parent, tmp_path, signed=True)
    assert (signed.trust, signed.lanes, dict(signed.labels)) == (None, 2 if own else None, {"stable": "1"})
    unsigned = ModelConfig.of_version(version, version.parent, tmp_path)
    assert (unsigned.trust, dict(unsigned.labels)) == (None if own else "full", {"stable": "1"})


def test_an_engine_is_an_adapter_of_the_registry_s() -> None:
    assert set(ENGINES) == set(registry.ENGINES)
    assert all(registry.get(name).name == name for name in ENGINES)


def test_an_engine_says_who_serves_the_folder(tmp_path: Path) -> None:
    assert read(tmp_path, "engine: llama_cpp") == ModelConfig(adapter="llama_cpp")


def test_a_tab_is_told_to_be_one(tmp_path: Path) -> None:
    assert reason(tmp_path, "options:\n\tmethod: predict\n").endswith("YAML is indented by spaces, not by tabs")
