"""Where the model lives and what it is called."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from holdfast.llm.local.manifest import MINILM, default_model_dir


def test_model_dir_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a setting the model lives in the user's cache, in a folder that names it and its format."""
    monkeypatch.delenv("HOLDFAST_MODEL_DIR", raising=False)
    expected = platformdirs.user_cache_path("holdfast") / "models" / "all-MiniLM-L6-v2-int8-1"
    assert default_model_dir() == expected


@pytest.mark.parametrize(("value", "expected"), [("/srv/model", Path("/srv/model")), ("~/m", Path.home() / "m")])
def test_model_dir_can_be_chosen(monkeypatch: pytest.MonkeyPatch, value: str, expected: Path) -> None:
    """HOLDFAST_MODEL_DIR chooses the folder; a leading ~ is the home."""
    monkeypatch.setenv("HOLDFAST_MODEL_DIR", value)
    assert default_model_dir() == expected


def test_empty_setting_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """HOLDFAST_MODEL_DIR set to blanks means the default, not the current folder."""
    monkeypatch.setenv("HOLDFAST_MODEL_DIR", "  ")
    assert default_model_dir().name == "all-MiniLM-L6-v2-int8-1"


def test_vector_space_names_model_precision_and_format() -> None:
    """The id changes with everything that changes vectors."""
    assert MINILM.embedder_id == "local:all-MiniLM-L6-v2:int8:1"


def test_hashes_are_whole() -> None:
    """Every file has a complete SHA-256 in lower case, and a size."""
    for file in MINILM.files:
        assert len(file.sha256) == 64
        assert set(file.sha256) <= set("0123456789abcdef")
        assert file.size > 0
