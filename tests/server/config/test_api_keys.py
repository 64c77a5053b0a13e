"""Files of API keys: what is read, and that no message shows what is written there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from server.config.api_keys import MAX_BYTES, KeyRing, KeysError

SECRET = "sk-secret-0123456789abcdef"
HASH = hashlib.sha256(SECRET.encode()).hexdigest()


@pytest.mark.parametrize(
    "text",
    [
        f"- key: {SECRET}\n",
        f"- {SECRET}\n- other-key-0123456789\n",
        f"- key: sha256:{HASH}\n",
        f"- sha256:{HASH.upper()}\n",
        f"\ufeff# a comment\n{SECRET}\n\nother-key-0123456789\n",
        f"sha256:{HASH}",
        f'[{{"key": "{SECRET}", "name": "json"}}]',
    ],
)
def test_a_key_is_found_however_it_is_written(text: str) -> None:
    ring = KeyRing.parse(text.encode())
    found = ring.find(SECRET)
    assert found is not None
    assert found.allows("anything")
    assert not found.admin
    for wrong in ("", SECRET[:-1], SECRET + "x", HASH, f"sha256:{HASH}", SECRET.upper()):
        assert ring.find(wrong) is None
    assert not ring.notes


def test_what_a_key_is_for() -> None:
    ring = KeyRing.parse(
        f'- {{key: {SECRET}, name: team, models: [iris, "bert-*", "caf\u0065\u0301"], admin: true}}'.encode()
    )
    key = ring.find(SECRET)
    assert key is not None
    assert (key.name, key.admin) == ("team", True)
    assert [name for name in ("iris", "iris2", "bert-base", "BERT-x", "café", "cafe") if key.allows(name)] == [
        "iris", "bert-base", "café",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it holds no keys"),
        ("# nothing\n", "it holds no keys"),
        ("[]", "it holds 0 keys"),
        (f"key: {SECRET}", "must be a list of entries"),
        (f"- key: {SECRET}\n  modles: [a]", "entry 1: modles is no field; did you mean models?"),
        (f"- key: {SECRET}\n  x: 1", "x is no field; known: key, name, models, admin"),
        ("- name: a", "entry 1: key is missing"),
        ("- key: 12345678901234567890", "entry 1: key must be text: write it in quotes"),
        (f"- key: {SECRET} two", "entry 1: key must be 1 to 512 visible ASCII characters"),
        (f"- key: sha256:{HASH[1:]}", "must have 64 hexadecimal digits"),
        (f"- {SECRET}\n- key: {SECRET}\n  name: b", "entry 2: the key is that of another entry (entry 1)"),
        (f"- {SECRET}\n- sha256:{HASH}", "entry 2: the key is that of another entry"),
        (f"- key: {SECRET}\n  models: iris", "models must be a list of names"),
        (f"- key: {SECRET}\n  models: []", "models must be a list of names"),
        (f"- key: {SECRET}\n  models:", "models must be a list of names"),
        (f"- key: {SECRET}\n  admin: 1", "admin must be true or false"),
        (f"- key: {SECRET}\n  models: [a]\n  models: [b]", "entry 1: models is given twice"),
        (f"- key: {SECRET}\n  name: 3", "name must be a text"),
        (f"- key: {SECRET}\n  name: [", "it is no YAML, at line"),
        (f"- &a {SECRET}\n- *a", "anchors and aliases"),
        ("- " + "[" * 1000, "it is no YAML"),
    ],
)
def test_a_mistake_names_the_entry_and_never_the_key(text: str, problem: str) -> None:
    with pytest.raises(KeysError) as caught:
        KeyRing.parse(text.encode())
    assert problem in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "1234567890" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="cannot be read: No such file"):
        KeyRing.read(tmp_path / "none")
    (tmp_path / "large").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(KeysError, match="more than"):
        KeyRing.read(tmp_path / "large")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(KeysError, match="not UTF-8"):
        KeyRing.read(tmp_path / "binary")


def test_short_keys_are_told_of_and_nothing_shows_a_key() -> None:
    ring = KeyRing.parse(b"- {key: abc, name: team}")
    assert ring.notes == ["entry 1 (team): the key has 3 characters and may be guessed: use 32"]
    assert ring.find("abc") is not None
    assert "abc" not in repr(ring)
    assert "abc" not in repr(ring.find("abc"))


def test_a_key_for_some_models_is_for_none_with_a_name_of_megabytes() -> None:
    """Python takes the square of its length to normalize such a one: days for these."""
    key = KeyRing.parse(f"- {{key: {SECRET}, models: ['*']}}".encode()).find(SECRET)
    assert key is not None
    assert key.allows("e\u0301" * 512)
    assert not key.allows("\u0301\u0316" * 1_000_000)
