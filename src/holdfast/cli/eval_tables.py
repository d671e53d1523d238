"""What ``holdfast eval`` found, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console

    from holdfast.llm.embedding_checks import Finding
    from holdfast.rag.evaluation import Drift, EvalReport, Scores

__all__ = ["print_embeddings", "print_report", "print_tiers"]

_LEGEND = "fact: the answer holds the known fact; cited: it cites the right document; precise: cited passages that do."


def print_report(report: EvalReport, console: Console) -> None:
    """One run: a row for each style of question."""
    from rich import box
    from rich.table import Table

    title = f"{report.overall.questions} questions that a document answers"
    narrow = box.SIMPLE_HEAD  # 80 characters have to do
    table = Table(title=title, title_justify="left", box=narrow, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("style", no_wrap=True)
    for heading in ("n", "recall@1", f"recall@{report.k}", "MRR@10", "fact", "cited", "precise", "refused"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, scores in {**report.styles, "all": report.overall}.items():
        rates = (scores.recall_at_1, *_rates(scores))
        table.add_row(name, str(scores.questions), *map(_rate, rates), style="bold" if name == "all" else None)
    console.print(table)
    console.print(_LEGEND, style="dim")
    if report.unanswerable:
        console.print(
            f"Of {report.unanswerable} questions that no document answers, refused: "
            f"{_rate(report.unanswerable_refused)}. "
            f"Confidence tells the two apart with AUC {_rate(report.confidence_auc)}."
        )
    console.print(
        f"Time for an answer: p50 {report.latency_ms_p50 or 0:.1f} ms, p99 {report.latency_ms_p99 or 0:.1f} ms."
    )
    if report.models:
        console.print(f"Answers that a model wrote: {_counted(report.models)}. They cost ${report.cost_usd:.4f}.")


def print_tiers(reports: Mapping[str, EvalReport], console: Console) -> None:
    """Several tiers: a column for each."""
    from rich.table import Table

    first = next(iter(reports.values()))
    title = f"{first.overall.questions} questions that a document answers, {first.unanswerable} that none does"
    table = Table(title=title, title_justify="left")
    table.add_column("tier", no_wrap=True)
    for name in reports:
        table.add_column(name, justify="right")
    rows: dict[str, Callable[[EvalReport], str]] = {
        "passages, k": lambda one: str(one.k) if one.k else "–",
        "recall@k": lambda one: _rate(one.overall.recall_at_k),
        "MRR@10": lambda one: _rate(one.overall.mrr_at_10),
        "fact": lambda one: _rate(one.overall.fact_in_answer),
        "cited": lambda one: _rate(one.overall.cites_article),
        "precise": lambda one: _rate(one.overall.citation_precision),
        "refused": lambda one: _rate(one.overall.refused),
        "unanswerable refused": lambda one: _rate(one.unanswerable_refused),
        "p50 ms": lambda one: f"{one.latency_ms_p50 or 0:.1f}",
        "p99 ms": lambda one: f"{one.latency_ms_p99 or 0:.1f}",
        "cost $": lambda one: f"{one.cost_usd:.4f}",
        "answers from": lambda one: _counted(one.sources),
        "at tier": lambda one: _counted(one.tiers),
    }
    for heading, cell in rows.items():
        table.add_row(heading, *(cell(report) for report in reports.values()))
    console.print(table)
    console.print(_LEGEND, style="dim")


def print_embeddings(findings: Sequence[Finding], drift: Drift, console: Console) -> None:
    """The checks of the embedder, and how far the stored vectors are from its own."""
    from rich.table import Table

    from holdfast.llm.embedding_checks import SAME_COSINE

    table = Table(title=f"The embedder {drift.embedder_id}", title_justify="left")
    for heading in ("check", "result", "found"):
        table.add_column(heading)
    for finding in findings:
        table.add_row(finding.check, "ok" if finding.ok else "failed", finding.detail)
    console.print(table)
    compared = Table(title=f"Stored vectors of “{drift.collection}”, made again", title_justify="left")
    compared.add_column("what")
    compared.add_column("figure", justify="right")
    for name, figure in (
        ("documents looked at", str(drift.documents)),
        ("chunks compared, one a document", str(drift.compared)),
        ("lowest cosine", _rate(drift.lowest, digits=4)),
        ("mean cosine", _rate(drift.mean, digits=4)),
        (f"drifted (below {SAME_COSINE})", str(drift.drifted)),
        ("documents with vectors of another embedder", str(drift.other_space)),
        ("documents without vectors", str(drift.without_vectors)),
        ("documents that would be cut otherwise now", str(drift.cut_otherwise)),
    ):
        compared.add_row(name, figure)
    console.print(compared)


def _rates(scores: Scores) -> tuple[float | None, ...]:
    return (
        scores.recall_at_k,
        scores.mrr_at_10,
        scores.fact_in_answer,
        scores.cites_article,
        scores.citation_precision,
        scores.refused,
    )


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _rate(value: float | None, *, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
