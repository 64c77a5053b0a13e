"""Tokenizers' files as somebody would write them who wants a server to end, to hang or to fill: composed at random."""

from __future__ import annotations

import base64
import json
import math
import struct
from pathlib import Path
from random import Random
from typing import Any

TOKENIZER = "tokenizer.json"
#: what stands where something else is meant
_STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 2**31, 2**32 - 1, 2**32, 2**63, -(2**63), 10**400, 0.5, math.nan, math.inf, "", "x", "\udfff",
    "\0", [], {}, [[]], {"a": {}}, [None], ["a", 1], {"": ""}, {"type": "Sequence"}, "a" * 5000,
)  # fmt: skip
_SETTINGS = (
    "model_max_length", "added_tokens_decoder", "extra_special_tokens", "tokenizer_class", "unk_token", "pad_token",
    "cls_token", "padding_side", "truncation_side", "chat_template", "additional_special_tokens",
    "clean_up_tokenization_spaces",
    "do_lower_case", "model_input_names", "auto_map", "response_template", "mask_token", "split_special_tokens",
    "add_prefix_space", "legacy", "from_slow", "backend",
)  # fmt: skip


def change(rng: Random, folder: Path) -> str:
    """Change the files of a folder that holds a sound tokenizer; what has been done, for whoever reads of it."""
    often = [_anywhere, _ids, _settings]
    way = rng.choice([*often, *often, _wordpiece, _unigram, _charsmap, _added, _lines, _special])
    return f"{way.__name__[1:]} {way(rng, folder)}"


def _of(folder: Path) -> Any:
    return json.loads((folder / TOKENIZER).read_text())


def _write(folder: Path, tokenizer: Any, name: str = TOKENIZER) -> None:
    (folder / name).write_text(json.dumps(tokenizer))


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in JSON, at any depth; of long lists in their beginnings."""
    inner = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    found = [(*path, key) for key, _ in inner]
    for key, each in inner[:40]:
        found += _places(each, (*path, key))
    return found


def _put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


def _anywhere(rng: Random, folder: Path) -> str:
    """Something else where one value stands, or several; places near the top as likely as others."""
    tokenizer, told = _of(folder), []
    for _ in range(rng.choice([1, 1, 2, 5])):
        places = _places(tokenizer)
        depth = rng.randint(1, max(map(len, places)))
        path = rng.choice([each for each in places if len(each) <= depth])
        new = rng.choice(_STRANGE)
        _put(tokenizer, path, new)
        told.append(f"{path}={str(new)[:30]!r}")
    _write(folder, tokenizer)
    return "; ".join(told)


def _ids(rng: Random, folder: Path) -> str:
    """Ids with holes, twice, negative, huge, none."""
    tokenizer = _of(folder)
    vocabulary = tokenizer["model"]["vocab"]
    if not isinstance(vocabulary, dict):
        return "no map"
    what = rng.choice(["hole", "twice", "negative", "huge", "float", "null", "list", "long", "all"])
    token = rng.choice(list(vocabulary))
    if what == "hole":
        vocabulary[token] = rng.choice([2**31, 2**32 - 1, 2**31 - 1, 10**9])
    elif what == "twice":
        vocabulary.update(dict.fromkeys(vocabulary, 1))
    elif what == "list":
        tokenizer["model"]["vocab"] = [[each, 0.0] for each in vocabulary]
    elif what == "long":
        vocabulary["a" * rng.choice([70_000, 5_000_000])] = len(vocabulary)
    elif what == "all":
        tokenizer["model"]["vocab"] = {each: 2**32 - 1 - i for i, each in enumerate(vocabulary)}
    else:
        vocabulary[token] = {"negative": -1, "huge": 2**64, "float": 1.5, "null": None}[what]
    _write(folder, tokenizer)
    return what


def _wordpiece(rng: Random, folder: Path) -> str:
    tokenizer = _of(folder)
    words = {"a" * i: i + 3 for i in range(1, rng.choice([2, 300]))}
    model: dict[str, Any] = {
        **{"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"[UNK]": 0, "[PAD]": 1, "##a": 3} | words},
        **{"continuing_subword_prefix": "##", "max_input_chars_per_word": 100},
    }
    what = rng.choice(["long words", "no unknown", "long prefix", "empty", "no prefix", "unknown"])
    model |= {
        "long words": {"max_input_chars_per_word": rng.choice([10**6, 2**63, 2**64])},
        "no unknown": {"unk_token": "nowhere"},
        "long prefix": {"continuing_subword_prefix": "#" * rng.choice([10_000, 1 << 20])},
        "empty": {"vocab": {}},
        "no prefix": {"continuing_subword_prefix": ""},
        "unknown": {"unk_token": "u" * 100_000, "vocab": {"u" * 100_000: 0}},
    }[what]
    _write(folder, {**tokenizer, "model": model})
    return what


def _unigram(rng: Random, folder: Path) -> str:
    tokenizer = _of(folder)
    longest = rng.choice([10, 250, 2000])
    pieces: list[Any] = [["<unk>", 0.0], *(["a" * i, -1.0] for i in range(1, longest))]
    what = rng.choice(["nested", "scores", "unknown", "strange", "empty", "empty piece"])
    unknown: Any = 0
    if what == "scores":
        scores = [math.nan, math.inf, -math.inf, 1e308, -1e308]
        pieces[1:] = [[piece, rng.choice(scores)] for piece, _ in pieces[1:]]
    elif what == "unknown":
        unknown = rng.choice([len(pieces), 2**63, -1, None, "a"])
    elif what == "strange":
        pieces[rng.randrange(len(pieces))] = rng.choice(_STRANGE)
    elif what == "empty":
        pieces = []
    elif what == "empty piece":
        pieces.append(["", 5.0])
    model = {"type": "Unigram", "unk_id": unknown, "vocab": pieces, "byte_fallback": rng.random() < 0.3}
    _write(folder, {**tokenizer, "model": model})
    return what


def _charsmap(rng: Random, folder: Path) -> str:
    """A table of replacements whose trie points at itself, outside, or at long texts."""
    units = rng.choice([1, 256, 1024, 5000])
    what = rng.choice(["random", "cycle", "lies", "long", "cut", "not UTF-8"])
    flags = [1 << 10, 1 << 8, 97, 0x80000000]
    inside = [rng.choice(flags) | rng.randrange(units) << 10 for _ in range(units)]
    trie = rng.randbytes(4 * units) if what == "random" else struct.pack(f"<{units}I", *inside)
    if what == "cycle":
        trie = struct.pack("<I", 0x80000000 | 1 << 8) * units
    size = rng.choice([2**32 - 1, 1, len(trie) + 1]) if what == "lies" else len(trie)
    texts = {"long": b"b" * 100_000, "not UTF-8": rng.randbytes(500)}.get(what, b"bc\0")
    content = struct.pack("<I", size) + trie + b"a\0" + texts + b"\0"
    content = content[: rng.randrange(len(content))] if what == "cut" else content
    tokenizer = _of(folder)
    tokenizer["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(content).decode()}
    _write(folder, tokenizer)
    return f"{what} of {units}"


def _added(rng: Random, folder: Path) -> str:
    tokenizer = _of(folder)
    token = {
        "id": 0,
        "content": "a",
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": True,
        "special": False,
    }
    what = rng.choice(["strange", "huge id", "empty", "many", "long", "not there", "list"])
    if what == "strange":
        token[rng.choice(list(token))] = rng.choice(_STRANGE)
    new: Any = [token]
    if what == "huge id":
        token |= {"id": rng.choice([2**31, 2**32 - 1, 2**32, 10**9]), "content": "never"}
    elif what == "empty":
        token["content"] = ""
    elif what == "long":
        token["content"] = "b" * rng.choice([70_000, 2_000_000])
    elif what == "many":
        new = [{**token, "id": i, "content": f"b{i}"} for i in range(20_000)]
    elif what == "list":
        new = rng.choice(_STRANGE)
    tokenizer["added_tokens"] = (
        new if not isinstance(new, list) or rng.random() < 0.3 else [*tokenizer.get("added_tokens", []), *new]
    )
    _write(folder, tokenizer)
    return what


def _settings(rng: Random, folder: Path) -> str:
    path = folder / "tokenizer_config.json"
    settings, told = json.loads(path.read_text()) if path.exists() else {}, []
    for _ in range(rng.choice([1, 1, 3])):
        name, value = rng.choice(_SETTINGS), rng.choice(_STRANGE)
        if rng.random() < 0.3:
            value = rng.choice([
                {"content": rng.choice(_STRANGE), "__type": "AddedToken"}, {"0": {"content": rng.choice(_STRANGE)}},
                {str(rng.choice([2**31, -1, "x"])): {"content": "never", "special": True}},
                [{"name": rng.choice(_STRANGE), "template": rng.choice(_STRANGE)}],
                [{"name": "default", "template": "{{"}],
            ])  # fmt: skip
        settings[name] = value
        told.append(f"{name}={str(value)[:40]!r}")
    _write(folder, settings, path.name)
    return "; ".join(told)


def _special(rng: Random, folder: Path) -> str:
    name = rng.choice(["special_tokens_map.json", "added_tokens.json", "config.json"])
    path = folder / name
    given = json.loads(path.read_text()) if path.exists() else {}
    key = rng.choice([*(given or ()), "unk_token", "vocab_size", "pad_token_id", "additional_special_tokens", "b"])
    given[key] = value = rng.choice(_STRANGE)
    _write(folder, given, name)
    return f"{name} {key}={str(value)[:30]!r}"


def _lines(rng: Random, folder: Path) -> str:
    """The older files of a vocabulary, in place of the new one."""
    (folder / TOKENIZER).unlink()
    what = rng.choice(["million", "empty", "binary", "merges", "wrong merges", "list"])
    if what in ("million", "empty", "binary"):
        content = {"million": b"a\n" * 1_000_000, "empty": b"", "binary": rng.randbytes(100_000)}[what]
        (folder / "vocab.txt").write_bytes(content)
        return what
    (folder / "vocab.json").write_text("[1, 2]" if what == "list" else json.dumps({"a": 0, "b": 1, "ab": 2, "</s>": 3}))
    line = "a b\n" if what == "merges" else rng.choice(["x y\n", "a\n", "a b c\n", "\0 \0\n"])
    (folder / "merges.txt").write_text("#version: 0.2\n" + line * rng.choice([1, 1_000_000]))
    return what
