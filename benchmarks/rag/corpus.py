"""A large knowledge base made from the sample one: the same language, many more articles, every one different.

Each generated article is about one made-up product: paragraphs are drawn from the sample articles, their sentences
shuffled, and the product's name, a model number and varied figures are worked in. Names follow Zipf's law, as words do,
so that the index holds both frequent and rare terms. Deterministic for a seed.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

from holdfast.sample import articles_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["paragraphs", "write_corpus"]

_SYLLABLES = (
    "ba",
    "cor",
    "dal",
    "en",
    "fi",
    "gar",
    "hol",
    "is",
    "jun",
    "kel",
    "lo",
    "mer",
    "nor",
    "os",
    "pra",
    "qui",
    "ros",
    "sil",
    "tam",
    "ul",
    "ver",
    "wil",
    "yor",
    "zan",
)
_NOUNS = (
    "kettle",
    "sofa",
    "lamp",
    "drill",
    "blanket",
    "speaker",
    "planter",
    "chair",
    "blender",
    "jacket",
    "rug",
    "desk",
)
_PARAGRAPHS_A_SECTION = 3
_SECTIONS = 5


def paragraphs() -> list[str]:
    """The prose of the sample articles."""
    found: list[str] = []
    for path in sorted(articles_dir().glob("*.md")):
        for block in path.read_text(encoding="utf-8").split("\n\n"):
            text = " ".join(block.split())
            if len(text) > 120 and not text.startswith(("#", "|", "-", "`", ">", "1.")):
                found.append(text)
    return found


def _name(rng: random.Random, names: list[str]) -> str:
    rank = min(len(names) - 1, int(rng.paretovariate(0.8)) - 1)  # Zipf: a few names everywhere, most of them rare
    return names[rank]


def _articles(count: int, seed: int) -> Iterator[str]:
    rng = random.Random(seed)
    texts = paragraphs()
    names = ["".join(rng.choices(_SYLLABLES, k=3)).capitalize() for _ in range(5_000)]
    for _ in range(count):
        name, noun, model = _name(rng, names), rng.choice(_NOUNS), f"{rng.choice('ABCDEFGH')}{rng.randint(100, 9999)}"
        parts = [f"# {name} {noun} {model}"]
        for section in range(_SECTIONS):
            parts.append(f"## {_name(rng, names)} and your {noun}, part {section + 1}")
            for _ in range(_PARAGRAPHS_A_SECTION):
                sentences = re.split(r"(?<=[.!?]) ", rng.choice(texts))
                rng.shuffle(sentences)
                text = " ".join(sentences)
                text = re.sub(r"\b\d{1,3}\b", lambda _: str(rng.randint(2, 90)), text)
                parts.append(f"For the {name} {noun} {model}: {text}")
        yield "\n\n".join(parts) + "\n"


def write_corpus(folder: Path, *, articles: int, seed: int = 7) -> None:
    """Write ``articles`` Markdown files into ``folder``, a hundred to a subfolder."""
    for number, text in enumerate(_articles(articles, seed)):
        path = folder / f"{number // 100:03d}" / f"{number:05d}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
