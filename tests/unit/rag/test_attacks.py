"""Documents that attack: they stay data on the way in, and what a model made of them is checked on the way out."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

import pytest
from markdown_it import MarkdownIt
from tests.unit.rag.answering.attacks import ATTACKS, OBEYED, Attack
from tests.unit.rag.answering.conftest import make_hit
from tests.unit.rag.scripted import ARTICLES, QUESTION, Provider, desk

from holdfast.lab.simulator.http import SimulatorHttp
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.simulator.service import Simulator
from holdfast.rag.answering.excerpt import excerpt
from holdfast.rag.answering.prompting import prompt
from holdfast.rag.types import Reason, Tier
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [attack.name for attack in ATTACKS]
RENDERER = MarkdownIt("commonmark", {"html": True})
FILLER = {f"other{n}.md": f"# Matter {n}\n\nThis page is about matter {n}, and nothing else." for n in range(12)}
"""Among a handful of passages no word is rare, and no question is answered."""
LEADS_TO_EVIL = re.compile(r"evil\.test")


def leaving(text: str) -> list[str]:
    """What a renderer of Markdown would load, follow, or run."""
    found = []
    tokens = list(RENDERER.parse(text))
    while tokens:
        token = tokens.pop()
        tokens += token.children or []
        if token.type in {"link_open", "image"}:
            found.append(str(token.attrs.get("href") or token.attrs.get("src")))
        elif token.type.startswith("html_"):
            found.append(token.content)
    return found


@pytest.mark.parametrize("attack", ATTACKS, ids=NAMES)
@pytest.mark.parametrize("brief", [False, True])
def test_an_attack_stays_inside_of_its_passage(attack: Attack, *, brief: bool) -> None:
    """Whatever a document says, all of it stands between the tags of its passage, and the question comes last."""
    hits = [make_hit("Within 30 days."), make_hit(attack.text, name="evil", title=f"T {attack.text}", heading="H")]
    (rules, user), count = prompt(QUESTION, hits, rng=random.Random(1), tokens=None, brief=brief)
    tag = re.match(r"<(passage_[0-9a-f]{12}) ", user.content)
    assert tag
    assert user.content.count(f"<{tag[1]}") == user.content.count(f"</{tag[1]}>") == count == 2
    outside = re.sub(rf"<{tag[1]} id=.*?</{tag[1]}>", "", user.content, flags=re.DOTALL)
    assert outside.strip() == f"Question: {QUESTION}"
    assert "PWNED" not in rules.content
    assert not re.search(r"<\|im_|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>", user.content)
    assert not re.search(r"[\u200b\u202e\u202c\U000e0000-\U000e007f]", user.content)


@pytest.mark.parametrize("attack", ATTACKS, ids=NAMES)
async def test_an_answer_is_the_same_beside_an_attack(tmp_path: Path, attack: Attack) -> None:
    """With the document among those that are found, the simulated model and the extraction answer as without it."""
    poisoned = f"# Products sent back\n\nMost products that were sent back had a delivery. {attack.text}\n"
    articles = {**ARTICLES, **FILLER, "evil.md": poisoned}
    http = SimulatorHttp({"https://api.openai.com/v1": Simulator(SimulatorOptions(speed=0), clock=FakeClock())})
    settings: Any = {"cache_size": 0}
    async with desk(tmp_path, http, articles=articles, **settings) as service:
        found = await service.engine.search(QUESTION)
        answers = [await service.ask()]
        answers.append((await service.stream())[1])
    assert any("evil" in hit.stored.uri for hit in found.hits)
    for answer in answers:
        assert "30 days" in answer.text
        assert answer.answered
        assert not LEADS_TO_EVIL.search(" ".join(leaving(answer.text)))


@pytest.mark.parametrize("text", OBEYED)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_model_that_obeys_gives_nothing_away(tmp_path: Path, text: str, *, streamed: bool) -> None:
    """What a model writes for an attacker reaches nobody: no image, no link and no tag leads out, and it is told."""
    pieces = re.findall(r".{1,3}", text, re.DOTALL)
    async with desk(tmp_path, Provider(pieces=pieces)) as service:
        if streamed:
            given, answer = await service.stream()
            assert "".join(given) == answer.text
        else:
            answer = await service.ask()
        again = await service.ask()
    assert answer.text.startswith("Within 30 days [1].")
    assert "evil.test" not in answer.text
    assert not any("evil" in target or "script" in target for target in leaving(answer.text))
    assert Reason.LINKS_REMOVED in answer.reasons
    assert (answer.tier, answer.degraded) == (Tier.FULL, False)
    assert "an address that stands in no document" in answer.notice
    assert again.source == answer.source  # what has a flaw is not kept


async def test_an_address_of_the_documents_may_be_given(tmp_path: Path) -> None:
    """A link that stands in a passage that was found, and the document's own address, get through."""
    sent = "# Sent back\n\nProducts are sent back at [our shop](https://shop.test/r) after delivery."
    articles = {**ARTICLES, **FILLER, "shop.md": sent}
    text = "Return it at [our shop](https://shop.test/r) within 30 days [1]."
    async with desk(tmp_path, Provider(pieces=[text]), articles=articles) as service:
        answer = await service.ask()
    assert answer.text == text
    assert Reason.LINKS_REMOVED not in answer.reasons


async def test_a_quoted_answer_loads_nothing(tmp_path: Path) -> None:
    """Extraction quotes documents, plain text among them; an image in one becomes text, whoever shows the answer."""
    evil = "Return an item within 30 days of delivery ![pixel](https://evil.test/p.png) <img src=//evil.test/i> now."
    articles = {"evil.txt": evil, "other.md": "# Warranty\n\nThree years."}
    async with desk(tmp_path, Provider(), articles=articles, model=None) as service:
        answer = await service.ask("How many days do I have to return an item?")
    assert "within 30 days" in answer.text
    assert [target for target in leaving(answer.text) if "img" in target or target.endswith("/i")] == []
    assert RENDERER.render(answer.text).count("<img") == 0
    assert answer.citations[0].text in evil


def test_the_passages_themselves_load_nothing() -> None:
    """The last resort, the passages as they are, holds no image either."""
    draft = excerpt([make_hit("![pixel](https://evil.test/p.png) Within 30 days.")])
    assert draft.text == "! [pixel](https://evil.test/p.png) Within 30 days. [1]"
