"""How good are the answers? Ask questions whose answers are known, and count.

:func:`read_questions` reads them from JSON Lines, :func:`evaluate` asks them through an engine's public ``search`` and
``ask``, :func:`evaluate_tiers` does so at each tier of the service, and the :class:`EvalReport` they return holds the
rates and every single answer. :func:`measure_drift` compares stored vectors with what the embedder makes now.
"""

from __future__ import annotations

from holdfast.rag.evaluation.drift import Drift, measure_drift
from holdfast.rag.evaluation.questions import Question, read_questions
from holdfast.rag.evaluation.report import EvalReport, Record, Scores
from holdfast.rag.evaluation.runner import EvalProgress, Evaluable, evaluate, evaluate_tiers

__all__ = [
    "Drift",
    "EvalProgress",
    "EvalReport",
    "Evaluable",
    "Question",
    "Record",
    "Scores",
    "evaluate",
    "evaluate_tiers",
    "measure_drift",
    "read_questions",
]
