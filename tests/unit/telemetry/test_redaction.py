"""What counts as a secret, and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.telemetry.redaction import REDACTED, Redactor


@pytest.mark.parametrize(
    "name", ["authorization", "Authorization", "api_key", "x-api-key", "openai_api_key", "password", "token", "cookie"]
)
def test_field_that_names_a_secret_is_blanked(name: str) -> None:
    """A field whose name says that it holds a secret is blanked whatever it holds."""
    assert Redactor()(None, "info", {name: "anything"}) == {name: REDACTED}


@pytest.mark.parametrize("name", ["tokens", "prompt_tokens", "key_id", "cache_key", "tokenizer"])
def test_field_that_only_sounds_like_one_is_kept(name: str) -> None:
    """Fields such as the number of tokens are not secrets."""
    assert Redactor()(None, "info", {name: 12}) == {name: 12}


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abc.def-ghi",
        "sk-proj-abcdefghijklmnop1234",
        "sk-ant-" + "api03-" + "abcdefghij" * 3,
        "redis://:pa55word@cache:6379/0",
        "mongodb+srv://user:pa55word@host/db",
        "https://host/?x=1&api_key=abcdef&y=2",
        '{"password": "pa55word"}',
    ],
)
def test_text_that_looks_like_a_secret_is_blanked(text: str) -> None:
    """Tokens, keys and passwords inside a text are blanked."""
    cleaned = Redactor().text(text)
    assert REDACTED in cleaned
    for secret in ("abc.def-ghi", "abcdefghijklmnop1234", "api03-abcdefghij", "pa55word", "abcdef&"):
        assert secret not in cleaned


@pytest.mark.parametrize(
    "text", ["How long do refunds take?", "http://127.0.0.1:8000", "token count 12", "the secret of good tea", "sk-8"]
)
def test_ordinary_text_is_kept(text: str) -> None:
    """A text without a secret stays as it is."""
    assert Redactor().text(text) == text


@given(st.text(min_size=6, max_size=40), st.text(max_size=30), st.text(max_size=30))
def test_configured_secret_never_survives(secret: str, before: str, after: str) -> None:
    """Wherever a configured secret stands in a line, it is not there afterwards."""
    if secret in REDACTED or secret in before or secret in after:
        return
    line = Redactor([secret])(None, "info", {"event": before + secret + after, "nested": {"a": [secret]}})
    assert line["nested"] == {"a": [REDACTED]}
    assert secret not in str(line["event"]).replace(REDACTED, "\0")


def test_longer_secret_is_blanked_whole() -> None:
    """When one secret begins with another, nothing of the longer one is left."""
    assert Redactor(["abcdef", "abcdefghi"]).text("x abcdefghi y") == f"x {REDACTED} y"


def test_depth_is_bounded() -> None:
    """A value that is nested without end is cut, and still holds no secret."""
    value: dict[str, object] = {"password": "deep"}
    for _ in range(50):
        value = {"in": value, "key": "hunter2hunter2"}
    assert "hunter2" not in str(Redactor(["hunter2hunter2"])(None, "info", {"value": value}))
