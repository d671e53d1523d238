"""Sample knowledge base: the help centre of the fictional online shop "Juniper Lane".

The folder holds Markdown articles (``articles/``), questions that an article
answers (``questions.jsonl``) and questions that no article answers
(``unanswerable.jsonl``). They serve as demo content and as the retrieval and
answer test of the project. The shop, its prices and its rules are invented;
all text was written for this project and is covered by its licence,
Apache-2.0.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["articles_dir", "questions_path", "unanswerable_path"]

_HERE = Path(__file__).resolve().parent


def articles_dir() -> Path:
    """Return the folder with the Markdown articles."""
    return _HERE / "articles"


def questions_path() -> Path:
    """Return the JSON Lines file with answerable questions and their facts."""
    return _HERE / "questions.jsonl"


def unanswerable_path() -> Path:
    """Return the JSON Lines file with questions that no article answers."""
    return _HERE / "unanswerable.jsonl"
