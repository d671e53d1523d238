"""Reading questions, the measures, and an evaluation of a service whose answers are known beforehand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import ConfigError, InvalidInputError, StoreUnavailableError
from holdfast.rag.evaluation import EvalReport, Question, evaluate, evaluate_tiers, read_questions
from holdfast.rag.evaluation.measures import article_of, auc, contains_fact, percentile
from holdfast.rag.types import Answer, Chunk, Citation, Hit, Reason, SearchResult, Source, StoredChunk, Tier
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from holdfast.rag.query import Query


def stored(article: str) -> StoredChunk:
    chunk = Chunk(id=f"{article}-0", document_id=article, ordinal=0, start=0, end=4, heading="", text="Text")
    return StoredChunk(chunk=chunk, title=article, uri=f"help/{article}.md")


class KnownService:
    """Finds the articles it was given for a question, and answers with the text and confidence it was given."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.found: dict[str, Sequence[str]] = {}
        self.answers: dict[str, tuple[str, float, Sequence[str]]] = {}
        self.asked: list[tuple[str, str, int | None]] = []

        self.passages: dict[str, str] = {}
        self.tiers: list[Tier | None] = []

    def knows(self, question: str, found: Sequence[str], answer: str, confidence: float, cites: Sequence[str]) -> None:
        self.found[question] = found
        self.answers[question] = (answer, confidence, cites)

    async def search(self, query: Query) -> SearchResult:
        self.asked.append(("search", query.collection, query.top_k))
        hits = [Hit(stored=stored(article), score=1.0) for article in self.found[query.question]]
        return SearchResult(hits=hits[: query.top_k], tier=Tier.FULL)

    async def ask(self, query: Query) -> Answer:
        self.asked.append(("ask", query.collection, query.top_k))
        self.tiers.append(query.tier)
        self.clock.advance(0.010 * len([one for one in self.asked if one[0] == "ask"]))
        text, confidence, cites = self.answers[query.question]
        citations = tuple(
            Citation(
                document_id=article,
                chunk_id="c",
                title="",
                uri=f"help/{article}.md",
                text=self.passages.get(article, ""),
                start=0,
                end=0,
                score=1.0,
            )
            for article in cites
        )
        return Answer(
            text=text,
            citations=citations,
            answered=bool(cites),
            source=Source.EXTRACT,
            tier=query.tier or Tier.FULL,
            confidence=confidence,
        )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def service(clock: FakeClock) -> KnownService:
    service = KnownService(clock)
    service.knows("return?", ["returns", "refunds"], "You have 30 days. [1]", 0.9, ["returns"])
    service.knows("refund?", ["returns", "returns", "refunds"], "It takes 15 days. [1]", 0.8, ["returns"])
    service.knows("label?", [*["returns"] * 6, "labels"], "I don't know.", 0.3, [])
    service.knows("parcel?", ["returns"], "I don't know.", 0.1, [])
    service.knows("moon?", ["returns"], "I don't know.", 0.2, [])
    service.knows("tyres?", ["returns"], "Tyres are round. [1]", 0.85, ["returns"])
    return service


QUESTIONS = [
    Question(id="q1", question="return?", article="returns", facts=("30 days",), style="plain"),
    Question(id="q2", question="refund?", article="refunds", facts=("5 days",), style="plain"),
    Question(id="q3", question="label?", article="labels", facts=("free",), style="typo"),
    Question(id="q4", question="parcel?", article="parcels", style="typo"),
]
UNANSWERABLE = [
    Question(id="u1", question="moon?", style="off_topic"),
    Question(id="u2", question="tyres?", style="near_miss"),
]


@pytest.fixture
async def report(service: KnownService, clock: FakeClock) -> EvalReport:
    return await evaluate(service, QUESTIONS, UNANSWERABLE, clock=clock)


async def test_the_search_is_judged_by_the_place_of_the_right_article(report: EvalReport) -> None:
    """Recall counts the passages of the right article among the first 1 and k; MRR takes 1/rank down to the tenth."""
    assert [record.rank for record in report.records] == [1, 3, 7, None, None, None]
    assert report.overall.recall_at_1 == pytest.approx(1 / 4)
    assert report.overall.recall_at_k == pytest.approx(2 / 4)
    assert report.overall.mrr_at_10 == pytest.approx((1 + 1 / 3 + 1 / 7) / 4)


async def test_the_answers_are_judged_by_facts_citations_and_refusals(report: EvalReport) -> None:
    """A fact counts as whole words, a refusal is an answer that cites nothing, and no facts are no verdict."""
    assert [record.correct for record in report.records] == [True, False, False, None, None, None]
    assert report.overall.fact_in_answer == pytest.approx(1 / 3)
    assert report.overall.cites_article == pytest.approx(1 / 4)
    assert report.overall.refused == pytest.approx(2 / 4)
    assert report.unanswerable == 2
    assert report.unanswerable_refused == pytest.approx(1 / 2)
    assert report.unanswerable_refused_by_style == {"near_miss": 0.0, "off_topic": 1.0}


async def test_citations_are_judged_by_their_article_and_by_what_they_say(
    service: KnownService, clock: FakeClock
) -> None:
    """A cited passage is right when it comes from the right article or holds a fact; all cited ones are the whole."""
    service.passages = {"prices": "You have 30 days.", "labels": "Something else."}
    service.knows("return?", ["returns"], "30 days [1][2][3][4].", 0.9, ["returns", "returns", "prices", "labels"])
    report = await evaluate(service, QUESTIONS[:2], UNANSWERABLE[1:], clock=clock)
    assert [(record.citations, record.citations_right) for record in report.records] == [(4, 3), (1, 0), (1, None)]
    assert report.overall.citation_precision == pytest.approx(3 / 5)


async def test_without_a_citation_there_is_no_precision(service: KnownService, clock: FakeClock) -> None:
    """Where no answer cites anything the precision is None, not zero."""
    report = await evaluate(service, QUESTIONS[2:3], clock=clock)
    assert report.overall.citation_precision is None


async def test_each_tier_is_asked_every_question_and_searched_for_once(service: KnownService, clock: FakeClock) -> None:
    """The tier goes with the question; the search is judged by the passages of the tier, and not at all offline."""
    tiers = (Tier.FULL, Tier.MINIMAL, Tier.OFFLINE)
    reports = await evaluate_tiers(service, QUESTIONS[:3], UNANSWERABLE[:1], tiers=tiers, k=7, clock=clock)
    assert service.tiers == list(tiers) * 4
    assert [kind for kind, _, _ in service.asked] == ["search", "ask", "ask", "ask"] * 4
    assert list(reports) == list(tiers)
    assert [report.tier for report in reports.values()] == list(tiers)
    assert [report.k for report in reports.values()] == [7, 3, 0]
    assert [report.overall.recall_at_k for report in reports.values()] == [1.0, pytest.approx(2 / 3), None]
    assert reports[Tier.OFFLINE].overall.mrr_at_10 is None
    assert reports[Tier.MINIMAL].tiers == {"minimal": 4}


async def test_confidence_is_judged_by_the_order_it_gives(report: EvalReport) -> None:
    """The AUC is the share of (answerable, unanswerable) pairs in which the answerable one is more confident."""
    assert report.confidence_auc == pytest.approx((2 + 1 + 1 + 0) / 8)


async def test_each_style_has_its_own_rates(report: EvalReport) -> None:
    """The breakdown holds the styles of the answerable questions with the same measures."""
    assert {style: scores.questions for style, scores in report.styles.items()} == {"plain": 2, "typo": 2}
    assert report.styles["plain"].recall_at_k == 1.0
    assert report.styles["typo"].recall_at_k == 0.0
    assert report.styles["typo"].refused == 1.0


async def test_latency_is_that_of_the_answers(report: EvalReport) -> None:
    """The percentiles are over the time of ``ask`` alone: here 10, 20, ... 60 ms."""
    assert [record.latency_ms for record in report.records] == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
    assert (report.latency_ms_p50, report.latency_ms_p99) == (30.0, 60.0)


async def test_what_the_service_said_of_itself_is_counted(service: KnownService, clock: FakeClock) -> None:
    """Sources, tiers and reasons are counted, so that a degraded run shows."""

    class Degraded(KnownService):
        async def ask(self, query: Query) -> Answer:
            return Answer(
                text="", source=Source.CACHE, tier=Tier.DEGRADED, reasons=(Reason.VECTORS_MISSING,), degraded=True
            )

    degraded = Degraded(clock)
    degraded.found = service.found

    report = await evaluate(degraded, QUESTIONS[:2], clock=clock)

    assert (report.sources, report.tiers, report.reasons) == ({"cache": 2}, {"degraded": 2}, {"vectors_missing": 2})


async def test_the_report_is_json(report: EvalReport) -> None:
    """The JSON document holds the rates and every question with what was expected and what came."""
    document = json.loads(report.to_json())

    assert document["overall"]["recall_at_1"] == 0.25
    assert document["records"][1] == {
        "id": "q2",
        "question": "refund?",
        "style": "plain",
        "article": "refunds",
        "facts": ["5 days"],
        "rank": 3,
        "found": ["returns", "returns", "refunds"],
        "answer": "It takes 15 days. [1]",
        "cited": ["returns"],
        "confidence": 0.8,
        "refused": False,
        "correct": False,
        "source": "extract",
        "tier": "full",
        "reasons": [],
        "latency_ms": 20.0,
        "model": "",
        "cost_usd": 0.0,
        "citations": 1,
        "citations_right": 0,
    }


async def test_search_looks_ten_deep_and_answers_rest_on_k(service: KnownService, clock: FakeClock) -> None:
    """The ranking is read down to ten passages at least, while the answer gets k; both in the collection named."""
    await evaluate(service, QUESTIONS[:1], k=3, collection="shop", clock=clock)
    await evaluate(service, QUESTIONS[:1], k=20, collection="shop", clock=clock)

    assert service.asked == [("search", "shop", 10), ("ask", "shop", 3), ("search", "shop", 20), ("ask", "shop", 20)]


async def test_progress_is_told_after_each_question(service: KnownService, clock: FakeClock) -> None:
    """The progress callback hears every question once, in order."""
    heard: list[tuple[str, int, int, str]] = []

    await evaluate(service, QUESTIONS[:2], UNANSWERABLE[:1], progress=lambda *told: heard.append(told), clock=clock)

    assert heard == [("eval", 1, 3, "q1"), ("eval", 2, 3, "q2"), ("eval", 3, 3, "u1")]


async def test_no_questions_is_no_verdict(service: KnownService) -> None:
    """Without questions every rate is None, not zero."""
    report = await evaluate(service, [])

    assert report.overall.questions == 0
    assert report.overall.recall_at_1 is None
    assert report.confidence_auc is None
    assert report.latency_ms_p50 is None


async def test_a_store_that_fails_stops_the_evaluation(clock: FakeClock) -> None:
    """A failing search is not counted as a bad answer: it is raised."""

    class Broken(KnownService):
        async def search(self, query: Query) -> SearchResult:
            raise StoreUnavailableError("no disk")

    with pytest.raises(StoreUnavailableError):
        await evaluate(Broken(clock), QUESTIONS, clock=clock)


@pytest.mark.parametrize("k", [0, 51])
async def test_k_out_of_range_is_named(service: KnownService, k: int) -> None:
    """A k that a query could not carry is refused before anything is asked."""
    with pytest.raises(ConfigError, match="k="):
        await evaluate(service, QUESTIONS, k=k)

    assert service.asked == []


# -- reading questions -----------------------------------------------------------------------------------------------


def test_questions_are_read_a_line_each(tmp_path: Path) -> None:
    """Each line is a question; empty lines, unknown fields and a byte order mark do not matter."""
    path = tmp_path / "questions.jsonl"
    path.write_text(
        '\ufeff{"id": "q1", "question": "Why?", "article": "why", "facts": ["because"], "style": "plain", "x": 1}\r\n\n'
        '{"id": "q2", "question": "How?", "article": "how"}\n',
        encoding="utf-8",
    )

    assert read_questions(path) == (
        Question(id="q1", question="Why?", article="why", facts=("because",), style="plain"),
        Question(id="q2", question="How?", article="how"),
    )


def test_unanswerable_questions_need_no_article(tmp_path: Path) -> None:
    """With ``answerable=False`` an article is neither needed nor read."""
    path = tmp_path / "unanswerable.jsonl"
    path.write_text(
        '{"id": "u1", "question": "Moon?"}\n{"id": "u2", "question": "Sun?", "article": "sun"}\n', encoding="utf-8"
    )

    assert read_questions(path, answerable=False) == (
        Question(id="u1", question="Moon?"),
        Question(id="u2", question="Sun?"),
    )


@pytest.mark.parametrize(
    ("line", "field", "says"),
    [
        ('{"id": "q2", "question": "?", "article": "a"', "line", "is not JSON"),
        ('["q2"]', "line", "must be a JSON object"),
        ('{"question": "?", "article": "a"}', "id", "must be a text that is not empty, got None"),
        ('{"id": "q2", "question": " ", "article": "a"}', "question", "must be a text that is not empty"),
        ('{"id": "q2", "question": "?"}', "article", "must be a text that is not empty"),
        ('{"id": "q2", "question": "?", "article": "a", "facts": "x"}', "facts", "must be a list of texts"),
        ('{"id": "q2", "question": "?", "article": "a", "facts": [""]}', "facts", "must be a list of texts"),
        ('{"id": "q2", "question": "?", "article": "a", "style": 3}', "style", "must be a text"),
        ('{"id": "q1", "question": "?", "article": "a"}', "id", "“q1” is the id of line 1 already"),
    ],
)
def test_a_wrong_line_is_named_with_file_line_and_field(tmp_path: Path, line: str, field: str, says: str) -> None:
    """An error says in which file, in which line and in which field it is."""
    path = tmp_path / "questions.jsonl"
    path.write_text('{"id": "q1", "question": "Why?", "article": "why"}\n\n' + line, encoding="utf-8")

    with pytest.raises(InvalidInputError) as caught:
        read_questions(path)

    assert caught.value.field == field
    assert "questions.jsonl, line 3: " in caught.value.message
    assert says in caught.value.message


def test_a_file_without_questions_is_an_error(tmp_path: Path) -> None:
    """A missing file, an empty one and one in another encoding are refused with a sentence."""
    (tmp_path / "empty.jsonl").write_text("\n\n", encoding="utf-8")
    (tmp_path / "latin.jsonl").write_bytes('{"id": "é"}'.encode("latin-1"))

    for name, says in (
        ("none.jsonl", "cannot be read"),
        ("empty.jsonl", "holds no question"),
        ("latin.jsonl", "not UTF-8"),
    ):
        with pytest.raises(InvalidInputError, match=says):
            read_questions(tmp_path / name)


# -- measures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fact", "there"),
    [
        ("You have 30 days.", "30 days", True),
        ("You have\n30  DAYS.", "30 days", True),
        ("It\u2019s “free” \u2013 really", 'it\'s "free" - really', True),
        ("within 28 days", "8 days", False),
        ("within 8 daystar", "8 days", False),
        ("It costs €3.50.", "€3", False),
        ("It costs €3.", "€3", True),
        ("version 1.5", "5", False),
        ("9.9%.", "9.9%", True),
        ("a+b (c)", "b (c)", True),
    ],
)
def test_a_fact_counts_as_whole_words(text: str, fact: str, *, there: bool) -> None:
    """A fact is found whatever the case, spacing, quotes and dashes, but never inside a longer word or number."""
    assert contains_fact(text, [fact]) is there


def test_one_fact_of_several_is_enough() -> None:
    """The answer is right when it holds any of the facts; no facts are never held."""
    assert contains_fact("It is red.", ["blue", "red"])
    assert not contains_fact("It is red.", [])


@pytest.mark.parametrize(
    ("uri", "article"),
    [
        ("return-an-item.md", "return-an-item"),
        ("articles/return-an-item.md", "return-an-item"),
        ("file:///help/return-an-item.md#costs", "return-an-item"),
        ("https://shop.example/help/return-an-item?lang=en", "return-an-item"),
        ("help\\return-an-item.md", "return-an-item"),
        ("https://shop.example/help/v1.2/", "v1"),
        (".hidden", ".hidden"),
        ("", ""),
    ],
)
def test_an_article_is_the_stem_of_its_uri(uri: str, article: str) -> None:
    """The last part of the uri without query, fragment and suffix names the article."""
    assert article_of(uri) == article


@given(
    positive=st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=20),
    negative=st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=20),
)
def test_auc_is_a_chance_and_mirrors(positive: list[float], negative: list[float]) -> None:
    """The AUC lies from 0 to 1, swapping the sides gives the rest to 1, and equal sides give a half."""
    there, back = auc(positive, negative), auc(negative, positive)

    assert there is not None
    assert back is not None
    assert 0 <= there <= 1
    assert there + back == pytest.approx(1)
    assert auc(positive, positive) == pytest.approx(0.5)


def test_perfect_separation_is_one() -> None:
    """Every answerable question above every unanswerable one is an AUC of 1; nothing to compare is None."""
    assert auc([0.8, 0.9], [0.1, 0.7]) == 1.0
    assert auc([], [0.1]) is None


@given(
    values=st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=50),
    share=st.floats(min_value=0, max_value=1),
)
def test_a_percentile_is_the_smallest_value_that_covers_the_share(values: list[float], share: float) -> None:
    """At least the share of values does not exceed the percentile, and no smaller value does that."""
    found = percentile(values, share)

    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert all(sum(other <= value for other in values) < share * len(values) for value in values if value < found)
