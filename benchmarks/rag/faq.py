"""Measure the matching of the FAQ on the sample: what is answered, what is answered wrongly, what gets nothing.

    python -m benchmarks.rag.faq [--threshold SHARE]

Three sets: short questions as customers type them (``faq_questions.jsonl``, 62 that an entry answers and 28 that none
does, the keywords of entries among them), the sample's detailed questions, and the sample's unanswerable ones. Of the
detailed ones those count whose article an entry is about; an answer holds the fact or not. Prints the counts for
several thresholds, and the time of a match among 200 entries.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.rag.evaluation import read_questions
from holdfast.rag.evaluation.measures import article_of, contains_fact, percentile
from holdfast.rag.faq import Faq
from holdfast.rag.faq.matching import THRESHOLD
from holdfast.sample import faq_path, questions_path, unanswerable_path

if TYPE_CHECKING:
    from collections.abc import Sequence

SHORT = Path(__file__).with_name("faq_questions.jsonl")
ENTRIES = 200


@dataclass(frozen=True)
class Asked:
    """A question: the entry that answers it (empty for none), and facts of which a right answer holds one."""

    question: str
    entry: str
    facts: tuple[str, ...] = ()


def short_questions() -> list[Asked]:
    rows = [json.loads(line) for line in SHORT.read_text("utf-8").splitlines()]
    return [Asked(row["question"], row["entry"]) for row in rows]


def sample_questions(faq: Faq) -> list[Asked]:
    entries = {article_of(entry.uri): entry.id for entry in faq.entries}
    known = read_questions(questions_path())
    unknown = read_questions(unanswerable_path(), answerable=False)
    return [
        *(Asked(one.question, entries.get(one.article, "-"), one.facts) for one in known),
        *(Asked(one.question, "") for one in unknown),
    ]


def counts(faq: Faq, asked: Sequence[Asked]) -> str:
    right = wrong = false = facts = 0
    for one in asked:
        match = faq.match(one.question)
        if match is None:
            continue
        right += match.entry.id == one.entry
        wrong += bool(one.entry) and match.entry.id != one.entry
        false += not one.entry
        facts += contains_fact(match.entry.answer, one.facts)
    about = sum(one.entry not in {"", "-"} for one in asked)
    foreign = sum(not one.entry for one in asked)
    held = f", {facts} with the fact" if any(one.facts for one in asked) else ""
    return f"right {right} of {about}{held}; another entry {wrong}; false {false} of {foreign}"


def time_of_a_match(faq: Faq, questions: Sequence[str]) -> str:
    copies = [replace(entry, id=f"{entry.id}-{copy}") for copy in range(ENTRIES) for entry in faq.entries]
    large = Faq(copies[:ENTRIES])
    for question in questions:
        large.match(question)
    taken = []
    for question in questions:
        started = time.perf_counter()
        large.match(question, collection="default")
        taken.append((time.perf_counter() - started) * 1e3)
    return f"p50 {percentile(taken, 0.5):.3f} ms, p99 {percentile(taken, 0.99):.3f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the matching of the FAQ on the sample.")
    parser.add_argument("--threshold", type=float, help="only this one")
    arguments = parser.parse_args()
    faq = Faq.load(faq_path())
    short, sample = short_questions(), sample_questions(faq)
    thresholds = [arguments.threshold] if arguments.threshold is not None else [0.2, 0.3, 0.35, THRESHOLD, 0.45, 0.5]
    print(f"{len(faq)} entries; the threshold is {THRESHOLD}")
    for threshold in thresholds:
        tried = Faq(faq.entries, threshold=threshold)
        print(f"{threshold:.2f}  short:  {counts(tried, short)}")
        print(f"      sample: {counts(tried, sample)}")
    print(f"a match among {ENTRIES} entries: {time_of_a_match(faq, [one.question for one in (*short, *sample)])}")


if __name__ == "__main__":
    main()
