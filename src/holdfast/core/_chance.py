"""The library's own source of chance, for whoever is given none.

A forked process starts with a copy of its parent's memory, the state of its random numbers included: workers that were
forked from one server would all draw the same jitter, and come back to a dependency in step, which jitter is there to
prevent. The shared source is therefore seeded anew in every child, as Python does with its own. What users inject is
left alone: it is theirs, and may be meant to repeat itself.
"""

from __future__ import annotations

import os
import random

__all__ = ["JITTER"]

JITTER = random.Random()  # noqa: S311  jitter is no secret
"""Shared by every thread; each draw is one step under the interpreter's lock."""

if hasattr(os, "register_at_fork"):  # where processes can be forked at all
    os.register_at_fork(after_in_child=JITTER.seed)
