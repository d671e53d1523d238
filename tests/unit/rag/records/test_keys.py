"""API keys: how they are made, and how one is found again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.errors import InvalidInputError, NotFoundError
from holdfast.rag.records.keys import KEY_PREFIX, MAX_KEYS, digest_of, find_key, make_key, too_many_keys


def test_a_key_is_random_and_not_kept() -> None:
    """Two keys never agree; what is kept of one is its hash and its first characters, and a repr has only those."""
    (one, first), (other, second) = make_key("web", now=1.0), make_key("web", now=1.0)
    assert first != second
    assert len(first) == len(KEY_PREFIX) + 43  # 256 bits in base64
    assert one.digest == digest_of(first) != other.digest
    assert first.startswith(one.prefix)
    assert len(one.prefix) == len(KEY_PREFIX) + 8
    assert first not in repr(one)
    assert one.digest not in repr(one)


def test_any_text_has_a_digest() -> None:
    """A guess that is no valid text is compared like any other."""
    assert digest_of("\ud800") != digest_of("?")


def test_a_key_is_found_by_name_or_beginning() -> None:
    """The name finds it, and so does how it begins, with or without the dots of a list."""
    keys = [make_key(name, now=1.0)[0] for name in ("web", "batch")]
    for key in keys:
        for text in (key.name, key.prefix, f"{key.prefix}…", key.prefix[:-2]):
            assert find_key(keys, text) is key


def test_of_one_name_the_working_key_is_meant() -> None:
    """Of several keys with one name it is the one that is not revoked; where all are, the last."""
    old, current, last = (make_key("web", now=n)[0] for n in (1.0, 2.0, 3.0))
    old, last = replace(old, revoked_at=5.0), replace(last, revoked_at=6.0)
    assert find_key([old, current, last], "web") is current
    assert find_key([old, last], "web") is last


@pytest.mark.parametrize("text", ["nothing", "", "…", "hf_", "hf_…", "hf_zzzzzzzz", "we"])
def test_what_is_no_key_is_told(text: str) -> None:
    """A text that is no key's name, and how no single key begins, is told with the command that lists them."""
    with pytest.raises(NotFoundError, match="holdfast keys list"):
        find_key([replace(make_key("web", now=1.0)[0], prefix="hf_aaaaaaaa")], text)


def test_a_beginning_that_fits_several_is_told() -> None:
    """Where several keys begin like this, they are named."""
    keys = [replace(make_key(name, now=1.0)[0], prefix=f"hf_ab{name}") for name in ("one", "two")]
    with pytest.raises(InvalidInputError, match=r"2 keys begin with hf_ab \(one, two\)"):
        find_key(keys, "hf_ab")


def test_the_number_of_keys_is_bounded() -> None:
    """The sentence says how many there may be, and how to make room."""
    assert f"{MAX_KEYS:,} keys" in str(too_many_keys())
    assert "--delete" in str(too_many_keys())
