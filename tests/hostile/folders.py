"""Folders that name code of their own, files elsewhere, or more than a parser can hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.cases import bert_classifier, lightgbm_booster, onnx_two_inputs, spacy_rules, xgboost_booster
from tests.hostile.kit import Hostile, payload

_MAKE = Callable[[Path, Path], object]


def corpus() -> Iterator[tuple[str, Hostile]]:
    yield from _onnx()
    yield from _spacy()
    yield from _transformers()
    yield from _boosters()
    yield from _configurations()
    yield from _mlflow()


# ONNX


def _onnx() -> Iterator[tuple[str, Hostile]]:
    out = "leads out of the model's directory and is not read"
    for location in ("../secret", "/etc/hostname", "x/../../secret", "../model/../secret"):
        yield f"ONNX tensors in {location}", Hostile(_external(location), out)
    yield "ONNX tensors in a link", Hostile(_external("link"), out)
    yield "ONNX tensors in memory", Hostile(_external("*/_ORT_MEM_ADDR_/*"), out)
    yield "ONNX tensors in a pipe", Hostile(_external("pipe"), "which is missing")


def _external(location: str) -> _MAKE:
    def make(folder: Path, mark: Path) -> None:
        import os

        import onnx
        from onnx import TensorProto, helper, numpy_helper

        (folder.parent / "secret").write_bytes(bytes(16))
        if location == "link":
            (folder / "link").symlink_to("/etc/hostname")
        if location == "pipe":
            os.mkfifo(folder / "pipe")
        import numpy as np

        weights = numpy_helper.from_array(np.zeros((2, 2), np.float32), "w")
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", "16")):
            weights.external_data.add(key=key, value=value)
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy")
        graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [weights])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        assert onnx.load(folder / "model.onnx", load_external_data=False).graph.initializer[0].external_data

    return make


# spaCy


def _spacy() -> Iterator[tuple[str, Hostile]]:
    cannot = "spaCy cannot load the pipeline"
    changes: dict[str, tuple[str, str, str]] = {
        "a factory of its own": ('factory = "entity_ruler"', 'factory = "evil"', "code that is not in the folder"),
        "a function of its own": (
            "before_creation = null",
            '[nlp.before_creation]\n@callbacks = "evil.v1"',
            cannot,
        ),
        "a language of its own": ('lang = "en"', 'lang = "evil"', cannot),
        "a component of another pipeline": ('factory = "entity_ruler"', 'source = "./evil"', "another pipeline"),
        "a file to read": (
            "before_creation = null",
            '[nlp.before_creation]\n@readers = "srsly.read_json.v1"\npath = "/etc/hostname"',
            "reads files by path",
        ),
        "a command to run": (
            "before_creation = null",
            '[nlp.before_creation]\n@cli = "evil"',
            "runs commands",
        ),
    }
    for name, (old, new, why) in changes.items():
        yield f"spaCy with {name}", Hostile(_configured(old, new), why)
    yield "spaCy in a package that runs code", Hostile(_packaged, "")
    yield "spaCy with weights elsewhere", Hostile(_linked_vocabulary, "leads out of the models directory")


def _code(folder: Path, mark: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text(f"open({str(mark)!r}, 'w').close()\n")


def _configured(old: str, new: str) -> _MAKE:
    def make(folder: Path, mark: Path) -> None:
        spacy_rules(folder)
        config = (folder / "config.cfg").read_text()
        assert old in config
        # A section ends what is above it: the new one goes to the end of [nlp]'s block.
        if new.startswith("[nlp."):
            config = config.replace(f"{old}\n", "") + f"\n{new}\n"
        else:
            config = config.replace(old, new)
        (folder / "config.cfg").write_text(config)
        _code(folder, mark, "evil.py", "functions.py", "code.py", "__init__.py")

    return make


def _packaged(folder: Path, mark: Path) -> None:
    inner = folder / "en_evil-1.0"
    inner.mkdir()
    spacy_rules(inner)
    (folder / "meta.json").write_bytes((inner / "meta.json").read_bytes())
    _code(folder, mark, "__init__.py")


def _linked_vocabulary(folder: Path, mark: Path) -> None:
    spacy_rules(folder)
    (folder / "vocab" / "strings.json").unlink()
    (folder / "vocab" / "strings.json").symlink_to("/etc/hostname")


# transformers


def _transformers() -> Iterator[tuple[str, Hostile]]:
    own = "names code of its own .auto_map."
    auto = {"AutoModelForSequenceClassification": "evil.Evil", "AutoConfig": "evil.Evil", "AutoTokenizer": "evil.Evil"}
    remote = {key: f"someone/evil--{value}" for key, value in auto.items()}
    changes: dict[str, tuple[str, dict[str, Any], str]] = {
        "code of its own": ("config.json", {"auto_map": auto}, own),
        "code of a hub": ("config.json", {"auto_map": remote}, own),
        "code for its tokenizer": ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}}, own),
        "an unknown architecture": ("config.json", {"model_type": "evil", "auto_map": auto}, own),
        "an unknown tokenizer": ("tokenizer_config.json", {"tokenizer_class": "evil.Evil"}, ""),
        "an attention of a hub": ("config.json", {"_attn_implementation": "someone/evil"}, "code from the hub"),
        "an attention of a hub for texts": (
            "config.json",
            {"text_config": {"_attn_implementation": "someone/evil", "auto_map": auto}},
            own,
        ),
        "a pipeline of its own": ("config.json", {"custom_pipelines": {"evil": {"impl": "evil.Evil"}}}, ""),
        "a base model elsewhere": ("adapter_config.json", {"base_model_name_or_path": "../evil", "auto_map": auto}, ""),
    }
    for name, (file, change, why) in changes.items():
        yield f"transformers with {name}", Hostile(_changed(file, change), why)
    yield "transformers with weights elsewhere", Hostile(_linked_weights, "leads out of the models directory")
    yield "sentence-transformers with a module of its own", Hostile(_module, "code of its own")


def _changed(file: str, change: dict[str, Any]) -> _MAKE:
    def make(folder: Path, mark: Path) -> None:
        bert_classifier(folder)
        path = folder / file
        settings = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(settings | change))
        _code(folder, mark, "evil.py", "modeling_evil.py", "tokenization_evil.py", "__init__.py")

    return make


def _linked_weights(folder: Path, mark: Path) -> None:
    bert_classifier(folder)
    weights = folder.parent.parent / "model.safetensors"
    (folder / "model.safetensors").rename(weights)
    (folder / "model.safetensors").symlink_to(weights)


def _module(folder: Path, mark: Path) -> None:
    bert_classifier(folder)
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Evil", "type": "evil.Evil"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Evil").mkdir()
    _code(folder, mark, "evil.py", "1_Evil/__init__.py")


# boosters


def _boosters() -> Iterator[tuple[str, Hostile]]:
    for part in (0.1, 0.5, 0.9, 0.999):
        yield f"XGBoost cut at {part}", Hostile(_cut(xgboost_booster, "model.ubj", part), ".")
        yield f"LightGBM cut at {part}", Hostile(_cut(lightgbm_booster, "model.txt", part), ".")
        yield f"ONNX cut at {part}", Hostile(_cut(onnx_two_inputs, "model.onnx", part), ".")


def _cut(make_model: Callable[[Path], object], file: str, part: float) -> _MAKE:
    def make(folder: Path, mark: Path) -> None:
        make_model(folder)
        whole = (folder / file).read_bytes()
        (folder / file).write_bytes(whole[: int(len(whole) * part)])

    return make


# polyserve.yaml


def _configurations() -> Iterator[tuple[str, Hostile]]:
    laughs = "a: &a [x]\n" + "\n".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    configs = {
        "a billion laughs": (laughs, r"aliases \(\*\) are not allowed"),
        "a billion braces": (
            "[" * 60_000,
            "polyserve.yaml has more than 5000 lines, commas, colons, brackets and quotes",
        ),
        "4,000 braces": ("[" * 4_000, "polyserve.yaml is nested too deeply"),
        "braces in braces": ("{a: " * 15_000, "polyserve.yaml is nested too deeply|polyserve.yaml"),
        "a number of digits": (f"lanes: {'9' * 60_000}", "polyserve.yaml"),
        "sixty in sixty": (f"lanes: 1{':59' * 20_000}", "polyserve.yaml"),
        "too much of it": ("#" * 100_000, "polyserve.yaml is longer than 64 KiB"),
        "an object": ("options: !!python/object/apply:os.system ['touch MARK']", "polyserve.yaml"),
        "a module": ("options: !!python/module:antigravity", "polyserve.yaml"),
        "a merge of itself": ("options: &a\n  <<: *a", r"aliases \(\*\) are not allowed"),
        "trust among the options": ("options:\n  trust: full", "names (posix|nt|os).system"),
        "an adapter by its path": ("adapter: ../../evil", "is unknown"),
        "an adapter by its module": ("adapter: 'os:system'", "is unknown"),
    }
    for name, (text, why) in configs.items():
        yield f"polyserve.yaml with {name}", Hostile(_yaml(text), why)


def _yaml(text: str) -> _MAKE:
    def make(folder: Path, mark: Path) -> None:
        (folder / "model.pkl").write_bytes(payload(mark))
        (folder / "polyserve.yaml").write_text(text.replace("MARK", str(mark)))

    return make


# MLflow


def _mlflow() -> Iterator[tuple[str, Hostile]]:
    laughs = "flavors:\n  sklearn: &a {pickled_model: model.pkl}\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    flavor = "flavors:\n  sklearn:\n    pickled_model: {}\n    serialization_format: pickle\n"
    named = "names (posix|nt|os).system"
    texts = {
        "a hostile pickle": (flavor.format("model.pkl"), named),
        "a pickle elsewhere": (flavor.format("../model.pkl"), "."),
        "a pickle by its path": (flavor.format("/etc/hostname"), "."),
        "a billion laughs": (laughs, "."),
        "an object": ("flavors: !!python/object/apply:os.system ['touch MARK']", "."),
        "braces in braces": ("flavors: " + "[" * 50_000, "."),
    }
    for name, (text, why) in texts.items():
        yield f"MLmodel with {name}", Hostile(_mlmodel(text), why)


def _mlmodel(text: str) -> _MAKE:
    def make(folder: Path, mark: Path) -> None:
        for place in (folder, folder.parent):
            (place / "model.pkl").write_bytes(payload(mark))
        (folder / "MLmodel").write_text(text.replace("MARK", str(mark)))

    return make
