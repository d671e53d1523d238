"""The lowest levels since many moments: the tree against a plain list."""

import random

import pytest

from holdfast.core._floors import NONE_YET, Floors


def told(level: int) -> int:
    """The level, or the word for none: what is lowered while none was seen stays above every level."""
    return NONE_YET if level > NONE_YET // 2 else level


@pytest.mark.parametrize("seed", range(20))
def test_the_tree_gives_what_a_plain_list_gives(seed: int) -> None:
    """Whatever is seen and lowered, in any order, the lowest level since any moment is that of a list of all levels."""
    chance = random.Random(seed)
    size = chance.choice([1, 2, 5, 64])
    tree, plain = Floors(size), list[int]()
    for _ in range(300):
        what = chance.randrange(6)
        if what == 0 and tree.count < tree.size:
            assert tree.begin() == len(plain)
            plain.append(NONE_YET)
        elif what == 1 and plain:
            level = chance.randrange(1000)
            tree.see(level)
            plain[-1] = min(plain[-1], level)
        elif what == 2 and plain:
            since = chance.randrange(len(plain))
            by = chance.randrange(50)
            tree.lower_since(since, by)
            plain[since:] = [level - by for level in plain[since:]]
        elif what == 3:
            tree.lower_all(7)
            plain = [level - 7 for level in plain]
        elif what == 4 and tree.count == tree.size:
            kept = sorted(chance.sample(range(len(plain)), chance.randrange(len(plain) + 1)))
            plain = [min(plain[each:]) for each in kept]
            plain = [max(0, told(level)) for level in plain]
            tree = Floors(tree.size, tree.kept(kept))
        for each in range(len(plain)):
            assert told(tree.since(each)) == told(min(plain[each:]))


def test_there_is_room_for_as_many_stretches_as_were_asked_for() -> None:
    """The size is the next power of two, at least 2."""
    assert [Floors(size).size for size in (1, 2, 3, 4, 5, 32, 33, 64)] == [2, 2, 4, 4, 8, 32, 64, 64]


def test_of_stretches_in_which_nothing_was_seen_nothing_is_kept() -> None:
    """It is told from a level, which is scaled when a rate changes, whatever was lowered or raised meanwhile."""
    tree = Floors(2)
    tree.begin()
    tree.lower_all(7)
    assert tree.kept([0]) == [NONE_YET]
    tree.begin()
    tree.lower_since(1, 50)
    assert tree.kept([0, 1]) == [NONE_YET, NONE_YET]
