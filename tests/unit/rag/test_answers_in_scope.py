"""Answers keep to the collection and the filters of their question, and to what was found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.rag.scripted import Provider, desk

from holdfast.rag.query import Query
from holdfast.rag.types import Answer, Source

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.rag.scripted import Desk

WINDOWS = {("uk", "shop"): 30, ("us", "shop"): 45, ("uk", "outlet"): 7}
QUESTION = "Within how many days of delivery can most products be sent back?"


async def filled(service: Desk, folder: Path) -> None:
    """One document on returns for each country and collection, among others on other matters."""
    for collection in ("shop", "outlet"):
        lines: list[dict[str, Any]] = [
            {
                "id": f"returns-{country}-{collection}",
                "title": "Returns",
                "text": f"Most products can be sent back within {days} days of delivery.",
                "metadata": {"country": country, "year": 2025},
            }
            for (country, where), days in WINDOWS.items()
            if where == collection
        ]
        lines += [
            {"id": f"{collection}-{n}", "title": f"Matter {n}", "text": f"This is about matter {n}."} for n in range(12)
        ]
        path = folder / f"{collection}.jsonl"
        path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        await service.engine.ingestor.ingest_paths([path], collection=collection)


@pytest.mark.parametrize(("country", "collection"), list(WINDOWS))
@pytest.mark.parametrize("model", [None, "openai/gpt-4o-mini"])
async def test_an_answer_rests_on_its_scope_alone(
    tmp_path: Path, country: str, collection: str, model: str | None
) -> None:
    """Streamed or not, written or quoted, an answer cites documents of its collection that meet its filters."""
    days = WINDOWS[country, collection]
    provider = Provider(pieces=[f"Within {days} days", " of delivery [1]", "."])
    async with desk(tmp_path, provider, articles={}, model=model, cache_size=0) as service:
        await filled(service, tmp_path)
        query = Query(question=QUESTION, collection=collection, filters={"country": country, "year": 2025})
        items = [item async for item in service.engine.stream(query)]
        whole = await service.engine.ask(query)
    answer = items[-1]
    assert isinstance(answer, Answer)
    assert "".join(item for item in items[:-1] if isinstance(item, str)) == answer.text == whole.text
    assert f"{days} days" in answer.text
    assert [citation.document_id for citation in answer.citations] == [f"returns-{country}-{collection}"]
    assert answer.citations == whole.citations


async def test_a_filter_that_nothing_meets_is_an_honest_refusal(tmp_path: Path) -> None:
    """Where nothing in scope was found, no model is asked, and documents out of scope are not even named."""
    provider = Provider()
    async with desk(tmp_path, provider, articles={}) as service:
        await filled(service, tmp_path)
        answer = await service.engine.ask(Query(question=QUESTION, collection="shop", filters={"country": "fr"}))
    assert (answer.answered, answer.citations, answer.confidence) == (False, (), 0.0)
    assert answer.text.startswith("I don't know")
    assert "Returns" not in answer.text
    assert provider.requests == []


async def test_weak_evidence_is_an_honest_refusal(tmp_path: Path) -> None:
    """Where what was found shares a word with the question and no more, no model is asked, and nothing is cited."""
    provider = Provider()
    async with desk(tmp_path, provider, articles={}) as service:
        await filled(service, tmp_path)
        answer = await service.engine.ask(Query(question="Which products won a design award?", collection="shop"))
    assert (answer.answered, answer.citations, answer.source) == (False, (), Source.EXTRACT)
    assert answer.confidence < 0.5
    assert provider.requests == []
