"""``holdfast eval``: asks questions whose answers are known, and counts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.output import note, warn
from holdfast.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.cli.options import Options
    from holdfast.rag.evaluation import EvalReport, Question
    from holdfast.rag.settings import Settings
    from holdfast.rag.types import Tier

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
    tiers: Annotated[
        str | None,
        typer.Option(
            metavar="TIERS",
            help="Ask at each of these tiers of the service: full, degraded, minimal, offline, with commas between.",
        ),
    ] = None,
    by_tier: Annotated[bool, typer.Option("--by-tier", help="Ask at every tier of the service.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Draw the rates into this file, .png or .svg.")
    ] = None,
    embeddings: Annotated[
        bool,
        typer.Option(
            "--embeddings", help="Ask no question: check the embedder, and stored vectors against what it makes now."
        ),
    ] = False,
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
    if embeddings:
        from holdfast.cli.eval_embeddings import check_embeddings

        check_embeddings(options.settings(collection=collection))
        return
    # an answer from the cache would be measured as if it had been found
    settings = options.settings(collection=collection, top_k=top_k, cache_size=0)
    asked_at = _tiers(tiers, by_tier=by_tier)
    if file is None:
        from holdfast.sample import questions_path, unanswerable_path

        file, unanswerable = questions_path(), unanswerable or unanswerable_path()
    questions = read_questions(file)
    foreign = read_questions(unanswerable, answerable=False) if unanswerable is not None else ()
    if plot is not None:
        from holdfast.rag.evaluation.charts import check_plot

        check_plot(plot)  # rather now than after all questions
    reports = asyncio.run(_evaluate(settings, questions, foreign, asked_at))
    _show(reports, plot)
    if json_file is not None:
        _write(json_file, reports)
        note(f"Written to {json_file}")


def _tiers(named: str | None, *, by_tier: bool) -> "Sequence[Tier]":
    from holdfast.rag.types import Tier

    if named is None:
        return tuple(Tier) if by_tier else ()
    if by_tier:
        raise InvalidInputError("--tiers", "is given together with --by-tier, which means all of them: take one")
    wanted = {name.strip().lower() for name in named.split(",")}
    unknown = sorted(wanted - set(Tier))
    if unknown:
        raise InvalidInputError("--tiers", f"{unknown[0]!r} is no tier: take some of {', '.join(Tier)}")
    return tuple(tier for tier in Tier if tier in wanted)


async def _evaluate(
    settings: "Settings", questions: "Sequence[Question]", foreign: "Sequence[Question]", tiers: "Sequence[Tier]"
) -> "Mapping[str, EvalReport]":
    from holdfast.cli.progress import counting
    from holdfast.cli.session import opened
    from holdfast.rag.evaluation import evaluate as run
    from holdfast.rag.evaluation import evaluate_tiers
    from holdfast.rag.tiers.configured import settled_levels

    async with opened(settings, create=False) as engine:
        if not (await engine.store.status()).chunks:
            raise InvalidInputError(
                "collection", "nothing is ingested yet: run `holdfast ingest --sample` or `holdfast ingest PATH`"
            )
        with counting("Asking", unit="questions") as progress:
            if tiers:
                reports = await evaluate_tiers(
                    engine,
                    questions,
                    foreign,
                    tiers=tiers,
                    levels=settled_levels(settings),
                    k=settings.top_k,
                    collection=settings.collection,
                    progress=progress,
                )
                return {tier.value: report for tier, report in reports.items()}
            report = await run(
                engine, questions, foreign, k=settings.top_k, collection=settings.collection, progress=progress
            )
            return {"": report}


def _show(reports: "Mapping[str, EvalReport]", plot: Path | None) -> None:
    from rich.console import Console

    from holdfast.cli.eval_tables import print_report, print_tiers
    from holdfast.rag.evaluation.charts import bar_lines, chart_of_styles, chart_of_tiers, draw

    console = Console()
    if "" in reports:
        report = reports[""]
        chart = chart_of_styles(report)
        print_report(report, console)
        if report.reasons:
            warn(
                "Some answers were less than they could be: "
                + ", ".join(f"{name} {count:,} times" for name, count in report.reasons.items())
            )
    else:
        chart = chart_of_tiers(reports)
        print_tiers(reports, console)
        for line in bar_lines(chart):
            console.print(line, highlight=False)
    if plot is not None:
        draw(chart, plot)
        note(f"Drawn into {plot}")


def _write(file: Path, reports: "Mapping[str, EvalReport]") -> None:
    import json

    content = reports[""].to_dict() if "" in reports else {"tiers": {k: each.to_dict() for k, each in reports.items()}}
    try:
        file.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidInputError("--json", f"{file} cannot be written: {error.strerror or error}") from error
