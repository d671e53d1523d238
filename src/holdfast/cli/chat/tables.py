"""The tables of ``stats``, ``health``, ``config``, ``test`` and ``help``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr
from rich import box
from rich.table import Table
from rich.text import Text

from holdfast.cli.chat.tally import breakers
from holdfast.cli.output import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from holdfast.cli.chat.tally import Tally
    from holdfast.rag.engine import Engine
    from holdfast.rag.health import Health
    from holdfast.rag.injection.scenarios import Scenario
    from holdfast.rag.settings import Settings

__all__ = ["config_table", "health_table", "rows_table", "scenario_table", "stats_table"]


def rows_table(*headings: str, rows: Iterable[Iterable[object]], title: str = "") -> Table:
    """A table of texts. They may come from anywhere, so they are shown and not obeyed."""
    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(str(cell))) for cell in row))
    return table


def stats_table(tally: Tally, engine: Engine) -> Table:
    """What the session has asked for, and what came of it."""
    lookups = tally.cache_lookups
    rows: list[tuple[str, str]] = [
        ("questions", f"{tally.questions:,}"),
        ("tiers", _counted(tally.tiers)),
        ("sources", _counted(tally.sources)),
        ("outcomes", _counted(tally.statuses)),
        ("cache hits", f"{tally.cache_hits:,} of {lookups:,}" if lookups else "–"),
        ("retries", f"{tally.retries:,}"),
        ("fail-overs", f"{tally.failovers:,}"),
        ("fallbacks", f"{tally.fallbacks:,}"),
        ("stages given up", f"{tally.stages_failed:,}"),
        ("breaker openings", f"{tally.openings:,}"),
        ("cost", f"${tally.cost_usd:.6f}, {tally.tokens:,} tokens"),
        ("latency p50", _ms(tally.latency_ms(0.50))),
        ("latency p95", _ms(tally.latency_ms(0.95))),
        *((f"breaker {name}", state) for name, state in breakers(engine).items()),
    ]
    return rows_table("this session", "", rows=rows)


def health_table(health: Health) -> Table:
    """Every dependency, as it is now."""
    rows = (
        (name, check.status, check.breaker or "–", _ms(check.latency_ms), check.detail)
        for name, check in health.checks.items()
    )
    return rows_table(
        "dependency", "status", "breaker", "took", "", rows=rows, title=f"{health.status}, tier {health.tier}"
    )


def config_table(settings: Settings) -> Table:
    """Every setting; of a secret only whether it is set."""
    rows = ((name, _setting(getattr(settings, name))) for name in type(settings).model_fields)
    return rows_table("setting", "value", rows=rows)


def scenario_table(known: Mapping[str, Scenario], in_use: Iterable[str]) -> Table:
    """The scenarios, and which of them can be played here."""
    there = frozenset(in_use)
    rows = []
    for name, scenario in known.items():
        missing = sorted(scenario.needs - there)
        rows.append((f"test {name}", f"(no {', '.join(missing)} here) {scenario.says}" if missing else scenario.says))
    return rows_table("scenario", "what one should see", rows=rows)


def _setting(value: object) -> str:
    if isinstance(value, SecretStr):
        return "set (not shown)"
    return "–" if value is None or value == "" else str(value)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda item: -item[1])) or "–"


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} ms"
