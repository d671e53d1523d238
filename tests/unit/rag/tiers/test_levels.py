"""What each tier needs and does."""

from __future__ import annotations

import pytest

from holdfast.errors import ConfigError
from holdfast.rag.settings import Settings
from holdfast.rag.tiers.configured import settled_levels
from holdfast.rag.tiers.levels import LEVELS, Level, Levels, Need, above, worse
from holdfast.rag.types import Tier


@pytest.mark.parametrize(
    ("missing", "tier"),
    [
        (set(), Tier.FULL),
        ({Need.EMBEDDER}, Tier.DEGRADED),
        ({Need.MODEL}, Tier.DEGRADED),
        ({Need.MODEL, Need.EMBEDDER}, Tier.DEGRADED),
        ({Need.MODEL, Need.ANY_MODEL}, Tier.MINIMAL),
        ({Need.STORE}, Tier.DEGRADED),
        ({Need.STORE, Need.EMBEDDER}, Tier.DEGRADED),
        ({Need.STORE, Need.DOCUMENTS}, Tier.MINIMAL),
        ({Need.STORE, Need.EMBEDDER, Need.MODEL, Need.ANY_MODEL}, Tier.MINIMAL),
        ({Need.STORE, Need.DOCUMENTS, Need.ANYTHING}, Tier.OFFLINE),
    ],
)
def test_what_is_missing_decides_the_tier(missing: set[Need], tier: Tier) -> None:
    """The best tier is the first that needs nothing of what is missing."""
    assert Levels().best(missing) is tier


def test_the_tiers_shrink_as_the_mission_says() -> None:
    """Full rests on five passages and 500 tokens, degraded on three and 200, and only full is kept in the cache."""
    levels = settled_levels(Settings())
    full, degraded, minimal, offline = (levels[tier] for tier in Tier)
    assert (full.passages_for(5), full.answer_tokens, full.brief, full.keeps) == (5, None, False, True)
    assert (degraded.passages_for(5), degraded.answer_tokens, degraded.brief) == (3, 200, True)
    assert (full.generates, degraded.generates, minimal.generates) == (True, True, False)
    assert (minimal.searches, offline.searches) == (True, False)
    assert [level.keeps for level in LEVELS] == [True, False, False, False]
    assert [tier.quality for tier in Tier] == [0.85, 0.75, 0.60, 0.0]


def test_settings_change_the_degraded_tier() -> None:
    """``degraded_top_k`` and ``degraded_answer_tokens`` are what the degraded tier may use."""
    levels = settled_levels(Settings(degraded_top_k=2, degraded_answer_tokens=50))
    assert (levels[Tier.DEGRADED].passages, levels[Tier.DEGRADED].answer_tokens) == (2, 50)
    assert levels[Tier.DEGRADED].passages_for(1) == 1


def test_a_level_out_of_range_names_itself() -> None:
    """A level's bounds are at least 1."""
    with pytest.raises(ConfigError, match="passages"):
        Level(tier=Tier.FULL, passages=0)
    with pytest.raises(ConfigError, match="answer_tokens"):
        Level(tier=Tier.FULL, answer_tokens=0)


def test_tiers_are_ordered() -> None:
    """The worse of two tiers is the later one, and the best one has none above it."""
    assert worse(Tier.FULL, Tier.MINIMAL) is worse(Tier.MINIMAL, Tier.FULL) is Tier.MINIMAL
    assert [above(tier) for tier in Tier] == [Tier.FULL, Tier.FULL, Tier.DEGRADED, Tier.MINIMAL]


def test_every_tier_has_one_level() -> None:
    """A table of tiers that lacks one is refused."""
    with pytest.raises(AssertionError, match="one level for each tier"):
        Levels(LEVELS[1:])


def test_where_nothing_stands_in_models_are_asked_at_every_tier() -> None:
    """Without quotes a question that is not put to a model is lost, whatever the tier."""
    usual, bare = settled_levels(Settings()), settled_levels(Settings(), quotes=False)
    assert [(usual[tier].generates, usual[tier].searches) for tier in Tier] == [
        (True, True),
        (True, True),
        (False, True),
        (False, False),
    ]
    assert all(bare[tier].generates and bare[tier].searches for tier in Tier)
