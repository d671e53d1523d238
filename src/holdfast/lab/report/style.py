"""The style of the page: light or dark as the reader's system is, readable on a phone and in print."""

from __future__ import annotations

__all__ = ["CSS"]

CSS = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1c2227; --quiet: #56616b; --rule: #d8dee3; --soft: #f3f5f7;
  --good: #1a7f4b; --bad: #b3261e;
  --c0: #0072b2; --c1: #d55e00; --c2: #00835c; --c3: #a7469a; --c4: #8a6d00; --c5: #3a3f9e;
  --c6: #b3261e; --c7: #5c6670; --full: #7cc4a0; --degraded: #e5c453; --minimal: #e58f4e; --offline: #cf4a42;
  --open: #a7469a; --useful: #9cc9e8; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14181b; --ink: #e6eaed; --quiet: #a3aeb7; --rule: #363e45; --soft: #1d2327;
    --good: #5fcf97; --bad: #ff8a80;
    --c0: #5ab4f0; --c1: #ff9a52; --c2: #3fc99a; --c3: #e08fd3; --c4: #e0c04a; --c5: #9aa0ff;
    --c6: #ff8a80; --c7: #a9b4bd; --full: #2f7d57; --degraded: #a3862a; --minimal: #b0662b; --offline: #b53a33;
    --open: #c77bbb; --useful: #2c5f80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 78rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .5rem; border-bottom: 1px solid var(--rule); padding-bottom: .2rem; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .3rem; }
p, ul.notes { max-width: 48rem; }
a { color: var(--c0); }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; list-style: none; }
.quiet, figcaption, caption { color: var(--quiet); }
.scroll { overflow-x: auto; margin: .5rem 0 1rem; }
.scroll:focus-visible { outline: 2px solid var(--c0); }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .3rem; position: sticky; left: 0; }
th, td { padding: .25rem .7rem .25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule); }
th { font-weight: 600; }
tbody th { font-weight: 400; }
thead th { color: var(--quiet); vertical-align: bottom; }
th.figure, td.figure { text-align: right; white-space: nowrap; padding: .25rem 0 .25rem .9rem; }
td.words { min-width: 18rem; }
.interval { color: var(--quiet); font-size: .8rem; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
figure { margin: 1rem 0; }
figcaption { font-size: .9rem; }
dt { font-weight: 600; }
dd { margin: 0 0 .4rem 1.2rem; }
details { margin: .4rem 0; }
summary { cursor: pointer; padding: .3rem 0; }
.plot { display: block; width: 100%; min-width: 32rem; max-width: 46rem; height: auto; }
.wide { max-width: 60rem; }
.timeline { min-width: 38rem; max-width: 60rem; }
.plot text { font-size: 12px; fill: var(--quiet); }
.plot text.label { fill: var(--ink); }
.grid { stroke: var(--rule); stroke-width: 1; }
.axis { stroke: var(--quiet); stroke-width: 1; }
.line { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; }
.bar { fill: none; stroke: var(--c); stroke-width: 1.2; opacity: .75; }
.dot { fill: var(--c); stroke: var(--ground); stroke-width: 1; }
.c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); }
.c4 { --c: var(--c4); } .c5 { --c: var(--c5); } .c6 { --c: var(--c6); } .c7 { --c: var(--c7); }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; padding: 0; margin: .3rem 0; list-style: none;
  font-size: .875rem; }
.swatch { width: 26px; height: 12px; vertical-align: middle; }
.box { display: inline-block; width: .9em; height: .9em; border-radius: 2px; vertical-align: -.1em; }
.useful { fill: var(--useful); background: var(--useful); }
.degraded { fill: var(--degraded); background: var(--degraded); }
.offered { fill: none; stroke: var(--ink); stroke-width: 1.3; }
.box.offered { height: 0; border-top: 2px solid var(--ink); vertical-align: .25em; }
.errors { fill: var(--bad); background: var(--bad); }
.fault { fill: var(--ink); opacity: .09; }
.box.fault { background: var(--ink); opacity: .15; }
.tier.full { fill: var(--full); background: var(--full); }
.tier.degraded { fill: var(--degraded); background: var(--degraded); }
.tier.minimal { fill: var(--minimal); background: var(--minimal); }
.tier.offline { fill: var(--offline); background: var(--offline); }
.tier.unknown { fill: var(--rule); background: var(--rule); }
.open { fill: var(--open); background: var(--open); }
code, pre { font-size: .85em; }
@media print { body { max-width: none; } .scroll { overflow: visible; } details > * { display: block; } }
"""
"""Everything: the page has no other."""
