"""The test kit's own embedder."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.testing.embedders import HashEmbedder


async def test_words_in_common_mean_nearness() -> None:
    """The more words two texts share, the larger their cosine; texts without common words are far apart."""
    embedder = HashEmbedder(dimension=1024)
    base, near, far = await embedder.embed(["red green blue", "Blue, green!", "one two three"])
    assert base @ near > 0.7
    assert abs(float(base @ far)) < 0.01


async def test_vectors_are_the_same_in_every_process() -> None:
    """The vectors do not depend on Python's salted hash: this one was written down."""
    (vector,) = await HashEmbedder(dimension=1000).embed(["retry"])
    assert np.flatnonzero(vector).tolist() == [744]


async def test_calls_are_kept() -> None:
    """A test can see what was embedded, and as what; empty calls are not calls."""
    embedder = HashEmbedder()
    await embedder.embed(["a", "b"])
    await embedder.embed(["c"], kind="query")
    await embedder.embed([])
    assert embedder.calls == [(("a", "b"), "document"), (("c",), "query")]


def test_dimension_has_a_range() -> None:
    """A vector needs at least one number."""
    with pytest.raises(ValueError, match="at least 1"):
        HashEmbedder(dimension=0)
