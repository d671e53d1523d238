"""``holdfast ingest``: files and folders in, and a summary of what became of them."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.output import note, print_json, print_result, warn
from holdfast.errors import InvalidInputError

if TYPE_CHECKING:
    from holdfast.cli.options import Options
    from holdfast.rag.ingest import IngestReport
    from holdfast.rag.settings import Settings

__all__ = ["ingest"]

_SAMPLE_URI_PREFIX = "help-centre/"
_PROBLEMS_SHOWN = 50


def ingest(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            help="Files, and folders with all that is below them: Markdown, text, HTML, PDF, JSONL.",
            show_default=False,
        ),
    ] = None,
    *,
    sample: Annotated[
        bool, typer.Option("--sample", help="Load the sample knowledge base: the help centre of a shop.")
    ] = False,
    collection: Annotated[
        str | None, typer.Option(metavar="NAME", help="The collection to put the documents into.")
    ] = None,
    uri_prefix: Annotated[
        str,
        typer.Option(
            "--uri-prefix",
            metavar="TEXT",
            help="What citations show before a file's path below its folder, e.g. https://example.com/help/",
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Load documents, so that questions can be answered from them.

    Unchanged files are left as they are, changed ones replace what was stored, unusable ones are listed with reasons.
    What a file does not hold any more is removed; a file that is gone keeps its documents.

    It can be interrupted at any time: the same command goes on where it stopped.
    """
    if sample:
        if paths:
            raise InvalidInputError("--sample", "is given together with a path: load one after the other")
        from holdfast.sample import articles_dir

        paths, uri_prefix = [articles_dir()], uri_prefix or _SAMPLE_URI_PREFIX
    if not paths:
        raise InvalidInputError("PATH", "is missing: name a file or a folder, or take --sample")
    if not any(os.access(path, os.R_OK) for path in paths):
        named = ", ".join(map(str, paths))
        raise InvalidInputError("PATH", f"is not there, or you have no right to read it: {named}")
    import asyncio

    options: Options = context.obj
    settings = options.settings(collection=collection)
    stored = _Stored(time.monotonic)
    try:
        report = asyncio.run(_ingest(settings, paths, uri_prefix, stored))
    except KeyboardInterrupt:
        warn(
            f"Interrupted. At least {stored.documents:,} documents were stored in this run, and stay. "
            "The same command goes on from here: what is stored is not done again."
        )
        raise typer.Exit(130) from None
    if as_json:
        print_json(asdict(report))
    else:
        _print_report(report)
        if not report.embedded and settings.embedder != "none":
            warn(
                "The documents can be found by their words only. "
                "For a search by meaning: `holdfast model`, then this command again."
            )
    usable = report.added or report.changed or report.unchanged or report.removed
    if report.failed or (report.skipped and not usable):
        raise typer.Exit(1)


@dataclass(slots=True)
class _Stored:
    """What was stored so far, for the progress bar and for the one who interrupts."""

    now: Callable[[], float]
    documents: int = 0
    chunks: int = 0
    started: float = 0.0

    def add(self, chunks: int) -> None:
        self.started = self.started or self.now()
        self.documents += 1
        self.chunks += chunks

    def speed(self) -> str:
        seconds = self.now() - self.started if self.started else 0.0
        return f"{self.documents:,} documents, {self.chunks / seconds:.0f} chunks/s" if seconds >= 0.5 else ""


async def _ingest(settings: "Settings", paths: Sequence[Path], uri_prefix: str, stored: _Stored) -> "IngestReport":
    from holdfast.cli.progress import counting
    from holdfast.cli.session import opened
    from holdfast.telemetry.events import DocumentIngested

    async with opened(settings) as engine:
        engine.events.listen(lambda event: stored.add(event.chunks), DocumentIngested)
        with counting("Ingesting", unit="files", speed=stored.speed, only="ingest") as report_progress:
            return await engine.ingestor.ingest_paths(
                paths, collection=settings.collection, uri_prefix=uri_prefix, progress=report_progress
            )


def _print_report(report: "IngestReport") -> None:
    total = report.added + report.changed + report.unchanged
    speed = f", {report.chunks / report.seconds:,.0f} chunks/s" if report.chunks and report.seconds else ""
    removed = f"; {report.removed:,} removed" if report.removed else ""
    print_result(
        f"{total:,} documents: {report.added:,} new, {report.changed:,} changed, {report.unchanged:,} as they were"
        f"{removed}. {report.chunks:,} passages written in {report.seconds:.1f} s{speed}."
    )
    for title, problems in (("Skipped", report.skipped), ("Failed, the next run tries again", report.failed)):
        if problems:
            warn(f"{title}: {len(problems):,}")
            for problem in problems[:_PROBLEMS_SHOWN]:
                note(f"  {problem.uri}: {problem.reason}")
            if len(problems) > _PROBLEMS_SHOWN:
                note(f"  ... and {len(problems) - _PROBLEMS_SHOWN:,} more: --json lists all of them")
    if report.ignored:
        kinds = ", ".join(f"{suffix or 'without ending'} {count:,}" for suffix, count in report.ignored.items())
        note(f"Passed over, files of other kinds: {kinds}")
