"""What became of an ingest, as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.cli.output import note, print_result, warn

if TYPE_CHECKING:
    from holdfast.rag.ingest import IngestReport

__all__ = ["print_report"]

_PROBLEMS_SHOWN = 50


def print_report(report: IngestReport) -> None:
    """Print the summary to stdout, and what failed and why to stderr."""
    total = report.added + report.changed + report.unchanged
    speed = f", {report.chunks / report.seconds:,.0f} chunks/s" if report.chunks and report.seconds else ""
    removed = f"; {report.removed:,} removed" if report.removed else ""
    print_result(
        f"{total:,} documents: {report.added:,} new, {report.changed:,} changed, {report.unchanged:,} as they were"
        f"{removed}. {report.chunks:,} passages written in {report.seconds:.1f} s{speed}."
    )
    for title, problems in (
        ("Skipped", report.skipped),
        ("Failed, `holdfast ingest --retry` tries again", report.failed),
    ):
        if problems:
            warn(f"{title}: {len(problems):,}")
            for problem in problems[:_PROBLEMS_SHOWN]:
                note(f"  {problem.uri}: {problem.reason}")
            if len(problems) > _PROBLEMS_SHOWN:
                note(f"  ... and {len(problems) - _PROBLEMS_SHOWN:,} more: --json lists all of them")
    if report.ignored:
        kinds = ", ".join(f"{suffix or 'without ending'} {count:,}" for suffix, count in report.ignored.items())
        note(f"Passed over, files of other kinds: {kinds}")
    if report.stopped:
        warn(
            f"Stopped before everything was tried: {report.stopped} "
            "What is stored stays, what was embedded is not paid again: the same command goes on from here."
        )
