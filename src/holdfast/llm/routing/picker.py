"""Who is asked next: among the links that make sense now, the order of the list, the load, or the price decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Mapping

    from holdfast.llm.routing.link import Link
    from holdfast.llm.routing.targets import Choice

__all__ = ["pick"]


def pick(
    links: Mapping[Link, float],
    *,
    choose: Choice,
    now_ns: int,
    rng: random.Random,
    tokens: float = 0,
    but: Collection[Link] = (),
) -> Link | None:
    """The link to ask now, or None when there is no sense in asking any.

    - ``"ordered"``: the first target of the list that is ready; among its keys, the less loaded of two.
    - ``"balanced"``: two are drawn by weight, and the less loaded one is asked ("the power of two choices",
      M. Mitzenmacher, IEEE TPDS 12(10), 2001): nearly as good as asking the least loaded of all, without the herd that
      runs to it.
    - ``"cheapest"``: as ordered, over the list sorted by price (the router sorts it, once).

    Args:
        links: in the order of the list, with their weights.
        tokens: about how many tokens the question costs.
        but: links that were asked already.
    """
    ready = [link for link in links if link not in but and link.ready_at_ns(now_ns, tokens) <= now_ns]
    if not ready:
        return None
    if choose != "balanced":
        first = ready[0].target
        ready = [link for link in ready if link.target is first]
    return _of_two({link: links[link] for link in ready}, rng)


def _of_two(links: dict[Link, float], rng: random.Random) -> Link:
    """The less loaded of two that were drawn by weight, without putting the first back."""
    if len(links) == 1:
        return next(iter(links))
    (one,) = rng.choices(list(links), weights=list(links.values()))
    del links[one]
    (two,) = rng.choices(list(links), weights=list(links.values()))
    return one if one.load <= two.load else two
