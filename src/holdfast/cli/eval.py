"""``holdfast eval``: asks questions whose answers are known, and counts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.output import note, warn
from holdfast.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.cli.options import Options
    from holdfast.rag.evaluation import EvalReport, Question
    from holdfast.rag.settings import Settings

__all__ = ["evaluate"]


def evaluate(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help=(
                'Questions, one JSON object a line: {"id", "question", "article", "facts"}. '
                "Without it: those of the sample knowledge base."
            ),
            show_default=False,
        ),
    ] = None,
    *,
    unanswerable: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help='Questions that no document answers: {"id", "question"}. "I don\'t know" is right.'
        ),
    ] = None,
    collection: Annotated[str | None, typer.Option(metavar="NAME", help="The collection to ask.")] = None,
    top_k: Annotated[
        int | None, typer.Option("--top-k", "-k", metavar="N", help="How many passages an answer rests on, 1 to 50.")
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="OUT", help="Write everything, with every single answer, to this JSON file."),
    ] = None,
) -> None:
    """Measure search and answers on questions whose answers are known.

    Without FILE the questions of the sample knowledge base are asked: load it first (`holdfast ingest --sample`).
    """
    import asyncio

    from holdfast.rag.evaluation import read_questions

    options: Options = context.obj
    # an answer from the cache would be measured as if it had been found
    settings = options.settings(collection=collection, top_k=top_k, cache_size=0)
    if file is None:
        from holdfast.sample import questions_path, unanswerable_path

        file, unanswerable = questions_path(), unanswerable or unanswerable_path()
    questions = read_questions(file)
    foreign = read_questions(unanswerable, answerable=False) if unanswerable is not None else ()
    report = asyncio.run(_evaluate(settings, questions, foreign))
    _print_table(report)
    if report.reasons:
        warn(
            "Some answers were less than they could be: "
            + ", ".join(f"{name} {count:,} times" for name, count in report.reasons.items())
        )
    if json_file is not None:
        try:
            json_file.write_text(report.to_json(), encoding="utf-8")
        except OSError as error:
            raise InvalidInputError("--json", f"{json_file} cannot be written: {error.strerror or error}") from error
        note(f"Written to {json_file}")


async def _evaluate(
    settings: "Settings", questions: "Sequence[Question]", foreign: "Sequence[Question]"
) -> "EvalReport":
    from holdfast.cli.progress import counting
    from holdfast.cli.session import opened
    from holdfast.rag.evaluation import evaluate as run

    async with opened(settings, create=False) as engine:
        if not (await engine.store.status()).chunks:
            raise InvalidInputError(
                "collection", "nothing is ingested yet: run `holdfast ingest --sample` or `holdfast ingest PATH`"
            )
        with counting("Asking", unit="questions") as report_progress:
            return await run(
                engine, questions, foreign, k=settings.top_k, collection=settings.collection, progress=report_progress
            )


def _print_table(report: "EvalReport") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{report.overall.questions} questions that a document answers", title_justify="left")
    table.add_column("style", no_wrap=True)
    for heading in ("n", "recall@1", f"recall@{report.k}", "MRR@10", "fact", "cited", "refused"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, scores in {**report.styles, "all": report.overall}.items():
        rates = (
            scores.recall_at_1,
            scores.recall_at_k,
            scores.mrr_at_10,
            scores.fact_in_answer,
            scores.cites_article,
            scores.refused,
        )
        table.add_row(name, str(scores.questions), *map(_rate, rates), style="bold" if name == "all" else None)
    console = Console()
    console.print(table)
    console.print("fact: the answer holds the known fact; cited: it cites the right document.", style="dim")
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
        written = ", ".join(f"{name} {count:,}" for name, count in report.models.items())
        console.print(f"Answers that a model wrote: {written}. They cost ${report.cost_usd:.4f}.")


def _rate(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
