"""Sample knowledge base: the help centre of the fictional online shop "Juniper Lane".

The folder holds Markdown articles (``articles/``), questions that an article
answers (``questions.jsonl``), questions that no article answers
(``unanswerable.jsonl``), and short answers to what customers ask most
(``faq.toml``). They serve as demo content and as the retrieval and
answer test of the project. The shop, its prices and its rules are invented;
all text was written for this project and is covered by its licence,
Apache-2.0.
"""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["articles_dir", "faq_path", "install_faq", "questions_path", "unanswerable_path"]

_HERE = Path(__file__).resolve().parent


def articles_dir() -> Path:
    """Return the folder with the Markdown articles."""
    return _HERE / "articles"


def faq_path() -> Path:
    """Return the file with short answers to common questions."""
    return _HERE / "faq.toml"


def install_faq(folder: Path, *, collection: str) -> Path | None:
    """Copy the sample's FAQ to ``faq.toml`` in a service's data folder, for questions to one collection.

    Args:
        folder: the data folder; it must be there.
        collection: the collection that the sample's articles were put into.

    Returns:
        The file, or None when there is one already: it is somebody's own.

    Raises:
        OSError: it cannot be written.
    """
    file = folder / "faq.toml"
    text = f"collection = {json.dumps(collection, ensure_ascii=False)}\n\n{faq_path().read_text('utf-8')}"
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        return None
    return file


def questions_path() -> Path:
    """Return the JSON Lines file with answerable questions and their facts."""
    return _HERE / "questions.jsonl"


def unanswerable_path() -> Path:
    """Return the JSON Lines file with questions that no article answers."""
    return _HERE / "unanswerable.jsonl"
