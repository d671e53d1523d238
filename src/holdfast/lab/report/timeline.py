"""The course of a run: traffic and useful answers, errors, the tier of the service, and open breakers, over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.lab.report.elements import Element, element
from holdfast.lab.report.figures import percent, span
from holdfast.lab.report.scales import Linear
from holdfast.lab.runs.outcome import BUCKET_SECONDS, Bucket
from holdfast.rag.types import Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["busiest", "merged", "timeline_plot"]

_WIDTH = 720.0
_LEFT, _RIGHT, _TOP = 118.0, 12.0, 8.0
_TRAFFIC, _ERRORS, _LANE, _GAP = 110.0, 44.0, 14.0, 18.0
_MOST_COLUMNS = 360
_MOST_BREAKERS = 10
_LONGEST_NAME = 17
_TIERS = [tier.value for tier in Tier]


def merged(timeline: Sequence[Bucket], *, columns: int = _MOST_COLUMNS) -> list[Bucket]:
    """At most so many buckets: of a long run, neighbours are taken together.

    Counts are added; of tiers the lowest is kept, of breakers every one, of latencies the highest.
    """
    size = -(-len(timeline) // columns)
    return list(timeline) if size <= 1 else [
        _together(timeline[begin : begin + size]) for begin in range(0, len(timeline), size)
    ]  # fmt: skip


def busiest(timelines: Iterable[Sequence[Bucket]], *, columns: int = _MOST_COLUMNS) -> float:
    """The most questions a second in any column: what the axes of plots side by side have to have in common."""
    return max((rate for line in timelines for rate in _rates(merged(line, columns=columns))), default=0.0)


def timeline_plot(
    title: str, timeline: Sequence[Bucket], *, most: float, name: str, faults: Sequence[tuple[float, float, str]] = ()
) -> Element:
    """The plot of one run.

    Args:
        title: whose it is.
        timeline: its course, one bucket or more.
        most: the most questions a second that the axis has to show.
        name: unique in the page; ids of the plot begin with it.
        faults: from when to when something failed, in seconds of the run, and what it was.
    """
    buckets = merged(timeline)
    width = _column(buckets)
    across = Linear(_LEFT, _WIDTH - _RIGHT, 1.0)
    begin, length = buckets[0].at, max(buckets[-1].at + width - buckets[0].at, width)

    def x(at: float) -> float:
        return across.at((at - begin) / length)

    breakers = list(dict.fromkeys(each for bucket in buckets for each in bucket.open_breakers))
    errors_top = _TOP + _TRAFFIC + _GAP
    tier_top = errors_top + _ERRORS + _GAP
    breakers_top = tier_top + _LANE + _GAP / 2
    bottom = breakers_top + _LANE * min(max(1, len(breakers)), _MOST_BREAKERS + 1) + 4
    tiers = [(bucket.at, bucket.tier) for bucket in buckets]
    svg = element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", _told(buckets, breakers), id=f"{name}-desc"),
        *_shades(faults, begin, begin + length, x, errors_top + _ERRORS),
        *_traffic(buckets, x, width, most),
        *_errors(buckets, x, width, errors_top),
        _name("tier", tier_top),
        *_lane(tiers, x, width, tier_top, _tier_class),
        *_breakers(buckets, breakers, x, width, breakers_top),
        *_times(begin, length, x, bottom),
        viewBox=f"0 0 {_WIDTH:g} {bottom + 22:g}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        class_="plot timeline",
    )
    return element("div", svg, class_="scroll", tabindex="0", role="region", aria_label=f"Plot: {title}")


# --- what is drawn ----------------------------------------------------------------------------------------------------


def _shades(
    faults: Sequence[tuple[float, float, str]], begin: float, end: float, x: Callable[[float], float], bottom: float
) -> list[Element]:
    """The times of faults, behind everything else."""
    parts = []
    for since, until, said in faults:
        left, right = x(max(since, begin)), x(min(until, end))
        if right > left:
            name = element("title", f"{said}: {span(since)} to {span(min(until, end))}")
            shade = element("rect", name, x=left, y=_TOP, width=right - left, height=bottom - _TOP, class_="fault")
            parts.append(shade)
    return parts


def _traffic(buckets: Sequence[Bucket], x: Callable[[float], float], width: float, most: float) -> list[Element]:
    up = Linear(_TOP + _TRAFFIC, _TOP, most)
    ground = _TOP + _TRAFFIC
    parts = _grid(((tick, f"{tick:g}/s") for tick in up.ticks), up)
    for shown, counts in (
        ("useful", [bucket.useful for bucket in buckets]),
        ("degraded", [bucket.degraded for bucket in buckets]),
    ):
        heights = [(bucket.at, up.at(count / width)) for bucket, count in zip(buckets, counts, strict=True)]
        steps = _steps(heights, x, width)
        if steps:
            path = f"M{x(buckets[0].at):.1f} {ground:.1f}{steps.replace('M', 'L', 1)}V{ground:.1f}Z"
            parts.append(element("path", d=path, class_=shown))
    offered = _steps([(bucket.at, up.at(bucket.offered / width)) for bucket in buckets], x, width)
    parts.append(element("path", d=offered, class_="offered"))
    return parts


def _errors(buckets: Sequence[Bucket], x: Callable[[float], float], width: float, top: float) -> list[Element]:
    up = Linear(top + _ERRORS, top, 1.0)
    parts = _grid(((0.0, "errors 0%"), (1.0, "100%")), up)
    bars = "".join(
        f"M{x(bucket.at):.1f} {up.at(0):.1f}V{up.at(bucket.errors / bucket.offered):.1f}"
        f"H{x(bucket.at + width):.1f}V{up.at(0):.1f}Z"
        for bucket in buckets
        if bucket.offered and bucket.errors
    )
    if bars:
        parts.append(element("path", d=bars, class_="errors"))
    return parts


def _breakers(
    buckets: Sequence[Bucket], breakers: Sequence[str], x: Callable[[float], float], width: float, top: float
) -> list[Element]:
    """A lane for each breaker that was ever open."""
    if not breakers:
        return [_name("no breaker open", top)]
    parts = []
    for place, breaker in enumerate(breakers[:_MOST_BREAKERS]):
        moves = [(bucket.at, breaker if breaker in bucket.open_breakers else "") for bucket in buckets]
        parts.append(_name(breaker, top + _LANE * place))
        parts += _lane(moves, x, width, top + _LANE * place, lambda _: "open")
    if len(breakers) > _MOST_BREAKERS:
        parts.append(_name(f"and {len(breakers) - _MOST_BREAKERS} more", top + _LANE * _MOST_BREAKERS))
    return parts


def _lane(
    moves: Sequence[tuple[float, str]],
    x: Callable[[float], float],
    width: float,
    top: float,
    style: Callable[[str], str],
) -> list[Element]:
    """One bar for each stretch of equal states; none for empty ones."""
    parts = []
    begin = 0
    for place in range(1, len(moves) + 1):
        if place < len(moves) and moves[place][1] == moves[begin][1]:
            continue
        at, state = moves[begin]
        until = moves[place][0] if place < len(moves) else moves[-1][0] + width
        if state:
            left, right = x(at), x(until)
            said = f"{state}: {span(at)} to {span(until)}"
            parts.append(
                element(
                    "rect",
                    element("title", said),
                    x=left,
                    y=top,
                    width=max(0.5, right - left),
                    height=_LANE - 3,
                    class_=style(state),
                )
            )
        begin = place
    return parts


def _times(begin: float, length: float, x: Callable[[float], float], bottom: float) -> list[Element]:
    unit, size = next(
        ((unit, size) for unit, size in (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0)) if length >= 2 * size),
        ("s", 1.0),
    )
    parts = [element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=bottom, y2=bottom, class_="axis")]
    for tick in Linear(0, 1, length / size).ticks:
        if tick * size <= length * 1.0001:
            at = x(begin + tick * size)
            anchor = "end" if at > _WIDTH - _RIGHT - 12 else "middle"
            parts.append(element("line", x1=at, x2=at, y1=bottom, y2=bottom + 4, class_="axis"))
            parts.append(element("text", f"{begin / size + tick:g} {unit}", x=at, y=bottom + 17, text_anchor=anchor))
    return parts


def _grid(ticks: Iterable[tuple[float, str]], up: Linear) -> list[Element]:
    parts = []
    for tick, said in ticks:
        y = up.at(tick)
        parts.append(element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(element("text", said, x=_LEFT - 6, y=y + 4, text_anchor="end"))
    return parts


def _name(text: str, top: float) -> Element:
    return element("text", _short(text), x=_LEFT - 6, y=top + _LANE - 4, text_anchor="end")


def _steps(points: Sequence[tuple[float, float]], x: Callable[[float], float], width: float) -> str:
    """A line that stays at a height for a bucket, and then goes to the next one's."""
    parts: list[str] = []
    for at, y in points:
        parts.append(f"V{y:.1f}H{x(at + width):.1f}" if parts else f"M{x(at):.1f} {y:.1f}H{x(at + width):.1f}")
    return "".join(parts)


# --- what is counted --------------------------------------------------------------------------------------------------


def _column(buckets: Sequence[Bucket]) -> float:
    """Seconds in a bucket, after some were taken together."""
    return max(buckets[1].at - buckets[0].at, 0.001) if len(buckets) > 1 else BUCKET_SECONDS


def _rates(buckets: Sequence[Bucket]) -> list[float]:
    return [bucket.offered / _column(buckets) for bucket in buckets]


def _together(buckets: Sequence[Bucket]) -> Bucket:
    return Bucket(
        at=buckets[0].at,
        offered=sum(each.offered for each in buckets),
        useful=sum(each.useful for each in buckets),
        degraded=sum(each.degraded for each in buckets),
        errors=sum(each.errors for each in buckets),
        attempts=sum(each.attempts for each in buckets),
        retries=sum(each.retries for each in buckets),
        tier=max((each.tier for each in buckets), key=lambda tier: _TIERS.index(tier) if tier in _TIERS else -1),
        open_breakers=tuple(dict.fromkeys(name for each in buckets for name in each.open_breakers)),
        p95=max(each.p95 for each in buckets),
    )


def _tier_class(tier: str) -> str:
    return f"tier {tier}" if tier in _TIERS else "tier unknown"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"


def _told(buckets: Sequence[Bucket], breakers: Sequence[str]) -> str:
    offered, useful = sum(each.offered for each in buckets), sum(each.useful for each in buckets)
    errors = sum(each.errors for each in buckets)
    tiers = ", ".join(dict.fromkeys(each.tier for each in buckets))
    return (
        f"{offered} questions, {useful} useful answers, {percent(errors / offered if offered else 0.0)} errors. "
        f"Tiers: {tiers}. Breakers that were open: {', '.join(breakers) or 'none'}."
    )
