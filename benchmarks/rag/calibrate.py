"""Measure the search and the extractive answerer on the sample knowledge base, and fit the constants of its confidence.

    python benchmarks/rag/calibrate.py [--model-dir DIR]

prints how good the search is for several weights of the words, with and without reranking; how many answers hold the
fact for several values of each constant; the constants of ``holdfast.rag.answering.confidence``; and the time that an
answer takes. The confidence is fitted on a random half of the questions and tested on the other half, both ways, for
several halvings: the rates printed are those of questions that the constants have not seen. Then it is fitted on all.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from holdfast.core.blocking import ThreadBlocking
from holdfast.llm.local.manifest import default_model_dir
from holdfast.llm.local.minilm import MiniLMEmbedder
from holdfast.rag.answering import candidates, composing
from holdfast.rag.answering.base import AnswerRequest
from holdfast.rag.answering.candidates import rank_candidates
from holdfast.rag.answering.composing import compose, select
from holdfast.rag.answering.confidence import weigh
from holdfast.rag.answering.extractive import ExtractiveOptions
from holdfast.rag.answering.terms import QuestionTerms, question_words
from holdfast.rag.app import build_engine
from holdfast.rag.evaluation import Question, read_questions
from holdfast.rag.evaluation.measures import article_of, auc, contains_fact, percentile
from holdfast.rag.retrieval import LEXICAL_WEIGHT, RERANK_POOL, fuse, rerank
from holdfast.rag.settings import Settings
from holdfast.rag.types import Hit, Scope
from holdfast.sample import articles_dir, questions_path, unanswerable_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from holdfast.rag.store.base import Scored, Store

Array = NDArray[np.float64]

CANDIDATES = 50
K = 5
ANSWERABLE_REFUSED = 0.08
"""The share of answerable questions that may be refused: it sets the bias."""
HALVINGS = 20
RIDGE = 0.1


@dataclass(frozen=True)
class Searched:
    """A question with everything that both searches found for it."""

    question: Question
    vector: NDArray[np.float32]
    lexical: Sequence[Scored]
    dense: Sequence[Scored]
    fetched: dict[str, Hit]
    frequency: dict[str, int]
    chunk_count: int

    def hits(self, *, weight: float, pool: int, k: int, vectors: bool = True) -> list[Hit]:
        """The passages that the service would find; ``pool`` 0 leaves the reranking out."""
        fused = fuse(self.lexical, self.dense if vectors else (), weight=weight, k=max(pool, k))
        hits = [
            Hit(stored=self.fetched[one.chunk_id].stored, score=one.score, lexical=one.lexical, cosine=one.cosine)
            for one in fused
        ]
        return rerank(hits, self.vector if vectors and pool else None, k=k)

    def request(self, *, vectors: bool = True) -> AnswerRequest:
        """What the answerer would be given."""
        return AnswerRequest(
            question=self.question.question,
            hits=self.hits(weight=LEXICAL_WEIGHT, pool=RERANK_POOL, k=K, vectors=vectors),
            query_vector=self.vector if vectors else None,
            document_frequency=self.frequency,
            chunk_count=self.chunk_count,
        )


async def search_all(store: Store, embedder: MiniLMEmbedder, questions: Sequence[Question]) -> list[Searched]:
    found = []
    for question in questions:
        vector = (await embedder.embed([question.question], kind="query"))[0]
        lexical = await store.lexical(question.question, k=CANDIDATES, scope=Scope())
        dense = await store.dense(vector, embedder_id=embedder.id, k=CANDIDATES, scope=Scope())
        ids = list({one.chunk_id for one in (*lexical, *dense)})
        chunks = await store.fetch(ids, sentence_vectors=True)
        frequency, count = await store.document_frequency(question_words(question.question))
        fetched = {one.chunk.id: Hit(stored=one, score=0.0) for one in chunks}
        found.append(Searched(question, vector, lexical, dense, fetched, frequency, count))
    return found


def search_quality(searched: Sequence[Searched], **options: float) -> str:
    ranks = []
    for one in searched:
        hits = one.hits(weight=options["weight"], pool=int(options["pool"]), k=10)
        articles = [article_of(hit.stored.uri) for hit in hits]
        ranks.append(articles.index(one.question.article) + 1 if one.question.article in articles else 0)
    first = sum(rank == 1 for rank in ranks) / len(ranks)
    among = sum(0 < rank <= K for rank in ranks) / len(ranks)
    mrr = sum(1 / rank for rank in ranks if rank) / len(ranks)
    return f"recall@1 {first:.2f}  recall@5 {among:.2f}  MRR@10 {mrr:.3f}"


def answer_quality(questions: Sequence[Question], requests: Sequence[AnswerRequest]) -> str:
    options = ExtractiveOptions()
    held, held_first, lengths, seconds = [], [], [], []
    for question, request in zip(questions, requests, strict=True):
        started = time.perf_counter()
        terms = QuestionTerms.of(request.question, request.document_frequency, request.chunk_count)
        ranked = rank_candidates(request, terms)
        chosen = select(ranked, max_sentences=options.max_sentences, max_chars=options.max_chars)
        text, _ = compose(chosen, request.hits, max_chars=options.max_chars)
        seconds.append(time.perf_counter() - started)
        first, _ = compose(ranked[:1], request.hits, max_chars=options.max_chars)
        held.append(contains_fact(text, question.facts))
        held_first.append(contains_fact(first, question.facts))
        lengths.append(len(text))
    p50, p99 = percentile(seconds, 0.5) or 0.0, percentile(seconds, 0.99) or 0.0
    return (
        f"fact in answer {np.mean(held):.2f}  in first sentence {np.mean(held_first):.2f}  "
        f"{np.mean(lengths):.0f} characters  {p50 * 1e3:.1f} ms p50, {p99 * 1e3:.1f} ms p99"
    )


@contextmanager
def constants(module: object, **values: float) -> Iterator[None]:
    """Other values for private constants of a module, for a while."""
    before = {name: getattr(module, name) for name in values}
    for name, value in values.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


# -- the confidence ----------------------------------------------------------------------------------------------------


def evidence(request: AnswerRequest, *, vectors: bool) -> list[float]:
    terms = QuestionTerms.of(request.question, request.document_frequency, request.chunk_count)
    found = weigh(request, rank_candidates(request, terms))
    return [found.words, found.passage or 0.0, found.sentence or 0.0] if vectors else [found.words]


def logistic(features: Array, answerable: Array) -> Array:
    """Ridge-regularised logistic regression by Newton's method, both classes with the same weight; bias first."""
    design = np.column_stack([np.ones(len(features)), features])
    weights = np.where(answerable == 1, 0.5 / answerable.sum(), 0.5 / (1 - answerable).sum()) * len(answerable)
    penalty = np.diag([1e-9, *[RIDGE] * features.shape[1]])
    solution = np.zeros(design.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-design @ solution))
        gradient = design.T @ (weights * (chance - answerable)) + penalty @ solution
        curvature = (design * (weights * chance * (1 - chance))[:, None]).T @ design + penalty
        solution -= np.linalg.solve(curvature, gradient)
    return np.asarray(solution)


def fitted(known: Array, unknown: Array) -> Array:
    """Constants for which ``ANSWERABLE_REFUSED`` of the answerable questions lie below a confidence of 0.5."""
    solution = logistic(np.vstack([known, unknown]), np.repeat([1.0, 0.0], [len(known), len(unknown)]))
    solution[0] -= np.quantile(solution[0] + known @ solution[1:], ANSWERABLE_REFUSED)
    return solution


def cross_validated(known: Array, unknown: Array) -> str:
    rng = random.Random(0)
    aucs, refused_known, refused_unknown = [], [], []
    for _ in range(HALVINGS):
        halves = [_halves(known, rng), _halves(unknown, rng)]
        for fit_on, test_on in ((0, 1), (1, 0)):
            solution = fitted(halves[0][fit_on], halves[1][fit_on])
            scores = [solution[0] + side[test_on] @ solution[1:] for side in halves]
            aucs.append(auc(scores[0].tolist(), scores[1].tolist()) or 0.0)
            refused_known.append(float((scores[0] < 0).mean()))
            refused_unknown.append(float((scores[1] < 0).mean()))
    return (
        f"on the unseen half: AUC {np.mean(aucs):.3f}  unanswerable refused {np.mean(refused_unknown):.2f}  "
        f"answerable refused {np.mean(refused_known):.2f}"
    )


def _halves(rows: Array, rng: random.Random) -> tuple[Array, Array]:
    order = list(range(len(rows)))
    rng.shuffle(order)
    return rows[order[::2]], rows[order[1::2]]


def report_confidence(known: Sequence[AnswerRequest], unknown: Sequence[AnswerRequest], *, vectors: bool) -> None:
    sides = [np.array([evidence(request, vectors=vectors) for request in side]) for side in (known, unknown)]
    solution = fitted(*sides)
    names = ["words", "passage", "sentence"]
    written = ", ".join(f'"{name}": {value:.2f}' for name, value in zip(["bias", *names], solution, strict=False))
    refused = [float((solution[0] + side @ solution[1:] < 0).mean()) for side in sides]
    print(f"  {cross_validated(*sides)}")
    print(f"  on all: {{{written}}}  unanswerable refused {refused[1]:.2f}  answerable refused {refused[0]:.2f}")


# -- the whole ---------------------------------------------------------------------------------------------------------


async def searched_sample(model_dir: Path) -> tuple[list[Searched], list[Searched]]:
    blocking = ThreadBlocking(max_workers=2)
    embedder = MiniLMEmbedder(model_dir, blocking=blocking)
    with tempfile.TemporaryDirectory() as folder:
        engine = build_engine(Settings(data_dir=Path(folder), model_dir=model_dir, embedder="local"))
        await engine.open()
        try:
            ingested = await engine.ingestor.ingest_paths([articles_dir()])
            print(f"{ingested.added} articles, {ingested.chunks} passages, {ingested.sentences} sentences")
            known = await search_all(engine.store, embedder, read_questions(questions_path()))
            unknown = await search_all(engine.store, embedder, read_questions(unanswerable_path(), answerable=False))
        finally:
            await engine.close()
            await embedder.close()
            await blocking.close()
    return known, unknown


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the extractive answerer and fit its constants.")
    parser.add_argument("--model-dir", type=Path, default=default_model_dir(), help="the folder of the built model")
    arguments = parser.parse_args()
    known, unknown = asyncio.run(searched_sample(arguments.model_dir))
    questions = [one.question for one in known]

    print(f"search (LEXICAL_WEIGHT {LEXICAL_WEIGHT}, RERANK_POOL {RERANK_POOL}; a pool of 0: not reranked)")
    for pool in (0, 10, RERANK_POOL):
        for weight in (0.3, 0.4, 0.5, 0.6, 0.7):
            print(f"  weight {weight}  pool {pool:2}  {search_quality(known, weight=weight, pool=pool)}")

    requests = {vectors: [one.request(vectors=vectors) for one in known] for vectors in (True, False)}
    foreign = {vectors: [one.request(vectors=vectors) for one in unknown] for vectors in (True, False)}
    print("answers, each constant at half and double its value")
    print(f"  as it is       {answer_quality(questions, requests[True])}")
    print(f"  by words only  {answer_quality(questions, requests[False])}")
    for module, name in (
        (candidates, "_OVERLAP"),
        (candidates, "_PASSAGE"),
        (candidates, "_QUANTITY"),
        (composing, "_MARGIN"),
    ):
        value = getattr(module, name)
        for other in (0.0, value / 2, value * 2):
            with constants(module, **{name: other}):
                print(f"  {name:10} {other:4.2f} {answer_quality(questions, requests[True])}")

    print("confidence with vectors")
    report_confidence(requests[True], foreign[True], vectors=True)
    print("confidence by words only")
    report_confidence(requests[False], foreign[False], vectors=False)


if __name__ == "__main__":
    main()
