"""What is taken out of a provider's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.llm.wire.redaction import redact, redact_bytes, redact_value, words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Incorrect API key provided: sk-proj-****abcd. See", "Incorrect API key provided: [redacted] See"),
        ("sk-ant-api03-abcdefgh_IJK", "[redacted]"),
        ("sk-abcdefghijkl", "[redacted]"),
        ("gsk_abc123456789 and hf_abcdefghij", "[redacted] and [redacted]"),
        ("AIzaSyD-1234567890abcdefghij", "[redacted]"),
        ("pa-1234567890abcdefghij", "[redacted]"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer [redacted]"),
        ('"api_key": "0123456789abcdef"', '"api_key": "[redacted]"'),
        ("x-api-key: 0123456789", "x-api-key: [redacted]"),
        ("https://x/v1?key=0123456789&a=b", "https://x/v1?key=[redacted]&a=b"),
        (
            "a task-management desk-top risk-free co-pilot pa-system-for-everybody",
            "a task-management desk-top risk-free co-pilot pa-system-for-everybody",
        ),
    ],
)
def test_what_looks_like_a_key(text: str, shown: str) -> None:
    """Keys are taken out whoever they belong to, and words that look alike stay."""
    assert redact(text) == shown


def test_known_secrets_in_any_spelling() -> None:
    """A secret is found as it is and as JSON may write it; the longer ones first, and none that is too short."""
    assert redact('a"b/c and a\\"b/c', ['a"b/c']) == "[redacted] and [redacted]"
    assert redact("x\\/yz", ["x/yz"]) == "[redacted]"
    assert redact("hunter2hunter", ["hunter2", "hunter2hunter"]) == "[redacted]"
    assert redact("abc", ["abc", ""]) == "abc"


def test_bytes_of_any_kind() -> None:
    """Bytes that are not text stay as they are."""
    assert redact_bytes(b"\xff\xfesk-12345678\xff") == b"\xff\xfe[redacted]\xff"


def test_parsed_values() -> None:
    """Every text in parsed JSON is redacted, names of fields included, and what is nested too deeply is left out."""
    assert redact_value({"sk-12345678": ["sk-12345678", 1, None]}) == {"[redacted]": ["[redacted]", 1, None]}
    assert redact_value({"a": {"b": 1}, "c": [1]}, depth=1) == {"a": {}, "c": []}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one\r\n two\x00\x1b[31m", "one two[31m"),
        ("a\u202eb\u200b", "ab"),
        ("s\u200bk-12345678", "[redacted]"),
        ("x" * 400, "x" * 299 + "…"),
        ("<html><head><title>502 Bad\n Gateway</title></head><body>nginx</body></html>", "502 Bad Gateway"),
        ("\ufeff <p>We are <b>busy</b><script>x()</script></p>", "We are busy"),
    ],
)
def test_words(text: str, shown: str) -> None:
    """What is shown is one line without control characters, and of a page its headline."""
    assert words(text) == shown


def test_hostile_pages_take_no_time() -> None:
    """A page of opening brackets is not searched with the square of its length."""
    assert words("<" * 65_536)
    assert words("co-" * 30_000)


@given(st.text(), st.text(min_size=4))
def test_no_secret_is_ever_shown(text: str, secret: str) -> None:
    """Whatever stands around it, a secret is not in what is shown."""
    assert secret in "[redacted]" or secret not in redact(text + secret + text, [secret])
