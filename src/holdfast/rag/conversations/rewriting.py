"""Makes a follow-up question one that can be searched for: by a model where there is one, or by rules."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from holdfast.core._options import duration, options_by_name, positive, whole
from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.core.deadline import deadline_scope, remaining_ns
from holdfast.core.patience import Patience
from holdfast.errors import AttemptTimeoutError, ConfigError
from holdfast.rag.conversations.following import read
from holdfast.rag.conversations.prompts import read_question, rewriting_prompt
from holdfast.rag.conversations.rules import rewrite_by_rules
from holdfast.rag.conversations.telling import sentence_of
from holdfast.rag.types import Tier

if TYPE_CHECKING:
    import random

    from holdfast.core.clock import Clock
    from holdfast.rag.conversations.asking import Completer
    from holdfast.rag.conversations.context import Context
    from holdfast.rag.conversations.telling import MemoryVoice

__all__ = ["How", "RewriteOptions", "Rewriter", "Rewritten"]

_TIERS_WITH_A_MODEL = frozenset({Tier.FULL, Tier.DEGRADED})


class How(StrEnum):
    """Who made a question what it is."""

    AS_ASKED = "as_asked"
    """The user: it needs nothing, or there is nothing to add."""
    MODEL = "model"
    RULES = "rules"


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteOptions:
    """How a model is asked to rewrite.

    Attributes:
        seconds: how long it may take, above 0 (default 1.5).
        share: the share of what is left until the deadline that it may take, above 0 and at most 1 (default 0.15).
        least_seconds: below this a model is not asked at all, above 0 (default 0.2).
        context_tokens: tokens of the conversation that it reads, 1 or more (default 500).
        max_tokens: tokens that it may write, 1 or more (default 100).

    Raises:
        ConfigError: a value is out of its range.
    """

    seconds: float = 1.5
    share: float = 0.15
    least_seconds: float = 0.2
    context_tokens: int = 500
    max_tokens: int = 100

    def __post_init__(self) -> None:
        duration("seconds", self.seconds)
        if positive("share", self.share) > 1:
            raise ConfigError("share", self.share, "must be at most 1")
        duration("least_seconds", self.least_seconds)
        whole("context_tokens", self.context_tokens, least=1)
        whole("max_tokens", self.max_tokens, least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """A question that can be understood without its conversation, as far as that could be done.

    Attributes:
        standalone: the question.
        how: who made it.
        cost_usd: what the model cost.
        ms: milliseconds that it took.
    """

    standalone: str
    how: How
    cost_usd: float = 0.0
    ms: float = 0.0


class Rewriter:
    """Rewrites questions that need their conversation; others pass as they are, at once.

    Args:
        completer: the model; None: rules do it.
        clock: the source of time.
        rng: names the tags in prompts.
        voice: tells what happens.
    """

    def __init__(
        self,
        completer: Completer | None,
        *,
        clock: Clock,
        rng: random.Random,
        voice: MemoryVoice,
        options: RewriteOptions | None = None,
    ) -> None:
        self._completer = completer
        self._clock = clock
        self._rng = rng
        self._voice = voice
        self._options = options or RewriteOptions()
        self._patience = Patience(clock)

    async def rewrite(self, question: str, context: Context, *, tier: Tier = Tier.FULL) -> Rewritten:
        """``question`` as one that stands on its own.

        Args:
            question: as it was asked.
            context: what was said before.
            tier: how much of the service there is: at the low tiers rules do it.
        """
        reading = read(question) if context else None
        if reading is None or not reading.follows:
            return Rewritten(standalone=question, how=How.AS_ASKED)
        started, cost, error, standalone = self._clock.now_ns(), 0.0, "", None
        how = How.MODEL
        if self._completer is not None and tier in _TIERS_WITH_A_MODEL:
            standalone, cost, error = await self._by_model(self._completer, question, context)
        if standalone is None:
            earlier = [turn.standalone or turn.question for turn in context.turns]
            standalone = rewrite_by_rules(question, reading, earlier)
            how = How.RULES if standalone != question else How.AS_ASKED
        ms = (self._clock.now_ns() - started) / 1e6
        self._voice.rewritten(how, ms, error)
        return Rewritten(standalone=standalone, how=how, cost_usd=cost, ms=ms)

    async def _by_model(self, completer: Completer, question: str, context: Context) -> tuple[str | None, float, str]:
        """The question, what it cost, and why there is none."""
        seconds = self._seconds()
        if seconds < self._options.least_seconds:
            return None, 0.0, "There was no time left to ask a model."
        conversation = context.for_prompt(self._options.context_tokens)
        messages = rewriting_prompt(question, conversation, rng=self._rng)
        due = self._clock.now_ns() + to_ns(seconds)
        try:
            with deadline_scope(seconds, clock=self._clock):
                asked = completer.complete(messages, max_tokens=self._options.max_tokens)
                completed = await self._patience.until(due, asked, _late)
        except Exception as error:  # noqa: BLE001 - a question never fails because a model does not rewrite it
            return None, 0.0, sentence_of(error)
        written = read_question(completed.text, question, conversation)
        return written, completed.cost_usd, "" if written else "The model wrote no question that can be used."

    def _seconds(self) -> float:
        left = remaining_ns(self._clock)
        if left is None:
            return self._options.seconds
        return min(self._options.seconds, self._options.share * left / NS_PER_SECOND)


def _late() -> AttemptTimeoutError:
    return AttemptTimeoutError("The model did not rewrite the question in time.")
