"""``holdfast ingest``: files and folders in, and a summary of what became of them."""

import os
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from holdfast.cli.dead_letters import discard_failures, list_failures
from holdfast.cli.ingest_report import print_report
from holdfast.cli.output import note, print_json, warn
from holdfast.errors import InvalidInputError

if TYPE_CHECKING:
    from holdfast.cli.options import Options
    from holdfast.cli.progress import Counted
    from holdfast.rag.ingest import Ingestor, IngestReport
    from holdfast.rag.settings import Settings

__all__ = ["ingest"]

_SAMPLE_URI_PREFIX = "help-centre/"


def ingest(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH",
            help="Files, and folders with all that is below them: Markdown, text, HTML, PDF, JSONL. "
            "After --retry and --discard: ids of failures.",
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
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first failure with all that is known, and retry nothing.")
    ] = False,
    reembed: Annotated[
        bool, typer.Option("--reembed", help="Embed what is stored anew, after the embedding model was changed.")
    ] = False,
    failures: Annotated[
        bool, typer.Option("--failures", help="List what could not be ingested so far, and why.")
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try what failed again: all of it, or the ids given.")] = False,
    discard: Annotated[bool, typer.Option("--discard", help="Throw the failures with these ids away.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Load documents, so that questions can be answered from them.

    Unchanged files are left as they are, changed ones replace what was stored, unusable ones are listed with reasons.
    What a file does not hold any more is removed; a file that is gone keeps its documents.

    It can be interrupted at any time: the same command goes on where it stopped. What fails is kept as a list, with
    the reasons: --failures shows it, --retry tries it again.
    """
    wish = _Wish(sample=sample, reembed=reembed, failures=failures, retry=retry, discard=discard)
    wish.check(names)
    options: Options = context.obj
    settings = options.settings(collection=collection)
    if failures:
        list_failures(settings, as_json=as_json)
        return
    if discard:
        discard_failures(settings, names or [])
        return
    if retry:
        run = _retrying(names, settings, fail_fast=fail_fast)
    elif reembed:
        run = _reembedding(settings, fail_fast=fail_fast)
    else:
        paths = _paths(names, sample=sample)
        prefix = uri_prefix or (_SAMPLE_URI_PREFIX if sample else "")
        run = _ingesting(paths, settings, prefix, fail_fast=fail_fast)
    report = _run(settings, run, unit="documents" if reembed else "files")
    if sample and settings.faq_file is None:
        _install_faq(settings)
    if as_json:
        print_json(asdict(report))
    else:
        print_report(report)
        if not report.embedded and settings.embedder != "none":
            warn(
                "The documents can be found by their words only. "
                "For a search by meaning: `holdfast model`, then this command again."
            )
    usable = report.added or report.changed or report.unchanged or report.removed
    if report.failed or report.stopped or (report.skipped and not usable):
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """Which of the things that the command does is wanted; one of them, or the ingest of paths."""

    sample: bool
    reembed: bool
    failures: bool
    retry: bool
    discard: bool

    def check(self, names: Sequence[str] | None) -> None:
        chosen = [f"--{name}" for name, on in asdict(self).items() if on]
        if len(chosen) > 1:
            raise InvalidInputError(chosen[0], f"is given together with {chosen[1]}: do one after the other")
        if names and chosen and chosen[0] in {"--sample", "--reembed", "--failures"}:
            thing = "a path: load one after the other" if self.sample else "a path: it goes over what is stored"
            raise InvalidInputError(chosen[0], f"is given together with {thing}")
        if self.discard and not names:
            raise InvalidInputError("--discard", "needs the ids of what to throw away: --failures lists them")
        if not names and not chosen:
            raise InvalidInputError("PATH", "is missing: name a file or a folder, or take --sample")


def _install_faq(settings: "Settings") -> None:
    from holdfast.sample import install_faq

    try:
        file = install_faq(settings.data_dir, collection=settings.collection)
    except OSError as error:
        warn(f"The sample's FAQ could not be written to {settings.data_dir}: {error.strerror or error}")
    else:
        if file is not None:
            note(f"Its FAQ is in {file}: it answers common questions when nothing else can.")


def _paths(names: Sequence[str] | None, *, sample: bool) -> list[Path]:
    if sample:
        from holdfast.sample import articles_dir

        return [articles_dir()]
    paths = [Path(name) for name in names or ()]
    for path in paths:
        if path.exists() and not os.access(path, os.R_OK):
            raise InvalidInputError("PATH", f"is not readable: check the permissions of {path}")
    if not any(path.exists() for path in paths):
        named = ", ".join(map(str, paths))
        raise InvalidInputError("PATH", f"is not there: {named}")
    return paths


_Run: TypeAlias = "Callable[[Ingestor, Counted], Awaitable[IngestReport]]"


def _ingesting(paths: Sequence[Path], settings: "Settings", uri_prefix: str, *, fail_fast: bool) -> _Run:
    return lambda ingestor, progress: ingestor.ingest_paths(
        paths, collection=settings.collection, uri_prefix=uri_prefix, progress=progress, fail_fast=fail_fast
    )


def _retrying(ids: Sequence[str] | None, settings: "Settings", *, fail_fast: bool) -> _Run:
    return lambda ingestor, progress: ingestor.retry(
        ids or None, collection=settings.collection, progress=progress, fail_fast=fail_fast
    )


def _reembedding(settings: "Settings", *, fail_fast: bool) -> _Run:
    return lambda ingestor, progress: ingestor.reembed(
        collection=settings.collection, progress=progress, fail_fast=fail_fast
    )


def _run(settings: "Settings", run: _Run, *, unit: str) -> "IngestReport":
    import asyncio

    from holdfast.rag.ingest.faults import IngestStoppedError

    stored = _Stored(time.monotonic)
    try:
        return asyncio.run(_ingest(settings, run, stored, unit=unit))
    except KeyboardInterrupt:
        warn(
            f"Interrupted. At least {stored.documents:,} documents were stored in this run, and stay. "
            "The same command goes on from here: what is stored is not done again."
        )
        raise typer.Exit(130) from None
    except IngestStoppedError as error:
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__, file=sys.stderr)
        raise


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


async def _ingest(settings: "Settings", run: _Run, stored: _Stored, *, unit: str) -> "IngestReport":
    from holdfast.cli.progress import counting
    from holdfast.cli.session import opened
    from holdfast.telemetry.events import DocumentIngested

    async with opened(settings) as engine:
        engine.events.listen(lambda event: stored.add(event.chunks), DocumentIngested)
        with counting("Ingesting", unit=unit, speed=stored.speed, only="ingest") as report_progress:
            return await run(engine.ingestor, report_progress)
