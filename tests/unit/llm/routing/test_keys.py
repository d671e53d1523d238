"""Keys: where they come from, and that nothing tells them by accident."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import traceback
from pathlib import Path

import pytest

from holdfast.errors import ConfigError
from holdfast.llm.routing.keys import Key, KeyMissingError, is_reference, read_secret
from holdfast.llm.routing.targets import Provider

SECRET = "sk-very-secret-0123456789"


@pytest.fixture
def key() -> Key:
    return Key(name="OPENAI_API_KEY", value=SECRET)


def test_key_tells_its_value_only_when_asked(key: Key) -> None:
    """The value is in the property and in no text made of the key."""
    assert key.value == SECRET
    texts = [repr(key), str(key), f"{key}", f"{[key]!r}", "%s" % key]  # noqa: UP031
    assert all(SECRET not in text and "OPENAI_API_KEY" in text for text in texts)


def test_key_is_hidden_inside_other_objects(key: Key) -> None:
    """A provider's repr, its dictionary, and errors that carry it show the name of the key only."""
    provider = Provider(name="openai", base_url="https://api.openai.com/v1", keys=(key,))
    assert SECRET not in repr(provider)
    assert SECRET not in repr(dataclasses.asdict(provider))
    assert SECRET not in str(ConfigError("keys", provider, "is wrong"))


def test_key_cannot_be_written_down(key: Key) -> None:
    """Neither pickle nor json takes a key, and it has no dictionary of attributes."""
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(key)
    with pytest.raises(TypeError):
        json.dumps({"key": key})
    assert not hasattr(key, "__dict__")


def test_key_is_not_logged(key: Key, caplog: pytest.LogCaptureFixture) -> None:
    """A log line made of a key has its name."""
    logging.getLogger("test").warning("key %s %r", key, key)
    assert SECRET not in caplog.text


def test_key_cannot_be_changed(key: Key) -> None:
    """No attribute can be set or deleted, and a copy is the key itself."""
    with pytest.raises(AttributeError):
        key.value = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del key._value
    assert copy.copy(key) is key
    assert copy.deepcopy(key) is key


def test_keys_are_equal_by_name_and_value(key: Key) -> None:
    """Two keys with the same name and value are one, and nothing else equals a key."""
    assert key == Key(name="OPENAI_API_KEY", value=SECRET)
    assert hash(key) == hash(Key(name="OPENAI_API_KEY", value=SECRET))
    assert key != Key(name="OPENAI_API_KEY", value="other")
    assert key != SECRET


@pytest.mark.parametrize("value", ["with space", "line\nbreak", "umläut", "x" * 4097])
def test_key_that_no_header_can_hold_is_refused_unseen(value: str) -> None:
    """A value that cannot stand in a header field is refused, and the whole traceback does not show it."""
    with pytest.raises(ConfigError, match="printable ASCII") as caught:
        Key(name="X", value=value)
    assert value not in str(caught.value)


def test_secret_comes_from_a_variable() -> None:
    """``env:NAME`` reads the variable, without the white space at its ends."""
    key = read_secret("keys[0]", "env:A_KEY", {"A_KEY": f" {SECRET}\n"}, Path())
    assert (key.name, key.value) == ("A_KEY", SECRET)


@pytest.mark.parametrize("environ", [{}, {"A_KEY": ""}, {"A_KEY": " \n"}])
def test_missing_variable_says_which_to_set(environ: dict[str, str]) -> None:
    """A variable that is not there, or empty, is named."""
    with pytest.raises(KeyMissingError, match="set the variable A_KEY"):
        read_secret("keys[0]", "env:A_KEY", environ, Path())


def test_secret_comes_from_a_file(tmp_path: Path) -> None:
    """``file:PATH`` reads the file, a relative path from the given folder, an absolute one as it is."""
    (tmp_path / "key").write_text(f"{SECRET}\n")
    assert read_secret("keys[0]", "file:key", {}, tmp_path).value == SECRET
    assert read_secret("keys[0]", f"file:{tmp_path}/key", {}, Path()).value == SECRET


def test_missing_or_empty_file_is_named(tmp_path: Path) -> None:
    """A file that cannot be read, or is empty, is told with its path and the reason."""
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(KeyMissingError, match=r"file:none.*No such file"):
        read_secret("keys[0]", "file:none", {}, tmp_path)
    with pytest.raises(KeyMissingError, match="the file is empty"):
        read_secret("keys[0]", "file:empty", {}, tmp_path)
    with pytest.raises(KeyMissingError, match="null byte"):
        read_secret("keys[0]", "file:a\0b", {}, tmp_path)


def test_file_that_is_no_key_is_refused_unseen(tmp_path: Path) -> None:
    """A file with more than a key in it is refused without its content."""
    (tmp_path / "key").write_text(f"KEY = {SECRET}")
    with pytest.raises(ConfigError) as caught:
        read_secret("keys[0]", "file:key", {}, tmp_path)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("given", [SECRET, f"env:{SECRET}", "env:", "file:", 5, None])
def test_key_itself_is_refused_unseen(given: object) -> None:
    """A key in the place of a reference is refused with the two forms there are, and not shown."""
    with pytest.raises(ConfigError, match=r"env:|file:") as caught:
        read_secret("keys[0]", given, {}, Path())
    assert SECRET not in str(caught.value)
    assert not isinstance(caught.value, KeyMissingError)


def test_what_is_a_reference() -> None:
    """Only texts with one of the two prefixes say where a secret is."""
    assert is_reference("env:X")
    assert is_reference("file:/x")
    assert not is_reference("https://x")
    assert not is_reference(7)
